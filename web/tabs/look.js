// Look: where the network looks, over the picture: through all layers (rollout), or in one layer and head; for the
// answer, or for the patch that is pointed at.

import { $, el } from '../app/dom.js';
import { say, t } from '../app/words.js';
import { percent } from '../app/format.js';
import { partsOf, withReadable } from '../app/classify.js';
import { Problem } from '../app/errors.js';
import { pathOf } from '../app/files.js';
import { readHash, writeHash } from '../app/hash.js';
import { forget, learnFrom, markPosition, startLearnt, stopLearning } from '../app/learnt.js';
import { model } from '../app/model.js';
import { showRuns } from '../app/runs.js';
import { startSteps, stepThrough } from '../app/steps.js';
import { chosenPatch, onPatch, setHeat } from '../app/stage.js';

const MOST = 1024; // patches whose maps are fetched and kept all at once

const box = $('#look');
const slider = $('#layer');

let shown = 'rollout';  // or 'mean', or the number of a head, from 1; where there is one layer, 'rollout' is no choice
let layer = 0;          // from 1; 0: the last
let job = null;         // the picture in work: { blob, live, signal }, then its grid and all maps
let lookAgain = () => {};
let showPicture = () => {};

const layers = () => model.vit.info.layers;
const layerShown = () => Math.min(layer || layers(), layers());

// A key of words that has others where there is one layer.
const keyFor = (key) => (layers() === 1 ? `${key}.one` : key);

function ways() {
    const heads = Array.from({ length: model.vit.info.heads }, (_, head) => head + 1);
    return layers() === 1 ? ['mean', ...heads] : ['rollout', 'mean', ...heads];
}

const wayShown = () => (ways().includes(shown) ? shown : ways()[0]);

function asked() {
    const way = wayShown(), at = layerShown() - 1;
    return Number(way) ? { method: 'head', layer: at, head: way - 1 } : { method: way, layer: at };
}

// The map of the patch that is pointed at, or (null) of what the answer is made of: { grid, values }.
async function mapOf(patch, job) {
    const attention = (options) => withReadable(job.blob, (image) =>
        model.vit.attention(image, { ...asked(), ...options, signal: job.signal }));
    const answer = patch && job.grid ? null : await attention();
    job.grid ??= answer.grid;
    if (!patch) return answer;
    const [rows, columns] = job.grid;
    const query = patch.row * columns + patch.column;
    const count = rows * columns;
    if (job.live || count > MOST) return attention({ query });
    job.all ??= await attention({ query: 'all' });
    return { grid: job.grid, values: job.all.values.subarray(query * count, (query + 1) * count) };
}

function explain({ grid: [, columns], values }, patch) {
    const way = wayShown();
    const how = t(keyFor(`look.says.${Number(way) ? 'head' : way}`), { layer: layerShown(), layers: layers(), head: way });
    const best = values.reduce((best, value, i) => (value > values[best] ? i : best), 0);
    const where = { row: Math.floor(best / columns) + 1, column: best % columns + 1, share: percent(values[best]) };
    const most = patch ? t('look.most.patch', { ...where, from: `${patch.row + 1}, ${patch.column + 1}` }) : t('look.most', where);
    $('.how', box).textContent = how;
    $('.most', box).textContent = most;
    return most;
}

// Shows the map of the patch that is pointed at now, and of the next one if that changed meanwhile.
async function show() {
    const now = job;
    if (!now || now.busy) return;
    now.busy = true;
    try {
        for (let of; of !== chosenPatch() && !now.signal.aborted;) {
            of = chosenPatch();
            const map = await mapOf(of, now);
            if (now.signal.aborted) break;
            setHeat(map);
            const most = explain(map, of);
            if (!now.live && (!of || document.activeElement?.id === 'patches')) $('#live').textContent = most; // a pointer that goes over them would talk all the time
        }
    } finally {
        now.busy = false;
    }
}

function choices() {
    const legend = el('legend', { textContent: t(keyFor('look.shown')) });
    $('#heads').replaceChildren(legend, ...ways().map((name) => el('label', {},
        el('input', { type: 'radio', name: 'head', value: name, checked: name === wayShown(), 'aria-label': Number(name) ? t('look.head', { head: name }) : t(`look.${name}`),
            onchange: () => change(() => {
                shown = name;
            }) }),
        el('span', { textContent: Number(name) ? name : t(`look.${name}`) }))));
    say($('.hint', box), keyFor('look.hint'));
    slider.parentElement.hidden = layers() === 1;
    slider.max = layers();
    slider.value = layerShown();
    $('#layer-number').textContent = t('look.layer.number', { layer: layerShown(), layers: layers() });
}

function change(set) {
    set();
    writeHash({ see: shown === 'rollout' ? undefined : shown, layer: layer || undefined });
    $('#layer-number').textContent = t('look.layer.number', { layer: layerShown(), layers: layers() });
    lookAgain();
}

function readLink() {
    const { see, layer: at } = readHash();
    if (see) shown = Number(see) || see;
    layer = Math.max(0, Math.trunc(Number(at)) || 0);
}

function showChoices() {
    if (model.vit?.info.layers) choices();
    if (job) lookAgain();
}

export default {
    name: 'look',
    live: true,

    start(page) {
        lookAgain = page.lookAgain;
        showPicture = page.show;
        readLink();
        slider.addEventListener('input', () => change(() => {
            layer = Number(slider.value);
        }));
        startSteps();
        startLearnt();
        onPatch(() => {
            markPosition(chosenPatch());
            show().catch(() => {}); // what is wrong with the picture, look() has said
        });
    },

    async look(picture, signal, ready) {
        if (!layers()) throw new Problem('no-attention', model.name);
        const live = !(picture.blob instanceof Blob);
        job = { blob: picture.blob, live, signal };
        await ready;
        if (signal.aborted) return;
        await show();
        $('.controls', box).hidden = false;
        if (!live) {
            await stepThrough({ blob: picture.blob, signal });
            learnFrom([picture]);
        }
        showRuns(partsOf(model.vit.info.last));
    },

    clear() {
        job = null;
        stepThrough(null);
        setHeat(null);
        $('.controls', box).hidden = true;
    },

    leave() {
        job = null;
        stepThrough(null);
        setHeat(null);
        stopLearning();
    },

    // Several pictures: the first one is looked at, and how far heads look is the mean over all.
    taken(pictures) {
        if (pictures.length < 2) return false;
        const named = pictures.map((file) => ({ name: pathOf(file), blob: file }));
        showPicture(named[0]);
        learnFrom(named);
        return true;
    },

    translate: showChoices,

    follow({ see, layer: at }) {
        if (!see && !at) return;
        readLink();
        showChoices();
    },

    modelChanged() {
        forget();
        if (model.vit?.info.layers) choices();
    },
};
