// Figure 1 of the paper with the picture at hand: patches, tokens, layers, answer, one after another.

import { $, chips, el, nameChips } from './dom.js';
import { onLanguage, say, t } from './words.js';
import { count } from './format.js';
import { scoreRow } from './answer.js';
import { bitmapOf, withReadable } from './classify.js';
import { isCancel } from './errors.js';
import { model } from './model.js';
import { shade } from './stage.js';
import { viewOf } from './view.js';

const SIDE = 480;       // pixels of what the model sees, about
const GAP = 0.12;       // of a patch, between patches that are taken apart
const TOKEN = 32;       // pixels
const TOKENS = 400;     // at most, in the row

const box = $('#steps');
const drawing = $('.drawing', box);

let step = 1;
let job = null;         // { blob, signal, vit }, then { square, classes, shown }: what the model sees of it, on a canvas; the step that is drawn

const canvasOf = (width, height) => el('canvas', { width, height, role: 'img', 'aria-label': t('steps.alt', { step, name: t(`steps.${step}`) }) });

// What the model sees, so that every patch is a whole number of pixels.
async function look(now) {
    if (now.square) return now.square;
    const view = viewOf(model.vit.info.input);
    const tile = Math.max(1, Math.round(SIDE / view.columns));
    const bitmap = await bitmapOf(now.blob);
    const { left, top, width, height } = view.seen(bitmap.width, bitmap.height);
    const isCut = left >= 1 || top >= 1;
    const canvas = new OffscreenCanvas(view.columns * tile, view.rows * tile);
    const pen = canvas.getContext('2d');
    pen.imageSmoothingQuality = 'high';
    pen.drawImage(bitmap, left, top, width, height, 0, 0, canvas.width, canvas.height);
    bitmap.close();
    now.square = { canvas, tile, rows: view.rows, columns: view.columns, isCut };
    return now.square;
}

async function drawPatches(now) {
    const { canvas, tile, rows, columns } = await look(now);
    const pitch = tile + Math.max(1, Math.round(tile * GAP));
    const apart = canvasOf(columns * pitch, rows * pitch);
    const pen = apart.getContext('2d');
    for (let row = 0; row < rows; row++)
        for (let column = 0; column < columns; column++)
            pen.drawImage(canvas, column * tile, row * tile, tile, tile, column * pitch, row * pitch, tile, tile);
    return [apart];
}

async function drawTokens(now) {
    const { canvas, tile, rows, columns } = await look(now);
    const tokens = Math.min(rows * columns, TOKENS);
    const row = canvasOf(tokens * (TOKEN + 8), TOKEN + 24);
    const pen = row.getContext('2d');
    pen.font = '12px system-ui, sans-serif';
    pen.textAlign = 'center';
    pen.fillStyle = getComputedStyle(drawing).color;
    for (let i = 0; i < tokens; i++) {
        pen.drawImage(canvas, i % columns * tile, Math.floor(i / columns) * tile, tile, tile, i * (TOKEN + 8), 0, TOKEN, TOKEN);
        pen.fillText(i + 1, i * (TOKEN + 8) + TOKEN / 2, TOKEN + 16);
    }
    row.style.width = `${row.width}px`;
    return [el('div', { className: 'strip', tabIndex: 0, role: 'group', 'aria-label': t('steps.2') }, row)];
}

async function drawLayers(now) {
    const { canvas } = await look(now);
    const tiles = [];
    for (let layer = 0; layer < model.vit.info.layers; layer++) {
        const map = await withReadable(now.blob, (image) => model.vit.attention(image, { method: 'mean', layer, signal: now.signal }));
        const small = canvasOf(canvas.width >> 1, canvas.height >> 1);
        const pen = small.getContext('2d');
        pen.drawImage(canvas, 0, 0, small.width, small.height);
        pen.imageSmoothingEnabled = false;
        pen.drawImage(shade(map), 0, 0, small.width, small.height);
        const name = t('steps.layer', { layer: layer + 1 });
        small.setAttribute('aria-label', name);
        tiles.push(el('div', {}, small, el('span', { textContent: name, 'aria-hidden': 'true' })));
    }
    return [el('div', { className: 'layers' }, ...tiles)];
}

// Nothing where the model has no head.
async function drawAnswer(now) {
    const top = await withReadable(now.blob, (image) => model.vit.classify(image, { topK: 3, signal: now.signal })).catch((error) => {
        if (isCancel(error)) throw error;
        return [];
    });
    now.classes = model.vit.info.classes;
    return top.length ? [el('ol', { className: 'scores' }, ...top.map(scoreRow))] : [];
}

const draw = [drawPatches, drawTokens, drawLayers, drawAnswer];

// The words for a step: some networks have others.
function keyFor(step, hasDrawn) {
    if (!hasDrawn) return 'steps.4.none';
    const { info } = model.vit;
    const kind = step <= 2 && info.network === 'hybrid' ? '.convolved' : step === 3 && info.layers === 1 ? '.one' : '';
    const part = step === 1 && job.square.isCut ? '.middle' : '';
    return `steps.${step}.text${kind}${part}`;
}

async function show() {
    const now = job, at = step;
    if (!now || !box.open || now.shown === at) return;
    const { input, layers } = model.vit.info;
    const [rows, columns] = input.grid;
    const drawn = await draw[at - 1](now).catch((error) => isCancel(error) || Promise.reject(error));
    if (now !== job || at !== step || drawn === true) return;
    now.shown = at;
    drawing.replaceChildren(...drawn);
    say($('figcaption', box), keyFor(at, drawn.length > 0),
        { rows, columns, width: input.width, height: input.height, layers, count: count(now.classes ?? 0) });
}

const tryToShow = () => show().catch(() => {}); // what is wrong with the picture, the tab says

export function startSteps() {
    const nameOf = (number) => t(`steps.${number}`);
    chips($('.chips', box), 'step', draw.map((_, i) => i + 1), nameOf, step, (number) => {
        step = number;
        tryToShow();
    });
    onLanguage(() => {
        nameChips($('.chips', box), nameOf);
        if (job) job.shown = null;
        tryToShow();
    });
    box.addEventListener('toggle', tryToShow);
}

// The picture that is looked at, { blob, signal }; null: none.
export function stepThrough(next) {
    if (next && job?.blob === next.blob && job.vit === model.vit) job.signal = next.signal;
    else job = next && { ...next, vit: model.vit };
    return tryToShow();
}
