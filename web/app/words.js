// The page's words in the reader's language. A new language is a file in words/ and a line here.

import en from '../words/en.js';
import { el } from './dom.js';
import { recall, remember } from './memory.js';

const languages = { en: async () => en, ko: () => import('../words/ko.js').then((file) => file.default) };
const names = Object.keys(languages);

// The one the reader chose, else the first of the browser's.
export let language = [recall('language'), ...navigator.languages.map((tag) => tag.split('-')[0])]
    .find((name) => names.includes(name)) ?? 'en';
let words = await languages[language]().catch(() => {
    language = 'en'; // a page in English is better than none
    return en;
});

const listeners = [];

// listener() is called when the page has another language, to say anew what index.html does not.
export const onLanguage = (listener) => listeners.push(listener);

export const known = (key) => key in words;

const fill = (text, values) => text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);

// A field term: [[patch]], or [[patch|patches]] where the text has another form of it. 'term.patch' explains it.
const TERM = /\[\[(\w+)(?:\|([^\]]+))?\]\]/;

export function t(key, values = {}) {
    return fill((words[key] ?? key).replace(RegExp(TERM, 'g'), (_, term, shown) => shown ?? term), values);
}

// The key of a text about so many; the language may have another for one.
export const singular = (key, n) => (n === 1 && known(`${key}.one`) ? `${key}.one` : key);

let tips = 0;

function explained(term, shown) {
    const tip = el('span', { id: `tip-${++tips}`, role: 'tooltip', textContent: words[`term.${term}`] });
    const word = el('button', { type: 'button', 'aria-describedby': tip.id, textContent: shown });
    const box = el('span', { className: 'term' }, word, tip);
    for (const event of ['pointerenter', 'focus']) word.addEventListener(event, () => box.classList.remove('shut'));
    return box;
}

// Escape shuts what is explained, wherever the keyboard is.
addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    for (const term of document.querySelectorAll('.term:is(:hover, :focus-within)')) term.classList.add('shut');
});

// The text of an element, its field terms explained on pointing at them.
export function say(element, key, values = {}) {
    const parts = (words[key] ?? key).split(TERM); // text, term, form, text, ...
    element.replaceChildren(...parts.flatMap((part, i) =>
        i % 3 === 0 ? [fill(part, values)] : i % 3 === 1 ? [explained(part, fill(parts[i + 1] ?? part, values))] : []));
    element.classList.toggle('explains', parts.length > 1);
    return element;
}

const nextLanguage = () => names[(names.indexOf(language) + 1) % names.length];

async function changeLanguage(next) {
    words = await languages[next]();
    language = next;
    remember('language', next);
    fillIn();
    for (const listener of listeners) listener();
}

// A button that leads to the next language; its word for that language is 'language'.
export function startLanguage(button) {
    const show = () => {
        button.lang = nextLanguage();
    };
    onLanguage(show);
    show();
    button.addEventListener('click', () => changeLanguage(nextLanguage()).catch(() => {})); // it could not be fetched: this one stays
}

// Fills in the document: data-t is an element's text, data-t-label its label for screen readers.
export function fillIn() {
    document.documentElement.lang = language;
    for (const element of document.querySelectorAll('[data-t]')) say(element, element.dataset.t);
    for (const element of document.querySelectorAll('[data-t-label]')) {
        const text = t(element.dataset.tLabel);
        element.setAttribute('aria-label', text);
        if (element.tagName === 'BUTTON') element.title = text;
    }
}
