// Fill in: patches are hidden, by brush or by chance, and a model that was trained for it says what was there.

import { $, chips, nameChips, onHold, save } from '../app/dom.js';
import { t } from '../app/words.js';
import { breaks } from '../app/breaks.js';
import { number, percent } from '../app/format.js';
import { partsOf, withReadable } from '../app/classify.js';
import { Problem, describe, isCancel } from '../app/errors.js';
import { readHash, writeHash } from '../app/hash.js';
import { loadMasked, model } from '../app/model.js';
import { showNotice } from '../app/notice.js';
import { showRuns } from '../app/runs.js';
import { chosenPatch, onPatch, redraw, setBrush, setClear, setOverlay, setView, under } from '../app/stage.js';
import { viewOf } from '../app/view.js';

const SLOW = 150;           // ms: a call that takes longer is ended by the next stroke, others are still seen
const LARGEST = 1 << 20;    // pixels of a picture that is filled in while one paints; larger ones are shrunk
const BRUSHES = [1, 2, 4];  // patches on a side
const GRIDS = [1, 2];       // times the patches that the model was trained with, on a side
const TWIN = 320;           // pixels
const CLICKED = 3000;       // ms for which a click shows the truth
const PAUSE = 300;          // ms without a change, before the result is spoken

const box = $('#fill');
const slider = $('#share');
const truth = $('#fill-truth');
const [seen, raw] = box.querySelectorAll('.twins canvas');

let own = null;             // promise of { vit, name }: the engine's model, for when that of the page cannot fill in
let share = 0.5, seed = 0;  // what chance hides,
let painted = null;         // unless that was painted: [rows * columns]
let finer = 1;              // of GRIDS
let job = null;             // the picture in work, as look() makes it
let stroke = null;          // { hide, last } of a stroke
let isTruthShown = false;
let hiding = 0;             // a timer, of a truth that was clicked for
let speaking = 0;           // a timer
let lookAgain = () => {};

// ---- What is hidden, in the link: a digit for every four patches

function toHex(mask) {
    let text = '';
    for (let i = 0; i < mask.length; i += 4) text += ((mask[i] << 3) | (mask[i + 1] << 2) | (mask[i + 2] << 1) | mask[i + 3]).toString(16);
    return text;
}

const fromHex = (text) => Uint8Array.from([...text].flatMap((digit) => [8, 4, 2, 1].map((bit) => (parseInt(digit, 16) & bit ? 1 : 0))));

const writeLink = () => writeHash({
    share: painted || share === 0.5 ? undefined : Math.round(100 * share), seed: painted || !seed ? undefined : seed,
    mask: painted ? toHex(painted) : undefined, grid: finer === 1 ? undefined : finer,
});

// ---- The model and the picture

async function filler() {
    if (model.vit && model.vit.info.decoder !== 'none') return model;
    own ??= loadMasked((loaded, of) => {
        $('.coming', box).textContent = t('fill.coming', { percent: percent(of ? loaded / of : 0) });
    }).catch((error) => {
        own = null;
        throw Object.assign(new Problem('no-masked', error.message), { about: 'model' });
    });
    $('.coming', box).hidden = false;
    return own.finally(() => {
        $('.coming', box).hidden = true;
    });
}

function canvasOf({ data, width, height }) {
    const canvas = new OffscreenCanvas(width, height);
    canvas.getContext('2d').putImageData(new ImageData(data, width, height), 0, 0);
    return canvas;
}

// A pixel is the mean of those that it stands for. Browsers shrink millions of them in one go, which holds up the page.
async function shrink(image) {
    const { data, width, height } = image;
    const scale = Math.sqrt(LARGEST / (width * height));
    if (scale >= 1) return image;
    const small = new ImageData(...[width, height].map((side) => Math.max(1, Math.round(side * scale))));
    const edges = (parts, whole) => Array.from({ length: parts + 1 }, (_, i) => Math.round(i * whole / parts));
    const left = edges(small.width, width), top = edges(small.height, height);
    const sum = [0, 0, 0, 0];
    const pause = breaks();
    for (let y = 0; y < small.height; y++) {
        const line = small.data.subarray(4 * y * small.width);
        for (let x = 0; x < small.width; x++) {
            sum.fill(0);
            for (let row = top[y]; row < top[y + 1]; row++)
                for (let at = 4 * (row * width + left[x]); at < 4 * (row * width + left[x + 1]); at++) sum[at & 3] += data[at];
            const count = (top[y + 1] - top[y]) * (left[x + 1] - left[x]);
            for (let c = 0; c < 4; c++) line[4 * x + c] = sum[c] / count;
        }
        await pause();
    }
    return small;
}

// ---- Filling in

// A masked autoencoder cannot do without a visible patch.
const wantsToSee = ({ vit }) => vit.info.decoder === 'mae';

// Predicts what is hidden now, and again if that changed meanwhile: only the newest stroke waits.
function fillIn() {
    const now = job;
    if (!now) return Promise.resolve();
    now.wanted = true;
    if (now.took > SLOW) now.call?.abort();
    now.running ??= predict(now).finally(() => {
        now.running = null;
    });
    return now.running;
}

async function predict(now) {
    while (now.wanted && !now.signal.aborted) {
        now.wanted = false;
        now.call = new AbortController();
        const most = wantsToSee(now) ? 1 - 1.5 / (now.rows * now.columns) : 1;
        const asked = painted ? { mask: painted } : { ratio: Math.min(share, most), seed };
        const began = performance.now();
        const answer = await now.vit.predictMasked(now.image, { ...asked, size: now.size, raw: true, signal: now.call.signal })
            .catch((error) => isCancel(error) || Promise.reject(error));
        now.took = performance.now() - began;
        if (answer !== true && !now.signal.aborted) show(now, answer);
    }
}

const fail = (error) => isCancel(error) || showNotice(() => describe(error, 'picture'));
const refill = () => fillIn().catch(fail);

function show(now, answer) {
    Object.assign(now, { answer, filled: canvasOf(answer.image), hidden: painted ?? answer.mask });
    redraw();
    showTwins(now);
    showScore(now);
    showPatch();
    showRuns(partsOf(now.vit.info.last), now);
    clearTimeout(speaking);
    speaking = setTimeout(speak, PAUSE);
}

// Once strokes and the slider rest; whoever goes from patch to patch hears of those.
function speak() {
    if (document.activeElement?.id !== 'patches') $('#live').textContent = `${$('.verdict', box).textContent}. ${$('.error', box).textContent}`;
}

// ---- What is seen

// Calls add(left, top, width, height) for the patches that are wanted.
function eachPatch({ rows, columns }, x, y, wanted, add) {
    for (let i = 0; i < rows * columns; i++) {
        const row = Math.floor(i / columns), column = i % columns;
        if (wanted(i)) add(x(column), y(row), x(column + 1) - x(column), y(row + 1) - y(row));
    }
}

// The lines between hidden patches and others.
function outline(pen, { rows, columns, hidden }, x, y) {
    const isHidden = (row, column) => row >= 0 && column >= 0 && row < rows && column < columns && hidden[row * columns + column] === 1;
    const line = (...ends) => ends.forEach(([column, row], i) => (i ? pen.lineTo(x(column), y(row)) : pen.moveTo(x(column), y(row))));
    pen.beginPath();
    for (let row = 0; row <= rows; row++) {
        for (let column = 0; column <= columns; column++) {
            if (isHidden(row, column) !== isHidden(row - 1, column)) line([column, row], [column + 1, row]);
            if (isHidden(row, column) !== isHidden(row, column - 1)) line([column, row], [column, row + 1]);
        }
    }
    pen.strokeStyle = '#fff';
    pen.lineWidth = 1.5;
    pen.stroke();
}

function paint(pen, x, y, showGrid) {
    if (!job?.hidden || isTruthShown) return;
    const { rows, columns, hidden, answer, filled } = job;
    pen.save();
    pen.beginPath();
    eachPatch(job, x, y, (i) => hidden[i] && answer?.mask[i], (...patch) => pen.rect(...patch));
    pen.clip();
    pen.imageSmoothingQuality = 'high';
    if (answer) pen.drawImage(filled, x(0), y(0), x(columns) - x(0), y(rows) - y(0));
    pen.restore();
    pen.fillStyle = '#808080';
    eachPatch(job, x, y, (i) => hidden[i] && !answer?.mask[i], (...patch) => pen.fillRect(...patch));
    if (showGrid) outline(pen, job, x, y);
}

function showTwins(now) {
    const { rows, columns, answer, source } = now;
    for (const [canvas, image] of [[seen, source], [raw, canvasOf(answer.raw)]]) {
        canvas.width = TWIN;
        canvas.height = Math.max(1, Math.round(TWIN * now.image.height / now.image.width));
        canvas.getContext('2d').drawImage(image, 0, 0, canvas.width, canvas.height);
    }
    const pen = seen.getContext('2d');
    pen.fillStyle = '#808080';
    const edge = (count, size) => (i) => Math.round(i * size / count);
    eachPatch(now, edge(columns, seen.width), edge(rows, seen.height), (i) => answer.mask[i], (...patch) => pen.fillRect(...patch));
}

// What the visible patches say of a hidden one, weighted by distance^-6.
function neighbours({ rows, columns, truth: { colors } }, mask, patch) {
    const sums = [0, 0, 0];
    let weights = 0;
    for (let i = 0; i < rows * columns; i++) {
        const down = Math.floor(i / columns) - Math.floor(patch / columns), right = i % columns - patch % columns;
        const weight = mask[i] ? 0 : (down * down + right * right) ** -3;
        weights += weight;
        for (let c = 0; c < 3 && weight; c++) sums[c] += weight * colors[3 * i + c];
    }
    return sums.map((sum) => (weights ? sum / weights : 127.5));
}

// How many colours of hidden patches are right, and how far off they are: of the model, and of what is around.
function showScore(now) {
    const { answer: { mask, colors, labels }, truth } = now;
    const hidden = [...mask.keys()].filter((i) => mask[i]);
    const score = (colorsOf, labelOf) => {
        let right = 0, error = 0;
        for (const i of hidden) {
            const color = colorsOf(i);
            right += labelOf(i, color) === truth.labels[i];
            error += color.reduce((sum, value, c) => sum + Math.abs(value - truth.colors[3 * i + c]) / 3, 0);
        }
        return { right: percent(right / hidden.length), error: number(error / hidden.length) };
    };
    slider.value = Math.round(100 * hidden.length / mask.length);
    $('#share-number').textContent = percent(hidden.length / mask.length);
    const ours = hidden.length && score((i) => [...colors.subarray(3 * i, 3 * i + 3)], (i) => labels[i]);
    const around = hidden.length && score((i) => neighbours(now, mask, i), (_, color) => color.reduce((label, value) => 8 * label + Math.min(value >> 5, 7), 0));
    $('.verdict', box).textContent = ours ? t('fill.right', ours) : t('fill.nothing');
    $('.error', box).textContent = ours ? t('fill.error', { error: ours.error, blur: around.error, blurred: around.right }) : t('fill.paint');
}

// What is said of the patch that is pointed at.
function showPatch() {
    const at = job?.answer && chosenPatch();
    const line = $('.patch', box);
    line.toggleAttribute('data-on', Boolean(at));
    const words = $('span', line);
    words.textContent = '';
    if (!at) return;
    const { answer, columns, truth } = job;
    const i = at.row * columns + at.column, sure = answer.probabilities[i];
    const values = { row: at.row + 1, column: at.column + 1, share: Number.isNaN(sure) ? '' : percent(sure) };
    const colors = [answer, truth].map(({ colors }) => `rgb(${colors.subarray(3 * i, 3 * i + 3).join(' ')})`);
    line.querySelectorAll('.swatch').forEach((swatch, which) => {
        swatch.style.background = colors[which];
    });
    words.textContent = t(!answer.mask[i] ? 'fill.patch.visible' : Number.isNaN(sure) ? 'fill.patch.pixels' : 'fill.patch', values);
    if (document.activeElement?.id === 'patches') $('#live').textContent = words.textContent;
}

// ---- Strokes

function stamp(patch) {
    const { row, column, rows, columns } = under(patch);
    for (let i = 0; i < rows * columns; i++) {
        painted[(row + Math.floor(i / columns)) * job.columns + column + i % columns] = stroke.hide;
    }
}

function begin(patch) {
    if (!job?.hidden) return;
    stroke = { hide: job.hidden[patch.row * job.columns + patch.column] ? 0 : 1, last: patch };
    painted = Uint8Array.from(job.hidden);
    job.hidden = painted;
    go(patch);
}

// All patches from the last one on: pointers jump.
function go(patch) {
    if (!stroke || !job) return;
    const { last } = stroke;
    const steps = Math.max(Math.abs(patch.row - last.row), Math.abs(patch.column - last.column), 1);
    for (let i = 0; i <= steps; i++) {
        const between = (from, to) => Math.round(from + (to - from) * i / steps);
        stamp({ row: between(last.row, patch.row), column: between(last.column, patch.column) });
    }
    stroke.last = patch;
    if (wantsToSee(job) && painted.every(Boolean)) painted[0] = 0;
    redraw();
    refill();
}

function end() {
    stroke = null;
    if (job) writeLink();
}

// Chance, or nothing, hides patches instead of what was painted.
function hide(mask) {
    painted = mask;
    refill();
}

// ---- The tab

const useBrush = (side) => setBrush({ side, begin, go, end });
const gridName = (times) => t(`fill.grid.${times}`);
const chosenBrush = () => Number($('#fill-brush input:checked').value);

function showTruth(on) {
    clearTimeout(hiding);
    isTruthShown = on;
    truth.setAttribute('aria-pressed', on);
    redraw();
}

async function saveFilled() {
    if (!job?.hidden) return;
    const { vit, blob, size, hidden, picture } = job;
    const { image } = await withReadable(blob, (image) => vit.predictMasked(image, { mask: hidden, size }));
    save(`${picture.replace(/\.\w+$/, '')} ${t('fill.filled')}.png`, 'image/png', await canvasOf(image).convertToBlob());
}

function readLink() {
    const link = readHash();
    const within = (text, most, usual) => (/^\d+$/.test(text ?? '') && Number(text) <= most ? Number(text) : usual);
    share = within(link.share, 95, 50) / 100;
    seed = within(link.seed, 2 ** 31 - 1, 0);
    finer = within(link.grid, 2, 1) || 1;
    painted = /^[0-9a-f]+$/.test(link.mask ?? '') ? fromHex(link.mask) : null;
}

export default {
    name: 'fill',
    ownModel: true,

    start(page) {
        lookAgain = page.lookAgain;
        readLink();
        chips($('#fill-brush'), 'brush', BRUSHES, (side) => `${side} × ${side}`, BRUSHES[0], useBrush);
        chips($('#fill-grid'), 'grid', GRIDS, gridName, finer, (times) => {
            finer = times;
            painted = null;
            writeLink();
            lookAgain();
        });
        slider.addEventListener('input', () => {
            share = slider.value / 100;
            hide(null);
        });
        slider.addEventListener('change', writeLink);
        $('#fill-dice').addEventListener('click', () => {
            seed = Math.floor(Math.random() * 1e6);
            hide(null);
            writeLink();
        });
        $('#fill-none').addEventListener('click', () => {
            if (!job) return;
            hide(new Uint8Array(job.rows * job.columns));
            writeLink();
        });
        $('#fill-save').addEventListener('click', () => saveFilled().catch(fail));
        onHold(truth, {
            begin: () => showTruth(true),
            end: () => showTruth(false),
            click() {
                showTruth(true);
                hiding = setTimeout(showTruth, CLICKED, false);
            },
        });
        onPatch(showPatch);
    },

    async look(picture, signal, ready) {
        job = null;
        $('.controls', box).setAttribute('aria-busy', true);
        const { vit, name: named } = await filler();
        if (signal.aborted) return;
        setClear(1);
        const { height, width, patch: [patch] } = vit.info.input;
        const size = [finer * height, finer * width];
        const { blob } = picture;
        const truth = await withReadable(blob, (image) => vit.predictMasked(image, { ratio: 0, size, signal }));
        await ready;
        if (signal.aborted) return;
        const [rows, columns] = truth.grid;
        const whole = (width, height) => ({ left: 0, top: 0, width, height });
        setView({ rows, columns, patch, seen: whole });
        if (painted?.length === 4 * Math.ceil(rows * columns / 4)) painted = painted.slice(0, rows * columns); // as a link says it
        if (painted && painted.length !== rows * columns) painted = null;
        const image = await shrink(truth.image);
        if (signal.aborted) return;
        job = { vit, name: named, picture: picture.name, signal, blob, size, truth, image, source: canvasOf(image), rows, columns };
        setOverlay(paint);
        useBrush(chosenBrush());
        $('#patches').setAttribute('aria-label', t('fill.patches'));
        await fillIn();
        if (signal.aborted) return;
        $('.controls', box).hidden = false;
        $('.controls', box).setAttribute('aria-busy', false);
    },

    translate() {
        nameChips($('#fill-grid'), gridName);
        if (job) lookAgain();
    },

    // Chance hides what a link says, unless it names the patches itself.
    follow(link) {
        if (!['share', 'seed', 'mask', 'grid'].some((key) => key in link)) return;
        if (!link.mask) writeHash({ mask: undefined });
        readLink();
        $(`#fill-grid [value="${finer}"]`).checked = true;
        lookAgain();
    },

    clear() {
        job = null;
        redraw();
        $('.controls', box).hidden = true;
    },

    leave() {
        job = null;
        clearTimeout(speaking);
        setOverlay(null);
        setBrush(null);
        $('#patches').setAttribute('aria-label', t('patches'));
        if (model.vit) setView(viewOf(model.vit.info.input));
    },
};
