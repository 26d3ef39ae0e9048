// The picture, large, and its patches over it: the square that the model sees, the grid, the patch under the
// pointer. Until a model can see, the patches show only their mean colours; they clear up as its bytes arrive.

import { $ } from './dom.js';
import { onLanguage, t } from './words.js';
import { count } from './format.js';

const stage = $('#stage');
const frame = $('.frame', stage);
const img = $('#picture');
const canvas = $('#patches');
const fileLine = $('#caption .file');
const gridLine = $('#caption .grid');
const pen = canvas.getContext('2d');

let picture = null;
let url = '';
let view = { rows: 14, columns: 14, patch: 0, seen: null };
let means = null;       // canvas of rows x columns pixels: the mean colour of each patch
let clear = 0;          // 0..1: how much of the picture has cleared up
let showGrid = true;
let hovered = null;     // { row, column }
let heat = null;        // canvas of rows x columns pixels that darkens what is not looked at
let live = null;        // { width, height } of the camera's picture while that is shown
let overlay = null;     // draws over the picture
let brush = null;       // { side, begin, go, end } of a tab that paints
let painting = false;
const pointed = [];     // called when another patch is chosen
let overtaken = () => {}; // ends the wait for a picture when another one comes

// The part of the picture that the model is fed, in pixels: { left, top, width, height }.
function seenArea() {
    const { width, height } = live ?? picture;
    return view.seen?.(width, height) ?? centreSquare(width, height);
}

function centreSquare(width, height) {
    const side = Math.min(width, height);
    return { left: (width - side) / 2, top: (height - side) / 2, width: side, height: side };
}

async function findMeans() {
    const of = picture;
    const { left, top, width, height } = seenArea();
    const bitmap = await createImageBitmap(of.blob, { resizeWidth: 256, resizeHeight: 256, resizeQuality: 'medium' })
        .catch(() => null);
    if (!bitmap || of !== picture) return;
    const small = new OffscreenCanvas(view.columns, view.rows);
    const x = 256 / of.width, y = 256 / of.height;
    const context = small.getContext('2d');
    context.imageSmoothingQuality = 'high';
    context.drawImage(bitmap, left * x, top * y, width * x, height * y, 0, 0, view.columns, view.rows);
    bitmap.close();
    means = small;
    draw();
}

function veil(left, top, right, bottom, width, height) {
    pen.fillStyle = 'rgb(0 0 0 / .45)';
    pen.fillRect(0, 0, width, top);
    pen.fillRect(0, bottom, width, height - bottom);
    pen.fillRect(0, top, left, bottom - top);
    pen.fillRect(right, top, width - right, bottom - top);
}

function drawMeans(left, top, width, height) {
    const { rows, columns } = view;
    const cleared = Math.floor(clear * rows * columns);
    const full = Math.floor(cleared / columns), rest = cleared % columns;
    pen.save();
    pen.beginPath();
    pen.rect(left, top + (full + 1) * height / rows, width, height);
    pen.rect(left + rest * width / columns, top + full * height / rows, width, height / rows);
    pen.clip();
    pen.imageSmoothingEnabled = false;
    pen.drawImage(means, left, top, width, height);
    pen.restore();
}

function lines(left, top, width, height, sharp) {
    const { rows, columns } = view;
    pen.beginPath();
    for (let i = 0; i <= columns; i++) {
        const x = Math.round((left + i * width / columns) * sharp) / sharp;
        pen.moveTo(x, top);
        pen.lineTo(x, top + height);
    }
    for (let i = 0; i <= rows; i++) {
        const y = Math.round((top + i * height / rows) * sharp) / sharp;
        pen.moveTo(left, y);
        pen.lineTo(left + width, y);
    }
    pen.strokeStyle = 'rgb(0 0 0 / .16)';
    pen.lineWidth = 2;
    pen.stroke();
    pen.strokeStyle = 'rgb(255 255 255 / .42)';
    pen.lineWidth = 1;
    pen.stroke();
}

// The picture stays bright where values [rows * columns] are high, and is dark where they are lowest.
export function shade({ grid: [rows, columns], values }) {
    const canvas = new OffscreenCanvas(columns, rows);
    const context = canvas.getContext('2d');
    const pixels = context.createImageData(columns, rows);
    const least = values.reduce((a, b) => Math.min(a, b)), most = values.reduce((a, b) => Math.max(a, b));
    const range = most - least || 1;
    values.forEach((value, i) => {
        pixels.data[4 * i + 3] = Math.round(215 * (1 - Math.sqrt((value - least) / range)));
    });
    context.putImageData(pixels, 0, 0);
    return canvas;
}

function draw() {
    const sharp = devicePixelRatio || 1;
    const width = frame.clientWidth, height = frame.clientHeight;
    canvas.width = Math.round(width * sharp);
    canvas.height = Math.round(height * sharp);
    const source = live ?? picture;
    if (!source || !width) return;
    pen.setTransform(sharp, 0, 0, sharp, 0, 0);
    const seen = seenArea();
    const across = (x) => Math.round(x * width / source.width * sharp) / sharp;
    const down = (y) => Math.round(y * height / source.height * sharp) / sharp;
    const left = across(seen.left), right = across(seen.left + seen.width);
    const top = down(seen.top), bottom = down(seen.top + seen.height);
    if (clear < 1 && means && !live) drawMeans(left, top, right - left, bottom - top);
    if (heat) {
        pen.imageSmoothingEnabled = false;
        pen.drawImage(heat, left, top, right - left, bottom - top);
    }
    if (!live) overlay?.(pen, (column) => across(seen.left + column * seen.width / view.columns),
        (row) => down(seen.top + row * seen.height / view.rows), showGrid);
    if (showGrid || heat || clear < 1) veil(left, top, right, bottom, width, height);
    if (showGrid || clear < 1) lines(left, top, right - left, bottom - top, sharp);
    if (hovered) {
        const side = (right - left) / view.columns, tall = (bottom - top) / view.rows;
        const { row, column, rows, columns } = under(hovered);
        const box = [left + column * side, top + row * tall, columns * side, rows * tall];
        pen.lineWidth = 4;
        pen.strokeStyle = '#fff';
        pen.strokeRect(...box);
        pen.lineWidth = 2;
        pen.strokeStyle = getComputedStyle(canvas).color;
        pen.strokeRect(...box);
    }
}

// The patches of the brush that is held over one: { row, column, rows, columns }; without a brush that one.
export function under({ row, column }) {
    const side = brush?.side ?? 1, before = (side - 1) >> 1;
    const top = Math.max(row - before, 0), left = Math.max(column - before, 0);
    const rows = Math.min(row - before + side, view.rows) - top, columns = Math.min(column - before + side, view.columns) - left;
    return { row: top, column: left, rows, columns };
}

function captions() {
    const source = live ?? picture;
    if (!source) return;
    const size = t('caption.size', { width: count(source.width), height: count(source.height) });
    fileLine.textContent = `${live ? t('camera') : source.name} · ${size}`;
    const { rows, columns, patch } = view;
    if (hovered) {
        const { row, column } = hovered;
        gridLine.textContent = t('caption.patch', { row: row + 1, column: column + 1, rows, columns });
    } else gridLine.textContent = patch ? t('caption.grid', { rows, columns, patch }) : '';
}

function choose(next) {
    if (next?.row === hovered?.row && next?.column === hovered?.column) return;
    hovered = next;
    captions();
    draw();
    pointed.forEach((listener) => listener());
}

function hover(event) {
    let next = null;
    const source = live ?? picture;
    if (source && (showGrid || heat || brush)) {
        const box = frame.getBoundingClientRect();
        const seen = seenArea();
        const x = (event.clientX - box.left) * source.width / box.width - seen.left;
        const y = (event.clientY - box.top) * source.height / box.height - seen.top;
        const column = Math.floor(x * view.columns / seen.width), row = Math.floor(y * view.rows / seen.height);
        if (column >= 0 && row >= 0 && column < view.columns && row < view.rows) next = { row, column };
    }
    choose(next);
}

function press(event) {
    if (event.target.closest('.shutter')) return;
    if (event.pointerType !== 'mouse' || brush) hover(event);
    if (!brush || !hovered || live || event.button) return;
    painting = true;
    canvas.setPointerCapture(event.pointerId);
    brush.begin(hovered);
}

function move(event) {
    if (event.pointerType === 'mouse' || painting) hover(event);
    if (painting && hovered) brush.go(hovered);
}

function lift() {
    if (painting) brush?.end();
    painting = false;
}

const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

function step(event) {
    if (event.key === 'Escape') return choose(null);
    if (brush && hovered && [' ', 'Enter'].includes(event.key)) {
        event.preventDefault();
        brush.begin(hovered);
        return brush.end();
    }
    const [down, right] = STEPS[event.key] ?? [];
    if (down === undefined || !(live ?? picture)) return;
    event.preventDefault();
    const { rows, columns } = view;
    const from = hovered ?? { row: Math.floor(rows / 2) - down, column: Math.floor(columns / 2) - right };
    const within = (n, count) => Math.min(Math.max(n, 0), count - 1);
    $('#live').textContent = '';
    choose({ row: within(from.row + down, rows), column: within(from.column + right, columns) });
    $('#live').textContent ||= gridLine.textContent; // unless the tab has more to say
}

// What the camera sees instead of the picture; null: the picture again.
export function showLive(video) {
    live = video && { width: video.videoWidth, height: video.videoHeight };
    const source = live ?? picture;
    if (source) frame.style.setProperty('--ratio', source.width / source.height);
    hovered = heat = null;
    captions();
    draw();
}

// Where something looks: { grid, values }, or null.
export function setHeat(map) {
    heat = map && shade(map);
    draw();
}

// The patch that is pointed at, { row, column }, or null.
export const chosenPatch = () => hovered;

// listener() is called when another one is chosen.
export const onPatch = (listener) => pointed.push(listener);

// paint(pen, x, y, showGrid) draws over the picture; x(column) and y(row) are where patches begin. null: nothing does.
export function setOverlay(paint) {
    overlay = paint;
    draw();
}

// Patches are painted by pointer and by key: begin(patch), go(patch) and end() are called, and side says how many rows and
// columns of them the brush has. null: they are only pointed at.
export function setBrush(next) {
    brush = next;
    draw();
}

export { draw as redraw };

// alt: the key of a sample's words.
function describePicture({ name, alt }) {
    img.alt = t('picture.alt', { name: alt ? t(alt) : name });
}

// Shows a picture: { name, alt, blob }. Resolves to false where the browser cannot show it.
export async function showPicture(next) {
    const address = URL.createObjectURL(next.blob);
    img.src = address;
    const shown = await new Promise((done) => { // decode() would block the page for longer
        overtaken();
        overtaken = done;
        img.onload = () => done(true);
        img.onerror = () => done(false);
    });
    if (img.src !== address) { // another came meanwhile
        URL.revokeObjectURL(address);
        return true;
    }
    if (url) URL.revokeObjectURL(url);
    url = address;
    picture = shown ? { ...next, width: img.naturalWidth, height: img.naturalHeight } : null;
    describePicture(next);
    stage.toggleAttribute('data-broken', !shown);
    $('.broken', stage).hidden = shown;
    means = hovered = heat = null;
    if (shown) {
        frame.style.setProperty('--ratio', picture.width / picture.height);
        captions();
        if (clear < 1) findMeans();
    } else {
        fileLine.textContent = next.name;
        gridLine.textContent = '';
    }
    draw();
    return shown;
}

// What the model sees: rows and columns of patches, their side in pixels, and seen(width, height) -> area.
export function setView(next) {
    view = next;
    means = hovered = heat = null;
    captions();
    draw();
}

// How much of the picture has cleared up, 0..1.
export function setClear(fraction) {
    clear = fraction;
    if (clear < 1 && picture && !means) findMeans();
    draw();
}

export function startStage(gridButton) {
    new ResizeObserver(draw).observe(frame);
    onLanguage(() => {
        captions();
        if (picture) describePicture(picture);
    });
    stage.addEventListener('pointermove', move);
    stage.addEventListener('pointerdown', press);
    for (const kind of ['pointerup', 'pointercancel']) stage.addEventListener(kind, lift);
    stage.addEventListener('pointerleave', (event) => event.pointerType === 'mouse' && hover(event));
    canvas.addEventListener('keydown', step);
    canvas.addEventListener('blur', () => choose(null));
    gridButton.addEventListener('click', () => {
        showGrid = !showGrid;
        gridButton.setAttribute('aria-pressed', showGrid);
        draw();
    });
}
