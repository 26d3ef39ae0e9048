// One problem at a time, said where the answer would be.

import { $, el } from './dom.js';
import { onLanguage, t } from './words.js';

const box = $('#notice');

let shown = null;       // makes the notice that is shown, or was
let question = null;    // makes the one that stays until it is answered

// A question that something else covered is asked again.
export function clearNotice() {
    if (question) return void show(question);
    box.hidden = true;
    box.replaceChildren();
}

// make() -> { title, text, detail, actions, isQuestion, dismissed } in the page's language. actions: [{ label, main, run }];
// each closes the notice first, as dismissing it does. isQuestion: it asks, rather than tells.
export function showNotice(make) {
    if (make().isQuestion) question = make;
    show(make);
}

function show(make) {
    if (shown === make && !box.hidden) return;
    shown = make;
    write();
    box.hidden = false;
}

onLanguage(() => box.hidden || write());

function write() {
    const { title, text, detail, actions = [], isQuestion, dismissed = () => {} } = shown();
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
}
