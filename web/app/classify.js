// One picture in, the likeliest classes out; the numbers of that run.

import { model } from './model.js';

// JPEG and PNG go to the engine as they are, so that every host gives the same scores; the browser decodes the rest.
export async function readable(blob) {
    if (!(blob instanceof Blob)) return blob; // the camera's picture
    const head = new Uint8Array(await blob.slice(0, 4).arrayBuffer());
    const starts = (...bytes) => bytes.every((byte, i) => head[i] === byte);
    if (starts(0xff, 0xd8) || starts(0x89, 0x50, 0x4e, 0x47)) return blob;
    return createImageBitmap(blob).catch(() => blob); // the engine says what is wrong with it
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
