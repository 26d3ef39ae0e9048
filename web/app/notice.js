// One problem at a time, said where the answer would be.

import { $, el } from './dom.js';
import { t } from './words.js';

const box = $('#notice');

let stays = false;

function close() {
    stays = false;
    box.hidden = true;
    box.replaceChildren();
}

// A question stays until it is answered.
export const clearNotice = () => stays || close();

// actions: [{ label, main, run }]; each closes the notice first. isQuestion: it asks, rather than tells.
export function showNotice({ title, text, detail, actions = [], isQuestion = false }) {
    stays = isQuestion;
    const buttons = [...actions, { label: t('error.dismiss'), run: () => {} }].map(({ label, main, run }) =>
        el('button', {
            type: 'button', className: main ? 'main' : '', textContent: label,
            onclick: () => {
                close();
                run();
            },
        }));
    const report = el('details', { hidden: !detail },
        el('summary', { textContent: t('error.detail') }), el('code', { textContent: detail }));
    box.replaceChildren(el('div', { className: 'notice', role: 'alert' },
        el('h2', { textContent: title }),
        el('p', { textContent: text }),
        report,
        el('div', { className: 'actions' }, ...buttons)));
    box.hidden = false;
}
