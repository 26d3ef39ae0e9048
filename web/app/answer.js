// The answer: in words, as bars, and what it cost.

import { $, el } from './dom.js';
import { known, onLanguage, t } from './words.js';
import { count, milliseconds, percent } from './format.js';
import { model } from './model.js';

const FEW = 20; // classes that are named beside an answer

const box = $('#answer');
const list = $('#scores');

// Of the best class: its label, or that it is none of them.
export const nameOf = (best) => (isKnown(best) ? labelOf(best) : t('answer.none'));

// In the reader's language, where it is one of the built-in model's.
const inWords = (label) => (known(`label.${label}`) ? t(`label.${label}`) : label);
export const labelOf = ({ index, label }) => inWords(label ?? t('class', { index }));
export const short = (label) => label.split(',')[0]; // "tabby, tabby cat" has synonyms

// Whether the model takes the picture for one of its classes, as far as it can tell.
export const isKnown = ({ score }, vit = model.vit) => score >= vit.info.knownScore;

function sureness({ score, ...entry }) {
    if (!isKnown({ score })) return t('sure.none', { count: count(model.vit.info.classes), label: short(labelOf(entry)) });
    if (score >= 0.9) return t('sure.certain');
    if (score >= 0.5) return t('sure.probable');
    return score >= 0.2 ? t('sure.possible') : t('sure.unsure');
}

// A class as a bar.
export function scoreRow(entry) {
    const label = labelOf(entry);
    const fill = el('i');
    fill.style.transform = `scaleX(${entry.score})`;
    return el('li', {},
        el('span', { className: 'label', textContent: label, title: label }),
        el('span', { className: 'score', textContent: percent(entry.score) }),
        el('span', { className: 'bar', 'aria-hidden': 'true' }, fill));
}

function showTimes({ ms, parts }) {
    const [before, after] = t('time.total', { time: '\0' }).split('\0');
    const rest = ms - Object.values(parts).reduce((sum, time) => sum + time, 0); // reading, messages to the worker, waiting
    const all = Object.entries({ ...parts, rest: Math.max(rest, 0) });
    $('.total', box).replaceChildren(before, el('b', { textContent: milliseconds(ms) }), after);
    $('.parts', box).replaceChildren(...all.map(([name, time]) => {
        const part = el('i', { className: name });
        part.style.flexGrow = Math.max(time, 0);
        return part;
    }));
    $('.legend', box).replaceChildren(...all.map(([name, time]) =>
        el('div', {}, el('dt', { textContent: t(`time.${name}`) }), el('dd', { textContent: milliseconds(time) }))));
}

function write(result) {
    const [best] = result.top;
    $('.sure', box).textContent = sureness(best);
    $('.top-label', box).textContent = short(nameOf(best));
    list.replaceChildren(...result.top.map(scoreRow));
    const { labels } = model.vit.info;
    $('.knows', box).textContent = labels?.length <= FEW ? t('answer.knows', { labels: labels.map(inWords).join(', ') }) : '';
    showTimes(result);
}

function spoken([best, ...others]) {
    const values = { sure: sureness(best), label: short(nameOf(best)), score: percent(best.score) };
    if (!isKnown(best)) return t('answer.spoken.none', { none: values.label, closest: values.sure, score: values.score });
    const rest = others.map((entry) => `${short(labelOf(entry))}, ${percent(entry.score)}`).join('; ');
    return rest ? t('answer.spoken', { ...values, rest }) : t('answer.only', values);
}

let shown = null;       // the result

export function showAnswer(result) {
    shown = result;
    write(result);
    box.hidden = false;
    setBusy(false);
    $('#live').textContent = spoken(result.top);
}

onLanguage(() => box.hidden || write(shown));

export const hideAnswer = () => {
    box.hidden = true;
};

export const setBusy = (busy) => box.setAttribute('aria-busy', busy);
