// What people hand over: drops, pastes, picks and folders, sorted into pictures and model files.

import { inOrder } from './format.js';

const PICTURE = /\.(jpe?g|png|webp|avif|gif|bmp|heic|heif|tiff?)$/i;
const MODEL = /\.(safetensors|gguf)$/i;
const CONFIG = /\.json$/i;
const MOST = 20_000; // files taken from dropped folders

export function sort(files) {
    const pictures = files.filter((file) => file.type.startsWith('image/') || PICTURE.test(file.name));
    const weights = files.filter((file) => MODEL.test(file.name));
    const configs = files.filter((file) => CONFIG.test(file.name));
    return { pictures, weights, configs };
}

// Its path in the folder that was picked or dropped, else its name.
const paths = new WeakMap();
export const pathOf = (file) => paths.get(file) ?? (file.webkitRelativePath || file.name);

const inTurn = (call) => new Promise((resolve, reject) => call(resolve, reject));

async function filesUnder(entry, found) {
    if (found.length >= MOST) return;
    if (entry.isFile) {
        const file = await inTurn((yes, no) => entry.file(yes, no));
        paths.set(file, entry.fullPath.slice(1));
        found.push(file);
        return;
    }
    const reader = entry.createReader();
    for (;;) { // a reader gives up to 100 entries at a time
        const entries = await inTurn((yes, no) => reader.readEntries(yes, no));
        if (!entries.length) return;
        for (const inner of entries.sort((a, b) => inOrder(a.name, b.name))) await filesUnder(inner, found);
    }
}

// The entries must be taken before the first await: a drop is only readable while its event runs.
async function droppedFiles(transfer) {
    const items = [...transfer.items].filter((item) => item.kind === 'file');
    const entries = items.map((item) => item.webkitGetAsEntry?.() ?? null);
    const plain = items.map((item) => item.getAsFile());
    const found = [];
    for (const [i, entry] of entries.entries()) {
        if (entry?.isDirectory) await filesUnder(entry, found);
        else if (plain[i]) found.push(plain[i]);
    }
    return found;
}

// Takes files from anywhere on the page; veil is shown while something is dragged over it.
export function startDrops(veil, take) {
    const carriesFiles = (event) => event.dataTransfer?.types.includes('Files');
    let depth = 0;
    const show = (change) => {
        depth = Math.max(0, change(depth));
        veil.hidden = depth === 0;
    };
    addEventListener('dragenter', (event) => carriesFiles(event) && show((n) => n + 1));
    addEventListener('dragleave', (event) => carriesFiles(event) && show((n) => n - 1));
    addEventListener('dragover', (event) => carriesFiles(event) && event.preventDefault());
    addEventListener('drop', (event) => {
        show(() => 0);
        if (!carriesFiles(event)) return;
        event.preventDefault();
        const { target } = event;
        droppedFiles(event.dataTransfer).then((files) => take(files, target));
    });
    addEventListener('paste', (event) => {
        const files = [...(event.clipboardData?.files ?? [])];
        if (!files.length) return;
        event.preventDefault();
        take(files);
    });
}

// The picture on the clipboard, or null; throws where the browser does not let a page look.
export async function pastedPicture() {
    for (const item of await navigator.clipboard.read()) {
        const type = item.types.find((name) => name.startsWith('image/'));
        if (type) return item.getType(type);
    }
    return null;
}
