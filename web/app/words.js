// The page's words in the reader's language. A new language is a file in words/ and a line here.

import en from '../words/en.js';
import { recall, remember } from './memory.js';

const languages = { en: async () => en, ko: () => import('../words/ko.js').then((file) => file.default) };
const names = Object.keys(languages);

// The one the reader chose, else the first of the browser's.
export const language = [recall('language'), ...navigator.languages.map((tag) => tag.split('-')[0])]
    .find((name) => names.includes(name)) ?? 'en';
const words = await languages[language]().catch(() => en); // a page in English is better than none

export const known = (key) => key in words;

export function t(key, values = {}) {
    return (words[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

// A button that leads to the next language; its word for that language is 'language'.
export function startLanguage(button) {
    const next = names[(names.indexOf(language) + 1) % names.length];
    button.lang = next;
    button.addEventListener('click', () => {
        remember('language', next);
        location.reload();
    });
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
