// Several pictures at once: a table that fills up, sorts, and can be saved.

import { $, el, save } from './dom.js';
import { t } from './words.js';
import { count, percent } from './format.js';
import { classify } from './classify.js';
import { isKnown, nameOf } from './answer.js';
import { describe, isCancel } from './errors.js';

const box = $('#batch');
const columns = [
    { key: 'picture', value: (row) => row.picture.name },
    { key: 'answer', value: (row) => (row.result ? nameOf(row.result.top[0]) : '') },
    { key: 'score', value: (row) => row.result?.top[0].score ?? -1, number: true },
    { key: 'ms', value: (row) => row.result?.ms ?? -1, number: true },
];

const EVERY = 1000;     // ms between two sorts while rows come in

let rows = [];          // { picture, result, error, tr }
let order = null;       // { column, up }
let chosen = null;      // the row whose picture is on the stage
let abort = null;
let later = 0;          // timer of the next sort
let choose = () => {};

function tableRow(row) {
    const name = el('button', { type: 'button', textContent: row.picture.name, title: row.picture.name, onclick: () => {
        const before = chosen;
        chosen = row;
        for (const one of [before, row]) drawRow(one);
        choose(row);
    } });
    const cells = [el('td', {}, name)];
    if (row.error) {
        const { title, detail } = describe(row.error, 'picture');
        cells.push(el('td', { colSpan: 3, className: 'failed', textContent: title, title: detail }));
    } else {
        const best = row.result?.top[0];
        const label = best ? nameOf(best) : '';
        cells.push(el('td', { textContent: label, title: label }),
            el('td', { className: 'number', textContent: best ? percent(best.score) : '' }),
            el('td', { className: 'number', textContent: row.result ? Math.round(row.result.ms) : '' }));
    }
    return el('tr', row === chosen ? { 'aria-current': 'true' } : {}, ...cells);
}

function sorted() {
    if (!order) return rows;
    const { value } = columns[order.column];
    const sign = order.up ? 1 : -1;
    return [...rows].sort((a, b) => (value(a) < value(b) ? -sign : value(a) > value(b) ? sign : 0));
}

function headCell({ key, number }, column) {
    const sort = el('button', { type: 'button', textContent: t(`batch.${key}`), onclick: () => {
        order = { column, up: order?.column === column ? !order.up : !number };
        draw();
    } });
    return el('th', { scope: 'col', className: number ? 'number' : '' }, sort);
}

function drawOrder() {
    for (const [column, cell] of [...$('thead tr', box).children].entries()) {
        cell.removeAttribute('aria-sort');
        if (order?.column === column) cell.setAttribute('aria-sort', order.up ? 'ascending' : 'descending');
    }
}

// One row that is known now; where rows are sorted its place may be another, which is looked for now and then.
function drawRow(row) {
    const old = row.tr;
    const focused = old.contains(document.activeElement);
    row.tr = tableRow(row);
    old.replaceWith(row.tr);
    if (focused) $('button', row.tr).focus();
    drawCount();
    if (order) later ||= setTimeout(draw, EVERY);
}

function drawCount() {
    const done = rows.filter((row) => row.result || row.error).length;
    $('h2', box).textContent = t('batch.title', { done: count(done), total: count(rows.length) });
    for (const button of box.querySelectorAll('footer button')) button.disabled = !done;
}

function draw() {
    clearTimeout(later);
    later = 0;
    drawCount();
    drawOrder();
    const focused = document.activeElement;
    $('tbody', box).replaceChildren(...sorted().map((row) => row.tr ??= tableRow(row)));
    if (box.contains(focused)) focused.focus({ preventScroll: true }); // which moving its row took
}

// What is done; a picture that could not be read has an error instead of an answer.
function asObjects() {
    return rows.filter((row) => row.result || row.error).map(({ picture, result, error }) => (error ? { path: picture.name, error: error.message } : {
        path: picture.name,
        known: isKnown(result.top[0]),
        top: result.top.map(({ index, label, score }) => ({ index, label, score })),
        ms: Math.round(result.ms * 10) / 10,
    }));
}

const asJson = () => JSON.stringify(asObjects(), null, 1);

function asCsv() {
    // a spreadsheet would compute what begins like a formula
    const quoted = (value) => `"${String(value).replace(/^[=+\-@\t\r]/, "'$&").replaceAll('"', '""')}"`;
    const lines = asObjects().map(({ path, top: [best] = [{}], ms, known, error }) =>
        [quoted(path), best.index, quoted(best.label ?? ''), best.score, ms, known, quoted(error ?? '')].join(','));
    return `\ufeff${['name,index,answer,score,ms,known,error', ...lines, ''].join('\r\n')}`; // spreadsheets take it for UTF-8
}

function build() {
    const button = (key, onclick) => el('button', { type: 'button', textContent: t(key), onclick });
    box.replaceChildren(
        el('header', {}, el('h2'), button('batch.stop', () => (abort ? stopBatch() : dismiss()))),
        el('div', { className: 'scroll', tabIndex: 0, role: 'region', 'aria-label': t('answer') },
            el('table', {}, el('thead', {}, el('tr', {}, ...columns.map(headCell))), el('tbody'))),
        el('footer', { className: 'actions' },
            button('batch.csv', () => save('classes.csv', 'text/csv', asCsv())),
            button('batch.json', () => save('classes.json', 'application/json', asJson()))));
    box.hidden = false;
    box.scrollIntoView({ block: 'nearest' });
}

export const stopBatch = () => abort?.abort();

export function closeBatch() {
    stopBatch();
    box.hidden = true;
}

function dismiss() {
    closeBatch();
    $('#panel').focus({ preventScroll: true }); // the button that had it is gone
}

// Classifies pictures [{ name, blob }] in turn. show(row) is called for the first one and for each one chosen.
export async function runBatch(pictures, show) {
    abort?.abort();
    const controller = abort = new AbortController();
    rows = pictures.map((picture) => ({ picture }));
    order = null;
    chosen = rows[0];
    choose = show;
    build();
    draw();
    for (const row of rows) {
        try {
            row.result = await classify(row.picture.blob, controller.signal);
        } catch (error) {
            if (isCancel(error)) break;
            row.error = error;
        }
        if (abort !== controller) return;
        drawRow(row);
        if (row === chosen) show(row);
    }
    if (abort !== controller) return;
    abort = null;
    $('header button', box).textContent = t('batch.close');
    if (!controller.signal.aborted) $('#live').textContent = t('batch.done', { total: count(rows.length) });
}
