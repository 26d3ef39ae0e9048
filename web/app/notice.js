// One problem at a time, said where the answer would be.

import { $, el } from './dom.js';
import { t } from './words.js';

const box = $('#notice');

export function clearNotice() {
    box.hidden = true;
    box.replaceChildren();
}

// actions: [{ label, main, run }]; each closes the notice first.
export function showNotice({ title, text, detail, actions = [] }) {
    const buttons = [...actions, { label: t('error.dismiss'), run: () => {} }].map(({ label, main, run }) =>
        el('button', {
            type: 'button', className: main ? 'main' : '', textContent: label,
            onclick: () => {
                clearNotice();
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
