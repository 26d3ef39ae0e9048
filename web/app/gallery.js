// Many pictures and what the network sees in them: features, made one after the other, and the nearest ones by cosine.

import { withReadable } from './classify.js';
import { isCancel } from './errors.js';
import { pathOf } from './files.js';
import { model } from './model.js';

const items = [];           // in the order in which they came: { name, blob, row, error }; row: of its features
const known = new Set();    // what tells files apart

let vectors = new Float32Array(0); // [rows,width], and room for more
let width = 0;
let scales = [];            // [rows]: 1 / length
let byRow = [];             // [rows]: items
let next = 0;               // items before this one were seen
let seeing = null;          // AbortController of their being seen
let changed = () => {};

export const gallery = {
    get items() { return items; },
    get seen() { return next; },
    get going() { return Boolean(seeing); },
    get failed() { return items.filter(({ error }) => error); },
};

// listener() is called when one more was seen, and when that begins and ends.
export const onChange = (listener) => {
    changed = listener;
};

// Adds files that are not there yet. -> the first new item, or undefined.
export function addPictures(files) {
    const before = items.length;
    for (const file of files) {
        const name = pathOf(file);
        const key = `${name}\n${file.size}\n${file.lastModified}`;
        if (!known.has(key)) items.push({ name, blob: file });
        known.add(key);
    }
    goOn();
    return items[before];
}

export function removePictures() {
    items.length = 0;
    known.clear();
    startAgain();
}

export const stop = () => seeing?.abort();

const product = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);

function keep(item, features) {
    const row = byRow.length;
    if (!row) width = features.length;
    if ((row + 1) * width > vectors.length) {
        const more = new Float32Array(Math.max(64, 2 * row) * width);
        more.set(vectors.subarray(0, row * width));
        vectors = more;
    }
    vectors.set(features, row * width);
    scales.push(1 / (Math.sqrt(product(features, features)) || 1));
    byRow.push(item);
    item.row = row;
}

// Sees what has not been seen yet.
export async function goOn() {
    if (seeing || !model.vit || next === items.length) return;
    const mine = seeing = new AbortController();
    const { signal } = mine;
    changed();
    for (; next < items.length && !signal.aborted; next++) {
        const item = items[next];
        try {
            const features = await see(item, signal);
            if (seeing !== mine) return;
            keep(item, features);
        } catch (error) {
            if (seeing !== mine) return;
            if (isCancel(error)) break;
            item.error = error;
        }
        changed();
    }
    seeing = null;
    changed();
}

// With another model, or without pictures, nothing has been seen.
export function startAgain() {
    stop();
    seeing = null;
    next = 0;
    scales = [];
    byRow = [];
    for (const item of items) item.row = item.error = undefined;
    changed();
    goOn();
}

const see = ({ blob }, signal) => withReadable(blob, (image) => model.vit.features(image, { signal }));

// Of a picture, or of an item, whose may be there already.
export async function featuresOf(picture, signal) {
    const { row } = picture;
    if (row !== undefined) return vectors.slice(row * width, (row + 1) * width);
    return see(picture, signal);
}

// The `most` items with the largest cosine, best first: [{ item, score }].
export function nearest(features, most) {
    const best = [];
    const scale = 1 / (Math.sqrt(product(features, features)) || 1);
    for (let row = 0; row < byRow.length; row++) {
        let sum = 0;
        for (let i = 0, at = row * width; i < width; i++, at++) sum += vectors[at] * features[i];
        const score = sum * scale * scales[row];
        if (best.length === most && !(score > best[most - 1].score)) continue;
        if (best.length === most) best.pop();
        const place = best.findIndex((one) => score > one.score);
        best.splice(place < 0 ? best.length : place, 0, { item: byRow[row], score });
    }
    return best;
}

// All features as safetensors: "features" [rows,width], and the pictures' names in the metadata.
export function vectorsFile() {
    const end = 4 * byRow.length * width;
    const names = JSON.stringify(byRow.map(({ name }) => name));
    const header = JSON.stringify({
        __metadata__: { names }, features: { dtype: 'F32', shape: [byRow.length, width], data_offsets: [0, end] },
    });
    const text = new TextEncoder().encode(header);
    const size = Math.ceil(text.length / 8) * 8;
    const head = new Uint8Array(8 + size).fill(32);
    new DataView(head.buffer).setBigUint64(0, BigInt(size), true);
    head.set(text, 8);
    return new Blob([head, vectors.subarray(0, end / 4)]);
}
