// The model in use: loading, cancelling, replacing. The old one stays until the new one is ready.

import { Problem, isCancel } from './errors.js';
import { pathOf } from './files.js';
import { inOrder as byName } from './format.js';
import { addRecent, dropRecent, recent } from './recent.js';
import { countRequest } from './requests.js';
import { t } from './words.js';

const listeners = { change: [], progress: [], failed: [] };
const tell = (event, value) => listeners[event].forEach((listener) => listener(value));

export const TYPES = ['f32', 'int8'];
const LARGE = 10e6; // bytes that nobody wants to fetch twice

export const model = {
    vit: null,      // the loaded ViT
    compute: TYPES[0], // how it is to compute
    get name() { return this.vit ? titleOf(this.vit, this.origin) : ''; },
    origin: null,   // what it was loaded from: { name, source, link }
    load: null,     // while one loads: { origin, loaded, total, since }, in bytes and performance.now()
    on: (event, listener) => listeners[event].push(listener),
};

let abort = null;

async function engine() {
    try {
        return await import('../../wasm/index.js');
    } catch (error) {
        throw new Problem('engine', String(error));
    }
}

// What is read from other sites is kept in the browser, until the reader throws it away.
const isElsewhere = (source) => typeof source === 'string' && new URL(source).origin !== location.origin;

const countFetch = async (source) => isElsewhere(source) && !await isKept(source) && countRequest(source);

// Of one address, or of all.
export async function keptBytes(link) {
    const { ViT } = await engine();
    return ViT.cacheSize(link);
}

// Whether a model is kept whole, and not only what came of it.
export async function isKept(link) {
    const { bytes } = recent().find((one) => one.link === link) ?? {};
    return bytes > 0 && await keptBytes(link) >= bytes;
}

const unkept = new Set(); // addresses for whose files there was no room
let isAsked = false;    // whether the browser was asked to throw nothing away

export const isUnkept = (link) => unkept.has(link);

// A model of `size` bytes that was read from another site, or from what was kept of it.
async function noteKept({ name, source }, size) {
    addRecent({ name, link: source, bytes: size });
    const kept = await keptBytes(source);
    if (kept < size) unkept.add(source);
    else unkept.delete(source);
    if (isAsked || kept < LARGE) return;
    isAsked = true;
    await navigator.storage?.persist?.();
}

export async function forgetKept(link) {
    const { ViT } = await engine();
    await ViT.clearCache(link);
    dropRecent(link);
}

// origin: { name, source, link }, source as ViT.load takes it. Resolves to true once the model is in use.
export async function loadModel(origin) {
    const { source } = origin;
    cancelLoad();
    const controller = abort = new AbortController();
    const load = model.load = { origin, loaded: 0, total: 0, since: performance.now() };
    tell('change');
    try {
        const { ViT } = await engine();
        await countFetch(source);
        const vit = await ViT.load(source, {
            signal: controller.signal, compute: model.compute, cache: isElsewhere(source),
            onProgress({ phase, loaded, total }) {
                if (abort !== controller) return;
                Object.assign(load, phase === 'weights' ? { loaded, total } : {});
                tell('progress', load);
            },
        });
        if (abort !== controller) {
            vit.dispose();
            return false;
        }
        model.vit?.dispose();
        Object.assign(model, { vit, origin });
        if (isElsewhere(source)) noteKept(origin, load.loaded).catch(() => {}); // storage is blocked
        return true;
    } catch (error) {
        if (abort === controller && !isCancel(error)) tell('failed', { error, origin });
        return false;
    } finally {
        if (abort === controller) {
            abort = model.load = null;
            tell('change');
        }
    }
}

// The engine's own model of masked patches, beside that in use: { vit, name }.
export async function loadMasked(progress) {
    const { ViT } = await engine();
    const vit = await ViT.load(ViT.models.masked, { onProgress: ({ phase, loaded, total }) => phase === 'weights' && progress(loaded, total) });
    return { vit, name: vit.info.architecture };
}

// Another one for a while, beside that in use: the caller's to dispose. progress(loaded, total) in bytes. What goes wrong is
// marked as being about a model.
export async function loadBeside(origin, compute, signal, progress) {
    const { source } = origin;
    const { ViT } = await engine();
    await countFetch(source);
    let size = 0;
    const vit = await ViT.load(source, {
        compute, signal, cache: isElsewhere(source),
        onProgress({ phase, loaded, total }) {
            if (phase !== 'weights') return;
            size = loaded;
            progress(loaded, total);
        },
    }).catch((error) => {
        throw Object.assign(error, { about: 'model' });
    });
    if (isElsewhere(source)) noteKept(origin, size).catch(() => {});
    if (!signal.aborted) return vit;
    vit.dispose();
    throw new DOMException('another picture came', 'AbortError');
}

export function cancelLoad() {
    abort?.abort();
}

// ---- Where models come from: each gives { name, source, link } as far as there is one, or throws a Problem ----

const isNpz = (name) => /\.npz$/i.test(name); // which says what it is by the names and shapes of its arrays
const isGguf = (name) => /\.gguf$/i.test(name);
const isIndex = (name) => /\.safetensors\.index\.json$/i.test(name);

// The last part of an address's path, as people write it.
function nameOf(path) {
    const part = path.split('/').filter(Boolean).at(-1) ?? path;
    try {
        return decodeURIComponent(part);
    } catch { // "%" that encodes nothing
        return part;
    }
}

// config.json says what the network is; preprocessor_config.json or, before it, processor_config.json, how it is fed
// pictures.
function inOrder(configs, name) {
    const known = ['config.json', 'processor_config.json', 'preprocessor_config.json']
        .flatMap((wanted) => configs.filter((one) => name(one) === wanted));
    return known.length || configs.length !== 1 ? known : configs;
}

// Which of several weight files is meant: a GGUF says all by itself; else the one that is called model, or the index of several.
function pickWeights(list, name) {
    return list.find((one) => isGguf(name(one))) ?? list.find((one) => name(one) === 'model.safetensors')
        ?? list.find((one) => isIndex(name(one))) ?? list.find((one) => /\.safetensors$/i.test(name(one)))
        ?? list.find((one) => isNpz(name(one)));
}

const folderOf = (file) => pathOf(file).split('/').slice(0, -1);

// One model's of the files: those in the shallowest folder that has weights, of several the first by name.
function ofOneFolder({ weights, configs }) {
    const [folder] = weights.map(folderOf).sort((a, b) => a.length - b.length || byName(a.join('/'), b.join('/')));
    const isIn = (file) => folderOf(file).join('/') === folder.join('/');
    return { folder: folder.at(-1), weights: weights.filter(isIn), configs: configs.filter(isIn) };
}

// Files picked or dropped together: weights with the config that says what they mean, or one GGUF. others: weights that are not
// this model's.
export function fromFiles(files) {
    const names = (list) => list.map(pathOf).join(', ');
    if (!files.weights.length) throw new Problem('no-weights', names(files.configs));
    const { folder, weights, configs } = ofOneFolder(files);
    const chosen = pickWeights(weights, (file) => file.name);
    if (/-\d+-of-\d+\.safetensors$/.test(chosen.name)) throw new Problem('shards', names(weights));
    const others = files.weights.filter((file) => file !== chosen);
    if (isGguf(chosen.name)) return { name: chosen.name, source: chosen, others };
    const config = inOrder(configs, (file) => file.name);
    return { name: folder || chosen.name, source: { config, weights: chosen }, others };
}

// What a person types: an address, or the owner/name of a Hugging Face model. An owner that ends like a host is one.
export function readAddress(text) {
    const typed = text.trim();
    const isHere = /^(localhost|127\.0\.0\.1)(:\d+)?(\/|$)/.test(typed);
    const isOwners = /^[\w.-]+(?<!\.[a-z]{2,})\/[\w.-]+\/?$/i.test(typed) && !isHere && !/\.(gguf|safetensors|npz|json)$/i.test(typed);
    const whole = isOwners ? `https://huggingface.co/${typed}`
        : /^[a-z]+:\/\//i.test(typed) ? typed : `${isHere ? 'http' : 'https'}://${typed}`;
    const url = URL.canParse(whole) ? new URL(whole) : null;
    return url && /^https?:$/.test(url.protocol) && /[.:]|^localhost$/.test(url.host) ? url : null;
}

// Whether the page's own rules let it ask there: by http only this host and this device.
export const isReachable = ({ protocol, hostname, origin }) => protocol === 'https:' || origin === location.origin || ['localhost', '127.0.0.1'].includes(hostname);

// A model of the Hugging Face hub is called owner/name, whichever of its pages it is.
export function fromAddress({ href, pathname }) {
    const [, ofHub] = /^https?:\/\/(?:www\.)?(?:huggingface|hf)\.co\/([^/?#]+\/[^/?#]+)/.exec(href) ?? [];
    return { name: ofHub ?? nameOf(pathname), source: href, link: href };
}

// The one that comes with the engine, and its name in links.
export const BUILT_IN = 'built-in';
export const builtIn = () => ({ get name() { return t('model.built-in'); }, source: undefined, link: BUILT_IN });

// What people call a model: others by what they are built as, which the built-in one's name says better.
export const titleOf = ({ info: { architecture } }, { name, source }) => (source !== undefined && architecture) || name;

// The model that the page is served with, or null: model/index.json beside web/ lists its files.
export async function fromHost() {
    const base = new URL('../../model/', import.meta.url);
    const list = await fetch(new URL('index.json', base))
        .then((reply) => (reply.ok ? reply.json() : null))
        .catch(() => null);
    const names = list?.files.map((file) => file.name) ?? [];
    const at = (name) => new URL(encodeURIComponent(name), base).href;
    const weights = pickWeights(names, (name) => name);
    if (!weights) return null;
    if (isGguf(weights)) return { name: list.name, source: at(weights) };
    const configs = names.filter((name) => /\.json$/i.test(name) && !isIndex(name));
    return { name: list.name, source: { config: inOrder(configs, (name) => name).map(at), weights: at(weights) } };
}
