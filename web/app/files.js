// What people hand over: drops, pastes, picks and folders, sorted into pictures and model files.

import { inOrder } from './format.js';

const PICTURE = /\.(jpe?g|png|webp|avif|gif|bmp|heic|heif|tiff?)$/i;
const MODEL = /\.(safetensors|gguf|npz)$/i;
const CONFIG = /\.json$/i;
const PROBE = /\.probe$/i; // classes that were taught
const SYSTEM = /^\.|^(thumbs\.db|desktop\.ini)$/i; // what systems put beside pictures
const MOST = 20_000; // files taken from dropped folders

function kindOf({ name, type }) {
    if (SYSTEM.test(name)) return 'system';
    if (type.startsWith('image/') || PICTURE.test(name)) return 'pictures';
    if (MODEL.test(name)) return 'weights';
    if (PROBE.test(name)) return 'probes';
    return CONFIG.test(name) ? 'configs' : 'others';
}

export function sort(files) {
    const kinds = { pictures: [], weights: [], configs: [], probes: [], others: [], system: [] };
    for (const file of files) kinds[kindOf(file)].push(file);
    return kinds;
}

// Its path in the folder that was picked or dropped, else its name.
const paths = new WeakMap();
export const pathOf = (file) => paths.get(file) ?? (file.webkitRelativePath || file.name);

const inTurn = (call) => new Promise((resolve, reject) => call(resolve, reject));

// What cannot be read is named, the others go on.
async function filesUnder(entry, found, unread) {
    const name = entry.fullPath.slice(1);
    if (found.length >= MOST) {
        if (!unread.some(({ isCut }) => isCut)) unread.push({ name, isCut: true, error: new Error(`more than ${MOST} files`) });
        return;
    }
    try {
        if (entry.isFile) await takeFile(entry, name, found);
        else await takeFolder(entry, found, unread);
    } catch (error) {
        unread.push({ name, error });
    }
}

async function takeFile(entry, name, found) {
    const file = await inTurn((yes, no) => entry.file(yes, no));
    paths.set(file, name);
    found.push(file);
}

async function takeFolder(entry, found, unread) {
    const reader = entry.createReader();
    for (;;) { // a reader gives up to 100 entries at a time
        const entries = await inTurn((yes, no) => reader.readEntries(yes, no));
        if (!entries.length) return;
        for (const inner of entries.sort((a, b) => inOrder(a.name, b.name))) await filesUnder(inner, found, unread);
    }
}

// The entries must be taken before the first await: a drop is only readable while its event runs.
async function droppedFiles(transfer) {
    const items = [...transfer.items].filter((item) => item.kind === 'file');
    const entries = items.map((item) => item.webkitGetAsEntry?.() ?? null);
    const plain = items.map((item) => item.getAsFile());
    const found = [], unread = [];
    for (const [i, entry] of entries.entries()) {
        if (entry?.isDirectory) await filesUnder(entry, found, unread);
        else if (plain[i]) found.push(plain[i]);
    }
    return { found, unread };
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
        droppedFiles(event.dataTransfer).then(({ found, unread }) => take(found, target, unread));
    });
    addEventListener('paste', (event) => {
        const files = [...(event.clipboardData?.files ?? [])];
        const isText = event.target.matches?.('input, textarea') && event.clipboardData.types.includes('text/plain');
        if (!files.length || isText) return; // cells of a table come as text and as their picture
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
