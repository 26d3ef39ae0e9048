// Compare: the same picture through the page's model (A) and beside it the same in another compute type, or another
// model (B). Answers side by side, times, largest difference.

import { $, chips, el, hide } from '../app/dom.js';
import { t } from '../app/words.js';
import { bytes, milliseconds, percent, points } from '../app/format.js';
import { partsOf, withReadable } from '../app/classify.js';
import { isKnown, labelOf, short } from '../app/answer.js';
import { openDrawer } from '../app/drawer.js';
import { readHash, writeHash } from '../app/hash.js';
import { TYPES, loadBeside, model, titleOf } from '../app/model.js';
import { showRuns } from '../app/runs.js';

const RUNS = 5;     // of each, when times are measured
const SHOWN = 5;    // classes of each side

const box = $('#compare');
const [first, second] = box.querySelectorAll('.side');
const result = $('.result', box);
const cancel = $('#beside-cancel');
const again = $('#beside-again');

// What a link says of it.
export const typeOfLink = () => TYPES.find((type) => type === readHash().beside);

let compute = 'int8';
let origin = null;      // { name, source } of another model; null: the page's own
let beside = null;      // { vit, name, compute, origin, of }: of is the page's model that was in use then
let coming = null;      // the same on its way: { compute, origin, of, controller, promise }
let lookAgain = () => {};

const total = ({ decode, resize, forward, head }) => decode + resize + forward + head;
const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

function showSide(side, { name, vit, ms }) {
    const facts = vit ? [vit.info.compute, bytes(vit.info.memory.weights)].join(' · ') : '';
    $('.name', side).textContent = $('.name', side).title = name;
    $('.facts', side).textContent = facts;
    $('.ms', side).textContent = ms === undefined ? '' : milliseconds(ms);
}

function showChoice() {
    $(`#beside-compute [value="${compute}"]`).checked = true;
    $('#beside-same').disabled = !origin;
}

function close() {
    coming?.controller.abort();
    beside?.vit.dispose();
    coming = beside = null;
    cancel.hidden = true;
}

// Goes on whatever the page looks at meanwhile.
function load() {
    const controller = new AbortController();
    const from = origin ?? model.origin;
    const wanted = { compute, origin, of: model.vit };
    showSide(second, { name: t('model.loading') });
    cancel.hidden = false;
    again.hidden = true;
    const promise = loadBeside(from, compute, controller.signal, (loaded, total) => {
        $('.facts', second).textContent = total ? `${bytes(loaded)} / ${bytes(total)}` : '';
    }).then((vit) => {
        beside = { ...wanted, vit, get name() { return titleOf(vit, from); } };
        return beside;
    }).finally(() => {
        if (coming?.promise !== promise) return;
        coming = null;
        hide(cancel);
    });
    promise.catch(() => {}); // it is told where it is waited for
    return { ...wanted, controller, promise };
}

const isWanted = (one) => one?.compute === compute && one.origin === origin && (origin || one.of === model.vit);

// B as it is chosen, loaded if it is not there yet.
async function besideIt(signal) {
    if (isWanted(beside)) return beside;
    if (!isWanted(coming)) {
        close();
        coming = load();
    }
    const another = new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    return Promise.race([coming.promise, another]);
}

function softmax(logits) {
    const most = logits.reduce((a, b) => Math.max(a, b), -Infinity);
    const powers = logits.map((value) => Math.exp(value - most));
    const sum = powers.reduce((a, b) => a + b, 0);
    return powers.map((value) => value / sum);
}

// Scores of all classes by name, likeliest first. Classes of one name are told apart by their numbers.
async function run(vit, image, signal) {
    const logits = Float64Array.from(await vit.logits(image, { signal }));
    const scores = softmax(logits);
    const { labels, last } = vit.info;
    const seen = new Set();
    const classes = new Map([...scores].map((score, index) => {
        const label = labelOf({ index, label: labels?.[index] });
        const name = seen.has(label) ? `${label} (${index})` : label;
        seen.add(label);
        return [name, score];
    }).sort(([, a], [, b]) => b - a));
    return { classes, isKnown: isKnown({ score: Math.max(...scores) }, vit), ms: total(last) };
}

function tableRow(name, a, b) {
    const cell = (score, side) => {
        const bar = el('i', { className: side });
        bar.style.transform = `scaleX(${score ?? 0})`;
        return el('td', { className: 'number' }, score === undefined ? t('compare.unknown') : percent(score),
            el('span', { className: 'bar', 'aria-hidden': 'true' }, bar));
    };
    return el('tr', {}, el('th', { scope: 'row', textContent: name, title: name }), cell(a, 'first'), cell(b, 'second'));
}

// The class whose scores differ most, among those that both know.
function largestDifference(a, b) {
    let largest = null;
    for (const [name, score] of a) {
        const difference = Math.abs(score - b.get(name));
        if (difference >= (largest?.difference ?? 0)) largest = { name, difference };
    }
    return largest;
}

const answerOf = ({ classes, isKnown }) => (isKnown ? classes.keys().next().value : t('compare.none'));

function showResult(a, b) {
    const bests = { a: short(answerOf(a)), b: short(answerOf(b)) };
    const verdict = !a.isKnown && !b.isKnown ? t('compare.neither')
        : answerOf(a) === answerOf(b) ? t('compare.agree', bests) : t('compare.disagree', bests);
    const names = new Set([a, b].flatMap(({ classes }) => [...classes.keys()].slice(0, SHOWN)));
    $('.verdict', box).textContent = verdict;
    $('tbody', box).replaceChildren(...[...names].map((name) => tableRow(name, a.classes.get(name), b.classes.get(name))));
    const largest = largestDifference(a.classes, b.classes);
    const difference = largest
        ? t('compare.difference', { points: points(largest.difference), label: short(largest.name) })
        : t('compare.nothing-common');
    $('.difference', box).textContent = difference;
    result.hidden = false;
    $('#live').textContent = `${verdict}. ${difference} ${t('compare.times', { a: milliseconds(a.ms), b: milliseconds(b.ms) })}`;
}

async function look(picture, signal, shown, runs = 1) {
    showSide(first, { name: model.name, vit: model.vit });
    result.setAttribute('aria-busy', true);
    const other = await besideIt(signal);
    showSide(second, other);
    const sides = [{ vit: model.vit, name: model.name, times: [] }, { ...other, times: [] }];
    await withReadable(picture.blob, async (image) => {
        for (let i = 0; i < runs; i++) { // in turn, so that whatever else the device does slows both
            for (const side of sides) {
                const { ms, ...answer } = await run(side.vit, image, signal);
                side.times.push(ms);
                Object.assign(side, answer);
            }
        }
    });
    await shown;
    if (signal.aborted) return;
    for (const side of sides) side.ms = median(side.times);
    showSide(first, sides[0]);
    showSide(second, sides[1]);
    showResult(...sides);
    result.setAttribute('aria-busy', false);
    showRuns(partsOf(model.vit.info.last));
}

const nameMeasure = () => {
    $('#measure').textContent = t('compare.measure', { runs: RUNS });
};

// What to set beside: { name, source, link }, or null for the page's own model; and its compute type.
export function setBeside(next, type = next ? 'f32' : 'int8') {
    origin = next;
    compute = type;
    writeHash({ other: next?.link, beside: compute });
    showChoice();
    lookAgain();
}

export default {
    name: 'compare',

    start(page) {
        lookAgain = page.lookAgain;
        compute = typeOfLink() ?? compute;
        chips($('#beside-compute'), 'beside', TYPES, String, compute, (type) => {
            compute = type;
            writeHash({ beside: type });
            lookAgain();
        });
        $('#beside-other').addEventListener('click', () => openDrawer('beside'));
        $('#beside-same').addEventListener('click', () => {
            setBeside(null);
            $('#beside-other').focus(); // that one is gone
        });
        cancel.addEventListener('click', () => {
            close();
            this.clear();
            again.focus(); // the button that had it is gone
            $('#live').textContent = t('loading.cancelled');
        });
        again.addEventListener('click', () => {
            lookAgain();
            cancel.focus();
        });
        nameMeasure();
        $('#measure').addEventListener('click', () => lookAgain(RUNS));
        showChoice();
    },

    look,

    clear() {
        result.hidden = true;
        result.setAttribute('aria-busy', false);
        showSide(second, beside ?? { name: t('compare.nothing') });
        again.hidden = Boolean(beside);
    },

    translate() {
        nameMeasure();
        if (model.vit) showSide(first, { name: model.name, vit: model.vit });
        if (coming) showSide(second, { name: t('model.loading') });
        else if (result.hidden) this.clear();
        if (coming || !result.hidden) lookAgain();
    },

    follow({ other, beside: type }) {
        if (type && !other) setBeside(origin, typeOfLink());
    },

    modelChanged() {
        if (!origin) close();
    },
};
