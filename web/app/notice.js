// One problem at a time, said where the answer would be.

import { $, el } from './dom.js';
import { t } from './words.js';

const box = $('#notice');

let question = null;    // what stays until it is answered

// A question that something else covered is asked again.
export function clearNotice() {
    if (question) return void show(question);
    box.hidden = true;
    box.replaceChildren();
}

// actions: [{ label, main, run }]; each closes the notice first, as dismissing it does. isQuestion: it asks, rather than tells.
export function showNotice(notice) {
    if (notice.isQuestion) question = notice;
    show(notice);
}

let shown = null;

function show(notice) {
    if (shown === notice && !box.hidden) return;
    const { title, text, detail, actions = [], isQuestion, dismissed = () => {} } = shown = notice;
    const buttons = [...actions, { label: t('error.dismiss'), run: dismissed }].map(({ label, main, run }) =>
        el('button', {
            type: 'button', className: main ? 'main' : '', textContent: label,
            onclick: () => {
                if (isQuestion) question = null;
                clearNotice();
                $('#panel').focus({ preventScroll: true }); // the button that had it is gone
                run();
            },
        }));
    const report = el('details', { hidden: !detail },
        el('summary', { textContent: t(isQuestion ? 'ask.detail' : 'error.detail') }), el('code', { textContent: detail }));
    box.replaceChildren(el('div', { className: 'notice', role: 'alert' },
        el('h2', { textContent: title }),
        el('p', { textContent: text }),
        report,
        el('div', { className: 'actions' }, ...buttons)));
    box.hidden = false;
}
