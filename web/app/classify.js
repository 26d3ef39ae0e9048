// One picture in, the likeliest classes out; the numbers of that run.

import { model } from './model.js';

const LARGE = 512;  // px, of drawings that say no size or a small one

// What a browser decodes only to be seen: drawings (SVG).
async function rasterised(blob) {
    const image = new Image();
    image.src = URL.createObjectURL(blob);
    try {
        await image.decode();
        const { naturalWidth: width, naturalHeight: height } = image;
        const scale = Math.max(1, LARGE / Math.max(width, height)) || 1;
        const canvas = new OffscreenCanvas(Math.round(width * scale) || LARGE, Math.round(height * scale) || LARGE);
        const pen = canvas.getContext('2d');
        pen.fillStyle = '#fff'; // paper
        pen.fillRect(0, 0, canvas.width, canvas.height);
        pen.drawImage(image, 0, 0, canvas.width, canvas.height);
        return canvas.transferToImageBitmap();
    } finally {
        URL.revokeObjectURL(image.src);
    }
}

// What the browser sees in a file, if it can show it.
export const bitmapOf = (blob, options) => createImageBitmap(blob, options).catch(() => rasterised(blob));

// JPEG and PNG go to the engine as they are, so that every host gives the same scores; the browser decodes the rest.
export async function readable(blob) {
    if (!(blob instanceof Blob)) return blob; // the camera's picture
    const head = new Uint8Array(await blob.slice(0, 4).arrayBuffer());
    const starts = (...bytes) => bytes.every((byte, i) => head[i] === byte);
    if (starts(0xff, 0xd8) || starts(0x89, 0x50, 0x4e, 0x47)) return blob;
    return bitmapOf(blob).catch(() => blob); // the engine says what is wrong with it
}

// What use(image) brings; what was decoded for it does not wait for the garbage collector.
export async function withReadable(blob, use) {
    const image = await readable(blob);
    try {
        return await use(image);
    } finally {
        if (image !== blob) image.close();
    }
}

// Milliseconds of the parts of a run, from vit.info.last.
export const partsOf = ({ decode, resize, forward, head }) => ({ decode, resize, encode: forward, head });

// -> { top: [{ index, label, score }], ms, parts: { decode, resize, encode, head } }, milliseconds
export async function classify(blob, signal) {
    const start = performance.now();
    const top = await withReadable(blob, (image) => model.vit.classify(image, { topK: 5, signal }));
    const ms = performance.now() - start;
    return { top, ms, parts: partsOf(model.vit.info.last) };
}
