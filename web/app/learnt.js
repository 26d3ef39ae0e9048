// What the network has learnt, as in figure 7 of the paper: the filters of its first layer, which positions it takes for
// alike, and how far its heads look, over all pictures that were seen in this tab.

import { $ } from './dom.js';
import { onLanguage, say, t } from './words.js';
import { count } from './format.js';
import { withReadable } from './classify.js';
import { isCancel } from './errors.js';
import { model } from './model.js';

const COLUMNS = 7;      // of filters
const NOTHING = 1e-5;   // of the strongest component: what is left of one that is not there
const MOST = 1600;      // patches whose positions are drawn
const COLORS = ['#2a1252', '#39437f', '#2c6f8e', '#24978a', '#55bd68', '#b4d735', '#fbe934']; // from low to high
const CHART = { width: 360, height: 220, left: 36, right: 8, top: 12, bottom: 24 };

const box = $('#learnt');
const [filters, positions, distance] = box.querySelectorAll('figure');
const mark = $('.place', positions);

let drawn = null;           // the ViT whose filters and positions are shown
let grid = [1, 1];
const pictures = new Map(); // by name and size: { blob, heads }: distances [layers][heads], null where there are none
let measuring = null;       // AbortController
let shownFilters = {};      // { count, width, height, isPatch }: how many, their size, whether it is that of a patch

// As four bytes in one number: maps have millions.
function pixelOf(...rgb) {
    return new Uint32Array(Uint8ClampedArray.of(...rgb, 255).buffer)[0];
}

const scale = [...Array(256).keys()].map((i) => {
    const at = i / 255 * (COLORS.length - 1), below = Math.min(Math.floor(at), COLORS.length - 2), part = at - below;
    const channel = (color, c) => parseInt(color.slice(1 + 2 * c, 3 + 2 * c), 16);
    return pixelOf(...[0, 1, 2].map((c) => channel(COLORS[below], c) * (1 - part) + channel(COLORS[below + 1], c) * part));
});

// Rows and columns of tiles [height,width] with a gap between; color(tile, y, x) is what pixelOf() makes.
function drawMosaic(canvas, [rows, columns], tiles, [height, width], gap, color) {
    canvas.width = columns * (width + gap) - gap;
    canvas.height = rows * (height + gap) - gap;
    const pen = canvas.getContext('2d');
    const image = pen.createImageData(canvas.width, canvas.height);
    const pixels = new Uint32Array(image.data.buffer);
    for (let tile = 0; tile < tiles; tile++)
        for (let y = 0; y < height; y++)
            for (let x = 0; x < width; x++) {
                const row = Math.floor(tile / columns) * (height + gap) + y, column = tile % columns * (width + gap) + x;
                pixels[row * image.width + column] = color(tile, y, x);
            }
    pen.putImageData(image, 0, 0);
}

function explainFilters() {
    const { count, width, height, isPatch } = shownFilters;
    say($('figcaption', filters), isPatch ? 'learnt.filters' : 'learnt.filters.convolved', { count, width, height });
}

function drawFilters({ components, strengths, shape: [, height, width] }) {
    const length = 3 * height * width, tiles = strengths.filter((strength) => strength > NOTHING * strengths[0]).length;
    const most = Array.from({ length: tiles }, (_, i) => components.subarray(i * length, (i + 1) * length).reduce((a, b) => Math.max(a, Math.abs(b)), 0) || 1);
    drawMosaic($('canvas', filters), [Math.ceil(tiles / COLUMNS), COLUMNS], tiles, [height, width], Math.max(1, width >> 3), (tile, y, x) =>
        pixelOf(...[0, 1, 2].map((c) => 127.5 + 127.5 * components[tile * length + (c * height + y) * width + x] / most[tile])));
    shownFilters = { count: tiles, width, height, isPatch: `${[height, width]}` === `${model.vit.info.input.patch}` };
    explainFilters();
}

function drawPositions(found) {
    grid = found.grid;
    const { similarity } = found;
    const [, columns] = grid, patches = Math.sqrt(similarity.length);
    const least = similarity.reduce((a, b) => Math.min(a, b), 1), range = 1 - least || 1;
    drawMosaic($('canvas', positions), grid, patches, grid, 1, (tile, y, x) =>
        scale[Math.max(0, Math.min(255, Math.round(255 * (similarity[tile * patches + y * columns + x] - least) / range)))]);
}

// What a model does not have is not shown: with integers no filters, in some no positions.
async function drawOnce(signal) {
    const { vit } = model;
    const [rows, columns] = vit.info.input.grid;
    const parts = [[filters, () => vit.inspect('filters', { signal }), drawFilters],
        [positions, () => vit.inspect('positions', { signal }), drawPositions]];
    for (const [figure, ask, draw] of parts) {
        const found = await (figure === positions && rows * columns > MOST ? null : ask().catch((error) => {
            if (isCancel(error)) throw error;
        }));
        if (found) draw(found);
        figure.hidden = !found;
    }
    drawn = vit;
}

// ---- Distances

function svg(tag, attributes = {}, ...children) {
    const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
}

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;

// 1, 2 or 5 times a power of ten, so that there are at most so many steps up to `most`.
function niceStep(most, steps) {
    const power = 10 ** Math.floor(Math.log10(most / steps));
    return [1, 2, 5, 10].map((n) => n * power).find((step) => most / step <= steps);
}

function drawChart(layers) {
    const { width, height, left, right, top, bottom } = CHART;
    const most = Math.max(1, ...layers.flat()), step = niceStep(most, 5), every = Math.ceil(layers.length / 12);
    const x = (layer) => left + (layer + 0.5) * (width - left - right) / layers.length;
    const y = (pixels) => height - bottom - pixels * (height - top - bottom) / most;
    const lines = Array.from({ length: Math.floor(most / step) + 1 }, (_, i) => [
        svg('line', { x1: left, x2: width - right, y1: y(i * step), y2: y(i * step), class: 'line' }),
        svg('text', { x: left - 6, y: y(i * step) + 4, 'text-anchor': 'end' }, count(i * step))]);
    const names = layers.map((_, i) => i).filter((i) => i % every === 0)
        .map((i) => svg('text', { x: x(i), y: height - 6, 'text-anchor': 'middle' }, String(i + 1)));
    const means = svg('polyline', { class: 'mean', points: layers.map((heads, i) => `${x(i)},${y(mean(heads))}`).join(' ') });
    const points = layers.flatMap((heads, i) => heads.map((pixels) => svg('circle', { cx: x(i), cy: y(pixels), r: 3.5 })));
    const range = (heads) => `${Math.round(Math.min(...heads))}–${Math.round(Math.max(...heads))}`;
    const words = t('learnt.distance.alt', { first: range(layers[0]), last: range(layers.at(-1)), layers: layers.length });
    $('svg', distance).replaceWith(svg('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': words },
        ...lines.flat(), ...names, means, ...points));
}

function showDistances() {
    const all = [...pictures.values()];
    const each = all.flatMap(({ heads }) => (heads ? [heads] : []));
    distance.hidden = !each.length;
    if (!each.length) return;
    drawChart(each[0].map((heads, layer) => heads.map((_, head) => mean(each.map((one) => one[layer][head])))));
    const left = all.filter(({ heads }) => heads === undefined).length;
    say($('figcaption', distance), left ? 'learnt.distance.some' : 'learnt.distance', { count: count(each.length), left: count(left) });
}

// Draws what is not there yet, picture by picture, until it is left.
async function goOn() {
    if (measuring || !box.open || !model.vit?.info.layers) return;
    const mine = measuring = new AbortController();
    const { signal } = mine;
    const { vit } = model;
    try {
        if (drawn !== vit) await drawOnce(signal);
        if (vit.info.layers === 1) return; // there is nothing to compare
        for (const picture of pictures.values()) { // also those that come meanwhile
            if (signal.aborted) break;
            if (picture.heads !== undefined) continue;
            const measure = (images) => vit.inspect('distance', { images, signal });
            const { distance } = await withReadable(picture.blob, measure).catch((error) => {
                if (isCancel(error)) throw error;
                return { distance: null };
            });
            picture.heads = distance;
            showDistances();
        }
    } catch (error) {
        if (!isCancel(error)) throw error;
    } finally {
        if (measuring === mine) measuring = null;
    }
}

// Pictures [{ name, blob }] whose distances count too.
export function learnFrom(more) {
    for (const { name, blob } of more) {
        const key = `${name}\n${blob.size}`;
        if (!pictures.has(key)) pictures.set(key, { blob });
    }
    goOn();
}

// The patch that is pointed at, { row, column } or null, among the positions.
export function markPosition(patch) {
    mark.hidden = !patch;
    if (!patch) return;
    const [rows, columns] = grid, width = columns * (columns + 1) - 1, height = rows * (rows + 1) - 1;
    const place = { left: patch.column * (columns + 1) / width, top: patch.row * (rows + 1) / height, width: columns / width, height: rows / height };
    for (const [name, part] of Object.entries(place)) mark.style[name] = `${100 * part}%`;
}

export function stopLearning() {
    measuring?.abort();
    measuring = null;
}

// Another model has learnt something else.
export function forget() {
    stopLearning();
    for (const picture of pictures.values()) picture.heads = undefined;
    for (const figure of [filters, positions, distance]) figure.hidden = true;
}

export function startLearnt() {
    box.addEventListener('toggle', goOn);
    onLanguage(() => {
        explainFilters();
        showDistances();
    });
}
