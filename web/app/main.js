// The page: starts everything and says what follows from what.

import { $, el } from './dom.js';
import { fillIn, t } from './words.js';
import { startTheme } from './theme.js';
import { readHash, writeHash } from './hash.js';
import { Problem, describe, isCancel } from './errors.js';
import { clearNotice, showNotice } from './notice.js';
import { pastedPicture, sort, startDrops } from './files.js';
import { closeCamera, startCamera } from './camera.js';
import { setClear, setView, showPicture, startStage } from './stage.js';
import { cancelLoad, fromAddress, fromFiles, fromHost, loadModel, model, readAddress } from './model.js';
import { classify } from './classify.js';
import { hideAnswer, setBusy, showAnswer } from './answer.js';
import { closeBatch, runBatch, stopBatch } from './batch.js';
import { openDrawer, startDrawer } from './drawer.js';
import { showModelButton, showRuns, startRequests } from './runs.js';
import { startLoading } from './loading.js';
import { viewOf } from './view.js';

const samples = ['cat', 'coffee', 'camera', 'rocket', 'horse'];

let current = null;     // the picture on the stage: { name, alt, blob }
let looking = null;     // AbortController of its classification
let fetching = null;    // AbortController of a sample on its way
let seeing = null;      // the ViT whose patches the stage shows

// ---- Pictures ----

async function look(picture) {
    current = picture;
    clearNotice();
    closeCamera();
    const shown = showPicture(picture);
    if (!model.vit) return void await shown;
    looking?.abort();
    const { signal } = looking = new AbortController();
    setBusy(true);
    const slow = setTimeout(() => {
        $('#live').textContent = t('looking');
    }, 500);
    try {
        const result = await classify(picture.blob, signal);
        await shown;
        if (signal.aborted) return;
        showAnswer(result);
        showRuns(result.parts);
    } catch (error) {
        if (signal.aborted || isCancel(error)) return;
        hideAnswer();
        showNotice(describe(error, 'picture'));
    } finally {
        clearTimeout(slow);
    }
}

// A row of the batch table: its picture, and its answer as far as it is known.
function lookAt({ picture, result, error }) {
    current = picture;
    clearNotice();
    closeCamera();
    showPicture(picture);
    if (result) {
        showAnswer(result);
        showRuns(result.parts);
    } else {
        hideAnswer();
        if (error) showNotice(describe(error, 'picture'));
    }
}

function take(files) {
    const { pictures, weights, configs } = sort(files);
    if (weights.length || (configs.length && !pictures.length)) return takeModel({ weights, configs });
    if (!pictures.length) {
        return showNotice(describe(new Problem('not-picture', files.map((file) => file.name).join(', '))));
    }
    markSample();
    closeBatch();
    const named = pictures.map((file) => ({ name: file.name || t('picture.pasted'), blob: file }));
    if (named.length === 1 || !model.vit) return look(named[0]);
    looking?.abort();
    return runBatch(named, lookAt);
}

// What is chosen now, a sample or (without id) another picture; a sample still on its way is no longer wanted.
function markSample(id) {
    fetching?.abort();
    writeHash({ sample: id });
    for (const button of document.querySelectorAll('#samples button')) {
        button.setAttribute('aria-pressed', button.dataset.sample === id);
    }
}

async function lookAtSample(id) {
    markSample(id);
    closeBatch();
    const { signal } = fetching = new AbortController();
    let blob;
    try {
        const reply = await fetch(`samples/${id}.jpg`, { signal });
        if (!reply.ok) throw new Problem('sample', `${reply.url}: HTTP ${reply.status}`);
        blob = await reply.blob();
    } catch (error) {
        if (signal.aborted) return;
        const again = { label: t('error.retry'), main: true, run: () => lookAtSample(id) };
        const problem = error instanceof Problem ? error : new Problem('sample', String(error));
        return showNotice({ ...describe(problem), actions: [again] });
    }
    if (!signal.aborted) await look({ name: `${id}.jpg`, alt: t(`sample.${id}`), blob });
}

function showSamples() {
    $('#samples').replaceChildren(...samples.map((id) => {
        const name = t(`sample.${id}`);
        const button = el('button',
            { type: 'button', 'aria-pressed': 'false', title: name, onclick: () => lookAtSample(id) },
            el('img', { src: `samples/${id}.jpg`, alt: name, width: 72, height: 72 }));
        button.dataset.sample = id;
        return el('li', {}, button);
    }));
}

async function paste() {
    try {
        if (!navigator.clipboard?.read) throw new Problem('paste-keys');
        const blob = await pastedPicture();
        if (!blob) throw new Problem('clipboard');
        take([new File([blob], t('picture.pasted'), { type: blob.type })]);
    } catch (error) {
        showNotice(describe(error instanceof Problem ? error : new Problem('paste-keys', String(error))));
    }
}

// ---- Models ----

async function use(origin) {
    clearNotice();
    if (!await loadModel(origin)) return;
    $('#live').textContent = t('loading.done', { name: model.name });
    if (current) await look(current);
}

function takeModel(files) {
    try {
        writeHash({ model: undefined });
        use(fromFiles(files));
    } catch (error) {
        showNotice(describe(error, 'model'));
    }
}

function takeAddress(url) {
    writeHash({ model: url.href });
    use(fromAddress(url));
}

// A link may name a model on another site; opening the link is not yet asking for it.
function askAbout(url) {
    showNotice({
        title: t('ask.title'), text: t('ask.text'), detail: url.href,
        actions: [{ label: t('ask.load', { host: url.host }), main: true, run: () => takeAddress(url) }],
    });
}

function modelChanged() {
    showModelButton();
    $('#invite').hidden = Boolean(model.vit || model.load);
    if (model.load) stopBatch();
    else if (!model.vit) setClear(0);
    if (model.vit === seeing) return;
    seeing = model.vit;
    closeBatch();
    setView(viewOf(seeing.info.input));
    setClear(1);
    showRuns();
}

function modelFailed({ error, name, source }) {
    const again = { label: t('error.retry'), main: true, run: () => use({ name, source }) };
    const other = { label: t('error.other'), run: () => openDrawer() };
    showNotice({ ...describe(error, 'model'), actions: typeof source === 'string' ? [again, other] : [other] });
}

// ---- Start ----

async function start() {
    fillIn();
    startTheme($('#theme'));
    startStage($('#grid'));
    startRequests();
    showSamples();
    startDrops($('#drop'), take);
    startCamera(take, (error) => showNotice(describe(error)));
    startDrawer({ files: (list) => takeModel(sort(list)), url: takeAddress });
    startLoading({ cancel: cancelLoad, clear: setClear });
    model.on('change', modelChanged);
    model.on('failed', modelFailed);
    $('#choose').addEventListener('click', () => $('#choose-input').click());
    $('#choose-input').addEventListener('change', (event) => {
        const files = [...event.target.files];
        event.target.value = '';
        if (files.length) take(files);
    });
    $('#paste').addEventListener('click', paste);
    $('#skip').addEventListener('click', () => $('#panel').focus());
    addEventListener('hashchange', () => location.reload()); // another link of this page; its own changes fire no event
    showModelButton();
    showRuns();
    $('#runs').open = matchMedia('(min-width: 900px)').matches;
    document.documentElement.dataset.ready = '';

    const { sample, model: wanted } = readHash();
    const first = lookAtSample(samples.includes(sample) ? sample : samples[0]);
    const url = wanted ? readAddress(wanted) : null;
    if (url?.origin === location.origin) return takeAddress(url);
    if (url) return void first.then(() => askAbout(url));
    const served = await fromHost();
    if (served) return use(served);
    $('#invite').hidden = false;
}

start();
