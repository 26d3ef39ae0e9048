// Texts in the order of the page's language, without holding up the page: comparing them takes a while.

import { breaks } from './breaks.js';
import { inOrder } from './format.js';

const PIECE = 100; // texts that are sorted, or merged, in one go

async function merge(a, b, pause) {
    const all = [];
    let i = 0, j = 0;
    while (i < a.length && j < b.length) {
        all.push(inOrder(b[j], a[i]) < 0 ? b[j++] : a[i++]);
        if (all.length % PIECE === 0) await pause();
    }
    return all.concat(a.slice(i), b.slice(j));
}

async function sort(texts, pause) {
    await pause();
    if (texts.length <= PIECE) return texts.sort(inOrder);
    const half = texts.length >> 1;
    return merge(await sort(texts.slice(0, half), pause), await sort(texts.slice(half), pause), pause);
}

// A Map of each text to its place; known: one from before, which is given back where it has them all.
export async function placesOf(texts, known) {
    if (texts.every((text) => known.has(text))) return known;
    const all = await sort([...new Set([...known.keys(), ...texts])], breaks());
    return new Map(all.map((text, place) => [text, place]));
}
