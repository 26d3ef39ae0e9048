// Teach: classes of one's own, from a few examples each; the network's features and a linear classifier of them.

import { $, el, onHold, onPick, save } from '../app/dom.js';
import { say, singular, t } from '../app/words.js';
import { count, number, percent } from '../app/format.js';
import { openCamera, photograph, viewfinder } from '../app/camera.js';
import { bitmapOf, partsOf, withReadable } from '../app/classify.js';
import { Problem, describe, isCancel } from '../app/errors.js';
import { model } from '../app/model.js';
import { showNotice } from '../app/notice.js';
import { showRuns } from '../app/runs.js';

const EVERY = 200;  // ms between the examples of a button that is held
const THUMB = 48;   // px

const box = $('#teach');
const list = $('#classes');

let probe = null;
const labels = [];          // classes in the order they were made, also those without examples
const thumbs = new Map();   // label to [{ image, canvas, key, id }]: those that were shown here, not those of a loaded file; id: in the probe
let keys = 0;
let last = Promise.resolve(); // changes of the probe, one after the other
let lookAgain = () => {};

const examplesOf = (label) => probe?.classes.find((one) => one.label === label)?.examples ?? 0;
const examplesIn = (label) => t(examplesOf(label) === 1 ? 'teach.example' : 'teach.count', { count: count(examplesOf(label)) });
const trained = () => probe?.classes.length > 1;

function fail(error) {
    if (isCancel(error) || error?.code === 'disposed') return; // another model has come
    const other = /another network/.test(error?.message);
    showNotice(() => describe(other ? new Problem('probe-other', error.message) : error, 'picture'));
}

// One change after the other; what goes wrong with one is told and the next goes on.
function inTurn(change) {
    last = last.then(change).catch(fail).then(draw);
    return last;
}

async function thumbOf(image) {
    const bitmap = await bitmapOf(image);
    const side = Math.min(bitmap.width, bitmap.height);
    const canvas = el('canvas', { width: 2 * THUMB, height: 2 * THUMB });
    canvas.getContext('2d').drawImage(bitmap, (bitmap.width - side) / 2, (bitmap.height - side) / 2, side, side,
        0, 0, canvas.width, canvas.height);
    bitmap.close();
    return canvas;
}

async function teach(label, example) {
    const { vit } = model;
    if (!vit) throw new Problem('no-model');
    probe ??= await vit.fitFewShot([]);
    const now = probe;
    const id = await withReadable(example.image, (image) => now.add({ image, label }));
    if (now === probe) example.id = id;
}

// image: a Blob, which is kept: another model is taught with it too.
async function addExample(label, image) {
    const canvas = await thumbOf(image).catch(() => null);
    const example = { image, canvas, key: `${keys++}` };
    await teach(label, example).catch((error) => {
        if (error?.code !== 'disposed' || !model.vit) throw error;
        return teach(label, example); // by the model that has come
    });
    if (canvas && labels.includes(label)) thumbs.set(label, [...thumbs.get(label) ?? [], example]);
}

function addFiles(label, files) {
    for (const file of files) inTurn(() => addExample(label, file));
    inTurn(() => {
        $('#live').textContent = t('teach.now', { label, examples: examplesIn(label) });
        lookAgain();
    });
}

// Examples from the camera for as long as held() holds, at least one.
async function hold(label, held) {
    if (!viewfinder()) {
        await openCamera();
        return;
    }
    do {
        const frame = await photograph();
        await inTurn(() => addExample(label, frame));
        await new Promise((done) => setTimeout(done, EVERY));
    } while (held() && viewfinder());
    $('#live').textContent = t('teach.now', { label, examples: examplesIn(label) });
}

function holdButton(label) {
    let held = false;
    const button = el('button', { type: 'button', className: 'hold', textContent: t('teach.hold') });
    const take = (still) => {
        held = still;
        hold(label, () => held).catch(fail);
    };
    onHold(button, {
        begin: () => take(true),
        end() {
            held = false;
        },
        click: () => take(false),
    });
    return button;
}

function classItem(label) {
    const input = el('input', { type: 'file', accept: 'image/*', multiple: true, hidden: true });
    onPick(input, (files) => addFiles(label, files));
    const item = el('li', {},
        el('header', {},
            el('h3', { textContent: label, title: label }),
            el('span', { className: 'count' }),
            el('button', { type: 'button', className: 'quiet', textContent: '×', title: t('teach.remove-class', { label }),
                'aria-label': t('teach.remove-class', { label }), onclick: () => removeClass(label) })),
        el('div', { className: 'score' },
            el('span', { className: 'bar', 'aria-hidden': 'true' }, el('i')), el('span', { className: 'value' })),
        el('ul', { className: 'thumbs', 'aria-label': t('teach.examples', { label }) }),
        el('div', { className: 'actions' }, holdButton(label),
            el('button', { type: 'button', textContent: t('teach.files'), onclick: () => input.click() }), input));
    item.dataset.label = label;
    return item;
}

function thumbItem(label, example) {
    const { canvas, key } = example;
    const name = t('teach.remove', { label });
    const remove = () => {
        const next = item.nextElementSibling ?? item.previousElementSibling;
        (next ? $('button', next) : $('.hold', item.closest('[data-label]'))).focus();
        return inTurn(async () => {
            if (example.id !== undefined) await probe.remove(example.id);
            thumbs.set(label, thumbs.get(label).filter((one) => one !== example));
            $('#live').textContent = t('teach.now', { label, examples: examplesIn(label) });
            lookAgain();
        });
    };
    const item = el('li', {}, el('button', { type: 'button', title: name, 'aria-label': name, onclick: remove }, canvas));
    item.dataset.key = key;
    return item;
}

// Only what changed, so that a button that is held or focused stays.
function draw() {
    for (const item of [...list.children]) if (!labels.includes(item.dataset.label)) item.remove();
    for (const label of labels) {
        let item = [...list.children].find((one) => one.dataset.label === label);
        if (!item) list.append(item = classItem(label));
        $('.count', item).textContent = examplesIn(label);
        const strip = $('.thumbs', item);
        const missing = new Map(thumbs.get(label)?.map((one) => [one.key, one]));
        for (const one of [...strip.children]) if (!missing.delete(one.dataset.key)) one.remove();
        strip.prepend(...[...missing.values()].reverse().map((one) => thumbItem(label, one)));
    }
    say($('.accuracy', box), trained() ? 'teach.accuracy' : 'teach.more', !trained() ? {}
        : { percent: percent(probe.accuracy), right: count(Math.round(probe.accuracy * probe.examples)), examples: count(probe.examples) });
    $('#probe-save').disabled = !probe?.examples;
    if (!trained()) showScores([]);
}

function showScores(top) {
    for (const item of list.children) {
        const score = top.find(({ label }) => label === item.dataset.label)?.score;
        item.toggleAttribute('data-best', top[0]?.label === item.dataset.label);
        $('.value', item).textContent = score === undefined ? '' : number(score);
        $('.bar i', item).style.transform = `scaleX(${score === undefined ? 0 : Math.min(Math.max((score + 1) / 2, 0), 1)})`;
    }
    $('.verdict', box).textContent = top.length ? t('teach.says', { label: top[0].label }) : t('teach.title');
}

function removeClass(label) {
    labels.splice(labels.indexOf(label), 1);
    thumbs.delete(label);
    inTurn(async () => {
        if (examplesOf(label)) await probe.remove(label);
        lookAgain();
    });
    $('#class-name').focus();
}

function addClass(event) {
    event.preventDefault();
    const input = $('#class-name');
    const label = input.value.trim();
    const problem = !label ? 'teach.nameless' : labels.includes(label) ? 'teach.twice' : '';
    $('#class-problem').textContent = problem && t(problem);
    if (problem) return input.focus();
    input.value = '';
    labels.push(label);
    draw();
    $('.hold', list.lastElementChild).focus();
}

async function load(file) {
    if (!model.vit) throw new Problem('no-model');
    const loaded = await model.vit.loadProbe(file).catch((error) => {
        throw /another network/.test(error?.message) || isCancel(error) ? error : new Problem('probe', error.message);
    });
    probe?.dispose();
    probe = loaded;
    labels.splice(0, labels.length, ...probe.classes.map(({ label }) => label));
    thumbs.clear();
    list.replaceChildren();
    $('#live').textContent = t(singular('teach.loaded', labels.length), { classes: count(labels.length) });
    lookAgain();
}

export default {
    name: 'teach',
    live: true,

    start(page) {
        lookAgain = page.lookAgain;
        $('#class-form').addEventListener('submit', addClass);
        $('#probe-save').addEventListener('click', () => inTurn(async () => {
            save('classes.safetensors', 'application/octet-stream', await probe.save());
        }));
        $('#probe-load').addEventListener('click', () => $('#probe-input').click());
        onPick($('#probe-input'), ([file]) => this.open(file));
        draw();
    },

    // Takes classes from a file.
    open: (file) => inTurn(() => load(file)),

    async look(picture, signal, shown) {
        await shown;
        if (!trained()) return;
        const top = await withReadable(picture.blob, (image) => probe.classify(image, { topK: labels.length, signal }));
        if (signal.aborted) return;
        showScores(top);
        if (picture.blob instanceof Blob) $('#live').textContent = t('teach.says', { label: top[0].label });
        showRuns(partsOf(model.vit.info.last));
    },

    clear: () => showScores([]),

    translate() {
        $('#class-problem').textContent = '';
        list.replaceChildren();
        draw();
        lookAgain();
    },

    // Pictures that were dropped on a class are examples of it.
    taken(pictures, target) {
        const label = target?.closest?.('#classes li[data-label]')?.dataset.label;
        if (label === undefined) return false;
        addFiles(label, pictures);
        return true;
    },

    // Examples are features of the model that was: the new one is taught with the same pictures. Those of a file have none.
    modelChanged() {
        const shown = [...thumbs].flatMap(([label, examples]) => examples.map((example) => [label, example]));
        const lost = (probe?.examples ?? 0) - shown.filter(([, { id }]) => id !== undefined).length;
        probe?.dispose();
        probe = null;
        draw();
        if (lost > 0) showNotice(() => describe(new Problem('examples-lost')));
        if (!model.vit) return;
        for (const [label, example] of shown) {
            delete example.id;
            inTurn(() => thumbs.get(label)?.includes(example) && teach(label, example));
        }
        if (shown.length) inTurn(() => lookAgain());
    },
};
