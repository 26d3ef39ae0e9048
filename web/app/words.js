// The page's words in the reader's language. A new language is a file in words/ and a line here.

import en from '../words/en.js';

const languages = { en };

export const language = navigator.languages.map((tag) => tag.split('-')[0]).find((tag) => tag in languages) ?? 'en';
const words = languages[language];

export const known = (key) => key in words;

export function t(key, values = {}) {
    return (words[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

// Fills in the document: data-t is an element's text, data-t-label its label for screen readers.
export function fillIn() {
    document.documentElement.lang = language;
    for (const element of document.querySelectorAll('[data-t]')) element.textContent = t(element.dataset.t);
    for (const element of document.querySelectorAll('[data-t-label]')) {
        const text = t(element.dataset.tLabel);
        element.setAttribute('aria-label', text);
        if (element.tagName === 'BUTTON') element.title = text;
    }
}
