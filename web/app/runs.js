// What runs: the list in the panel, the line at the foot, the button at the top, all from vit.info.

import { $, el } from './dom.js';
import { onLanguage, say, t } from './words.js';
import { bytes, count, milliseconds } from './format.js';
import { model } from './model.js';
import { summary, watchRequests } from './requests.js';

const threads = (n) => (n === 1 ? t('threads.one') : t('threads.many', { count: count(n) }));

function showList(info, name) {
    const entries = {
        model: name,
        architecture: info.architecture,
        parameters: count(info.parameters),
        input: t('input.size', info.input),
        compute: info.compute,
        kernels: info.kernels,
        threads: count(info.threads),
        isolated: info.isolated ? t('isolated.yes') : t('isolated.no'),
        weights: bytes(info.memory.weights),
        activations: bytes(info.memory.activations),
        wasm: bytes(info.memory.wasm),
    };
    const list = $('#runs dl');
    if (!list.children.length) list.append(...Object.keys(entries).flatMap((key) => [say(el('dt'), `runs.${key}`), el('dd')]));
    Object.values(entries).forEach((value, i) => {
        list.children[2 * i + 1].textContent = value;
    });
}

let shown = [];         // what showRuns() was called with

// parts: of the last answer, if there was one; of: { vit, name }, whose. The list comes with the first answer, so that nothing moves after it.
export function showRuns(parts, of = model) {
    shown = [parts, of];
    const { vit, name } = of;
    const info = vit?.info;
    $('#runs').hidden = !info || (!parts && $('#runs').hidden);
    $('#foot-runs').textContent = t('foot.none');
    if (!info) return;
    showList(info, name);
    const line = [name, info.compute, t('foot.kernels', info), threads(info.threads),
        info.isolated ? t('foot.isolated') : t('foot.shared'), t('foot.memory', { bytes: bytes(info.memory.wasm) })];
    const times = Object.entries(parts ?? {}).map(([name, ms]) => `${t(`time.${name}`)} ${milliseconds(ms)}`);
    if (parts) line.push(times.join(', '));
    $('#foot-runs').textContent = line.join(' · ');
}

export function showModelButton() {
    const name = model.vit ? model.name : t(model.load ? 'model.loading' : 'model.none');
    $('#model-button .name').textContent = name;
    $('#model-button').title = name;
    $('#model-button .dot').toggleAttribute('data-on', Boolean(model.vit));
}

function showRequests({ count: requests, hosts }) {
    const key = requests === 0 ? 'requests.none' : requests === 1 ? 'requests.one' : 'requests.many';
    $('#foot-requests').textContent = t(key, { count: requests, hosts: hosts.join(', ') });
}

export function startRuns() {
    watchRequests(showRequests);
    onLanguage(() => {
        $('#runs dl').replaceChildren();
        showRuns(...shown);
        showModelButton();
        showRequests(summary());
    });
}
