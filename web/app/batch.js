// Several pictures at once: a table that fills up, sorts, and can be saved. Of its rows only those are drawn that are seen.

import { $, el, save } from './dom.js';
import { onLanguage, t } from './words.js';
import { count, percent } from './format.js';
import { classify } from './classify.js';
import { isKnown, labelOf } from './answer.js';
import { describe, isCancel } from './errors.js';
import { model, titleOf } from './model.js';
import { clearNotice } from './notice.js';
import { placesOf } from './order.js';

const box = $('#batch');
const columns = [
    { key: 'picture', value: (row) => row.picture.name },
    { key: 'answer', value: answerOf },
    { key: 'score', value: (row) => row.result?.top[0].score ?? -1, number: true },
    { key: 'ms', value: (row) => row.result?.ms ?? -1, number: true },
];

const EVERY = 1000;     // ms between two sorts while rows come in
const MORE = 20;        // rows that are drawn above and below those that are seen
const STEP = 10;        // rows by which they change

let rows = [];          // { picture, result, isKnown, error, tr }
let shown = [];         // the same in the order that they are shown in
let order = null;       // { column, up }
let places = new Map(); // of texts that were sorted
let done = 0;           // rows
let of = null;          // { vit, name }: the model whose answers they are; null: there is no table
let chosen = null;      // the row whose picture is on the stage
let abort = null;
let later = 0;          // timer of the next sort
let frame = 0;          // in which rows are drawn
let height = 0;         // of a row
let show = () => {};

// ---- Rows

function answerOf({ result, isKnown: known }) {
    if (!result) return '';
    return known ? labelOf(result.top[0]) : t('answer.none');
}

function markRow(row) {
    if (row === chosen) row?.tr?.setAttribute('aria-current', 'true');
    else row?.tr?.removeAttribute('aria-current');
}

function choose(row) {
    const before = chosen;
    chosen = row;
    markRow(before);
    markRow(row);
}

// Shows what is known of it; the picture that was on the stage before is chosen no longer.
function present(row) {
    show(row, model.vit !== of.vit);
    choose(row);
}

function fillRow(row) {
    const { tr, result, error } = row;
    if (!tr) return;
    for (const cell of [...tr.cells].slice(1)) cell.remove(); // the first one may have the focus
    if (error) {
        const { title, detail } = describe(error, 'picture');
        return tr.append(el('td', { colSpan: 3, className: 'failed', textContent: title, title: detail }));
    }
    const label = answerOf(row);
    tr.append(el('td', { textContent: label, title: label }),
        el('td', { className: 'number', textContent: result ? percent(result.top[0].score) : '' }),
        el('td', { className: 'number', textContent: result ? count(Math.round(result.ms)) : '' }));
}

function rowOf(row) {
    if (row.tr) return row.tr;
    const { name } = row.picture;
    const choice = el('button', { type: 'button', textContent: name, title: name, onclick: () => {
        clearNotice();
        present(row);
    } });
    row.tr = el('tr', {}, el('td', {}, choice));
    fillRow(row);
    markRow(row);
    return row.tr;
}

function drawRows() {
    const scroll = $('.scroll', box), space = $('.rows', box), body = $('tbody', box);
    if (body.rows.length && scroll.clientHeight) height = body.rows[0].getBoundingClientRect().height;
    const top = height ? Math.floor(scroll.scrollTop / height / STEP) * STEP : 0;
    const seen = height ? Math.ceil(scroll.clientHeight / height) : 0;
    const first = Math.max(0, Math.min(top, shown.length - seen) - MORE);
    const last = Math.min(top + seen + STEP + MORE, shown.length);
    const drawn = shown.slice(first, last).map(rowOf);
    drawn.forEach((tr, i) => tr.setAttribute('aria-rowindex', first + i + 2));
    if (drawn.length === body.rows.length && drawn.every((tr, i) => tr === body.rows[i])) return;
    const focused = body.contains(document.activeElement) ? document.activeElement : null;
    body.replaceChildren(...drawn);
    space.style.paddingTop = `${first * height}px`;
    space.style.paddingBottom = `${(shown.length - last) * height}px`;
    if (focused) (focused.isConnected ? focused : scroll).focus({ preventScroll: true }); // which moving its row took
    if (!height) drawRows(); // now that it is known
}

function drawSoon() {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => of && drawRows());
}

// ---- Order

async function sorted() {
    if (!order) return rows;
    const { column, up } = order;
    const { value, number } = columns[column];
    const values = rows.map(value);
    if (!number) places = await placesOf(values, places);
    const keys = number ? values : values.map((text) => places.get(text));
    const sign = up ? 1 : -1;
    return [...rows.keys()].sort((a, b) => sign * (keys[a] - keys[b]) || a - b).map((i) => rows[i]);
}

async function draw() {
    clearTimeout(later);
    later = 0;
    const asked = [rows, order];
    drawOrder();
    const list = await sorted();
    if (rows !== asked[0] || order !== asked[1]) return;
    shown = list;
    drawRows();
}

// What stands on it is filled in again in another language.
const button = (key, onclick, className = '') => el('button', { type: 'button', className, textContent: t(key), 'data-t': key, onclick });

function headCell({ key, number }, column) {
    const sort = button(`batch.${key}`, () => {
        order = { column, up: order?.column === column ? !order.up : !number };
        draw();
    });
    return el('th', { scope: 'col', className: number ? 'number' : '' }, sort);
}

function drawOrder() {
    for (const [column, cell] of [...$('thead tr', box).children].entries()) {
        cell.removeAttribute('aria-sort');
        if (order?.column === column) cell.setAttribute('aria-sort', order.up ? 'ascending' : 'descending');
    }
}

// ---- What is saved

// What is done, in the order that is shown; a picture that could not be read has an error instead of an answer.
function asObjects() {
    return shown.filter((row) => row.result || row.error).map(({ picture, result, isKnown: known, error }) => (error ? { path: picture.name, error: error.message } : {
        path: picture.name,
        known,
        top: result.top.map(({ index, label, score }) => ({ index, label, score })),
        ms: Math.round(result.ms * 10) / 10,
    }));
}

const asJson = () => JSON.stringify(asObjects(), null, 1);

function asCsv() {
    // a spreadsheet would compute what begins like a formula
    const quoted = (value) => `"${String(value).replace(/^[=+\-@\t\r]/, "'$&").replaceAll('"', '""')}"`;
    const lines = asObjects().map(({ path, known, top: [best] = [{}], ms, error }) =>
        [quoted(path), known, best.index, quoted(best.label ?? ''), best.score, ms, quoted(error ?? '')].join(','));
    return `\ufeff${['path,known,index,label,score,ms,error', ...lines, ''].join('\r\n')}`; // spreadsheets take it for UTF-8
}

// ---- The table

function drawState() {
    $('h2', box).textContent = t('batch.title', { done: count(done), total: count(rows.length) });
    $('header button', box).textContent = t(abort ? 'batch.stop' : 'batch.close');
    for (const one of box.querySelectorAll('.save')) one.disabled = !done;
    const isOld = Boolean(model.vit && model.vit !== of.vit);
    $('.on', box).hidden = Boolean(abort) || isOld || done === rows.length;
    $('.of', box).hidden = $('.again', box).hidden = !isOld;
    $('.of', box).textContent = isOld ? t('batch.of', { name: of.name, compute: of.vit.info.compute }) : '';
}

function build() {
    const table = el('table', { 'aria-rowcount': rows.length + 1 }, el('thead', {}, el('tr', {}, ...columns.map(headCell))), el('tbody'));
    box.replaceChildren(
        el('header', {}, el('h2'), button('batch.stop', () => (abort ? stop() : dismiss()))),
        el('p', { className: 'of hint' }),
        el('div', { className: 'scroll', tabIndex: 0, role: 'region', 'aria-label': t('batch.table'), 'data-t-label': 'batch.table', onscroll: drawSoon },
            el('div', { className: 'rows' }, table)),
        el('footer', { className: 'actions' },
            button('find.on', goOn, 'on'),
            button('batch.again', goOn, 'again'),
            button('batch.csv', () => save('classes.csv', 'text/csv', asCsv()), 'save'),
            button('batch.json', () => save('classes.json', 'application/json', asJson()), 'save')));
}

const stop = () => abort?.abort();

function dismiss() {
    clearTimeout(later);
    later = 0;
    of = chosen = null;
    rows = shown = [];
    box.hidden = true;
    box.replaceChildren();
    $('#panel').focus({ preventScroll: true }); // the button that had it is gone
}

function goOn() {
    $('.scroll', box).focus({ preventScroll: true }); // the button that has it goes
    run();
}

// Its answers are of the model before, whose work this ends.
export function modelHasChanged() {
    if (!of) return;
    stop();
    drawState();
}

export const chooseNone = () => choose(null);

function translate() {
    if (!of) return;
    places = new Map();
    for (const row of rows) {
        if (row.tr?.isConnected) fillRow(row);
        else row.tr = null;
    }
    drawState();
    if (order) draw();
}

export function startBatch() {
    new ResizeObserver(() => of && drawRows()).observe(box); // another tab hides it
    onLanguage(translate);
}

// Classifies in turn the rows that have no answer of this model.
async function run() {
    stop();
    const controller = abort = new AbortController();
    const { vit, origin } = model;
    if (of?.vit !== vit) {
        for (const row of rows) {
            row.result = row.error = undefined;
            fillRow(row);
        }
    }
    of = { vit, get name() { return titleOf(vit, origin); } };
    const left = rows.filter(({ result, error }) => !result && !error);
    done = rows.length - left.length;
    drawState();
    for (const row of left) {
        try {
            row.result = await classify(row.picture.blob, controller.signal);
            row.isKnown = isKnown(row.result.top[0]);
        } catch (error) {
            if (isCancel(error)) break;
            row.error = error;
        }
        if (abort !== controller) return;
        done++;
        fillRow(row);
        drawState();
        if (order) later ||= setTimeout(draw, EVERY);
        if (row === chosen) present(row);
    }
    if (abort !== controller) return;
    abort = null;
    if (!of) return;
    drawState();
    if (!controller.signal.aborted) $('#live').textContent = t('batch.done', { total: count(rows.length) });
}

// Classifies pictures [{ name, blob }]. presented(row, isOld) is called for the first one and for each one chosen; isOld: its
// answer is of a model that is no longer in use.
export function runBatch(pictures, presented) {
    rows = pictures.map((picture) => ({ picture }));
    order = null;
    places = new Map();
    chosen = rows[0];
    show = presented;
    box.hidden = false;
    build();
    run();
    draw();
    box.scrollIntoView({ block: 'nearest' });
}
