// The picture, large, and its patches over it: the square that the model sees, the grid, the patch under the
// pointer. Until a model can see, the patches show only their mean colours; they clear up as its bytes arrive.

import { $ } from './dom.js';
import { t } from './words.js';
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
let overtaken = () => {}; // ends the wait for a picture when another one comes

// The part of the picture that the model is fed, in pixels: { left, top, width, height }.
function seenArea() {
    const { width, height } = picture;
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

function draw() {
    const sharp = devicePixelRatio || 1;
    const width = frame.clientWidth, height = frame.clientHeight;
    canvas.width = Math.round(width * sharp);
    canvas.height = Math.round(height * sharp);
    if (!picture || !width) return;
    pen.setTransform(sharp, 0, 0, sharp, 0, 0);
    const seen = seenArea();
    const across = (x) => Math.round(x * width / picture.width * sharp) / sharp;
    const down = (y) => Math.round(y * height / picture.height * sharp) / sharp;
    const left = across(seen.left), right = across(seen.left + seen.width);
    const top = down(seen.top), bottom = down(seen.top + seen.height);
    if (clear < 1 && means) drawMeans(left, top, right - left, bottom - top);
    if (!showGrid && clear === 1) return;
    veil(left, top, right, bottom, width, height);
    lines(left, top, right - left, bottom - top, sharp);
    if (hovered) {
        const side = (right - left) / view.columns, tall = (bottom - top) / view.rows;
        pen.lineWidth = 4;
        pen.strokeStyle = '#fff';
        pen.strokeRect(left + hovered.column * side, top + hovered.row * tall, side, tall);
        pen.lineWidth = 2;
        pen.strokeStyle = getComputedStyle(canvas).color;
        pen.strokeRect(left + hovered.column * side, top + hovered.row * tall, side, tall);
    }
}

function captions() {
    if (!picture) return;
    const size = t('caption.size', { width: count(picture.width), height: count(picture.height) });
    fileLine.textContent = `${picture.name} · ${size}`;
    const { rows, columns, patch } = view;
    if (hovered) {
        const { row, column } = hovered;
        gridLine.textContent = t('caption.patch', { row: row + 1, column: column + 1, rows, columns });
    } else gridLine.textContent = patch ? t('caption.grid', { rows, columns, patch }) : '';
}

function hover(event) {
    let next = null;
    if (picture && showGrid) {
        const box = frame.getBoundingClientRect();
        const seen = seenArea();
        const x = (event.clientX - box.left) * picture.width / box.width - seen.left;
        const y = (event.clientY - box.top) * picture.height / box.height - seen.top;
        const column = Math.floor(x * view.columns / seen.width), row = Math.floor(y * view.rows / seen.height);
        if (column >= 0 && row >= 0 && column < view.columns && row < view.rows) next = { row, column };
    }
    if (next?.row === hovered?.row && next?.column === hovered?.column) return;
    hovered = next;
    captions();
    draw();
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
    picture = shown ? { name: next.name, blob: next.blob, width: img.naturalWidth, height: img.naturalHeight } : null;
    img.alt = t('picture.alt', { name: next.alt ?? next.name });
    stage.toggleAttribute('data-broken', !shown);
    $('.broken', stage).hidden = shown;
    means = hovered = null;
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
    means = hovered = null;
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
    stage.addEventListener('pointermove', (event) => event.pointerType === 'mouse' && hover(event));
    stage.addEventListener('pointerleave', hover);
    gridButton.addEventListener('click', () => {
        showGrid = !showGrid;
        gridButton.setAttribute('aria-pressed', showGrid);
        draw();
    });
}
