// The page: starts everything and says what follows from what.

import { $, el, onPick } from './dom.js';
import { fillIn, onLanguage, startLanguage, t } from './words.js';
import { startTheme } from './theme.js';
import { linkOf, mergeHash, readHash, writeHash } from './hash.js';
import { Problem, describe, isCancel } from './errors.js';
import { clearNotice, showNotice } from './notice.js';
import { count } from './format.js';
import { pastedPicture, pathOf, sort, startDrops } from './files.js';
import { closeCamera, startCamera, viewfinder } from './camera.js';
import { setClear, setView, showPicture, startStage } from './stage.js';
import { BUILT_IN, builtIn, cancelLoad, fromAddress, fromFiles, fromHost, isKept, loadModel, model, readAddress } from './model.js';
import { closeDrawer, openDrawer, startDrawer } from './drawer.js';
import { showModelButton, showRuns, startRuns } from './runs.js';
import { startLoading } from './loading.js';
import { startOffline } from './offline.js';
import { viewOf } from './view.js';
import classify, { useWith } from '../tabs/classify.js';
import compare, { setBeside, typeOfLink } from '../tabs/compare.js';
import fill from '../tabs/fill.js';
import find from '../tabs/find.js';
import lookTab from '../tabs/look.js';
import teach from '../tabs/teach.js';

const tabs = [classify, lookTab, fill, teach, find, compare];
const FEW = 5;          // files that are named
const samples = ['cat', 'coffee', 'camera', 'rocket', 'horse'];

let current = null;     // the picture on the stage: { name, alt, blob }; alt: the key of a sample's words
let looking = null;     // AbortController of what the tab does with it
let fetching = null;    // AbortController of a sample on its way
let served = null;      // the model that the host serves the page with
let waiting = null;     // several pictures that came before the first model
let failure = null;     // { error, origin } of the last load, if it failed
let isAsking = false;   // whether models that the link names are asked about
let seeing = null;      // the ViT whose patches the stage shows
let tab = null;         // the tab that is open

// ---- Pictures ----

// A new picture, for the tab that is open.
async function look(picture) {
    current = picture;
    waiting = null;
    clearNotice();
    closeCamera();
    await lookAgain(showPicture(picture));
}

// Those that came before the model, or while another tab was open.
function lookAtWaiting() {
    const pictures = waiting;
    if (!pictures || !model.vit || !tab.many) return false;
    waiting = null;
    looking?.abort();
    tab.many(pictures, lookAt);
    return true;
}

// The tab looks at the picture, or, if it can follow, at what the camera sees for as long as that is on; shown: a
// promise of the picture's being seen.
async function lookAgain(shown, ...options) {
    looking?.abort();
    const video = viewfinder();
    const picture = video ? { name: t('picture.photo'), blob: video } : current;
    if (!(model.vit || tab.ownModel) || !picture || (video && !tab.live)) return void await shown;
    const { signal } = looking = new AbortController();
    const slow = setTimeout(() => {
        $('#live').textContent = t('looking');
    }, 500);
    try {
        do {
            await tab.look(picture, signal, shown, ...options);
            clearTimeout(slow);
            if (video) await new Promise(requestAnimationFrame);
        } while (video && !signal.aborted);
    } catch (error) {
        if (signal.aborted || isCancel(error)) return;
        tab.clear();
        const about = error.about ?? 'picture';
        showNotice(() => ({
            ...describe(error, about),
            actions: about === 'picture' ? [] : [
                { label: t('error.retry'), main: true, run: () => lookAgain() },
                { label: t('error.other'), run: () => openDrawer(tab === compare ? 'beside' : 'use') },
            ],
        }));
    } finally {
        clearTimeout(slow);
    }
}

// A row of the batch table: its picture, and its answer as far as it is known; isOld: the model in use has another.
function lookAt(row, isOld) {
    if (tab !== classify) return; // the table goes on filling up behind another tab
    markSample();
    if (isOld) return void look(row.picture);
    looking?.abort();
    current = row.picture;
    closeCamera();
    showPicture(row.picture);
    tab.show(row);
    if (row.error) showNotice(() => describe(row.error, 'picture'));
}

// target: the element that they were dropped on. unread: [{ name, error }], what could not be.
function take(files, target, unread = []) {
    const { pictures, weights, configs, probes, others } = sort(files);
    const isModel = weights.length > 0 || (configs.length > 0 && !pictures.length);
    if (probes.length) takeClasses(probes[0]);
    if (!pictures.length && !isModel && !probes.length && !unread.length) {
        return showNotice(() => describe(new Problem('not-picture', files.map((file) => file.name).join(', '))));
    }
    if (pictures.length) takePictures(pictures, target, isModel);
    if (isModel && !takeModel({ weights, configs }, closeDrawer())) return void lookAtWaiting();
    const passed = pictures.length ? [...others, ...(isModel ? [] : configs)] : [];
    if (passed.length || unread.length) tellPassed(pictures, passed, unread);
}

const some = (files) => `${files.slice(0, FEW).map(pathOf).join(', ')}${files.length > FEW ? ', …' : ''}`;

function tellPassed(pictures, others, unread) {
    showNotice(() => ({
        title: t('passed.title'),
        text: [
            t('passed.taken', { count: count(pictures.length) }),
            others.length ? t('passed.others', { names: some(others) }) : '',
            unread.length ? t('passed.unread', { names: some(unread) }) : '',
        ].filter(Boolean).join(' '),
        detail: [...others.map(pathOf), ...unread.map(({ name, error }) => `${name}: ${error.message}`)].join('\n'),
    }));
}

// waits: for a model that came with them.
function takePictures(pictures, target, waits) {
    if (tab.taken?.(pictures, target)) return;
    clearNotice();
    markSample();
    const named = pictures.map((file) => ({ name: pathOf(file) || t('picture.pasted'), blob: file }));
    const one = named.length === 1;
    if (one || !model.vit || !tab.many) look(named[0]);
    if (one) return;
    waiting = named;
    if ((!waits && lookAtWaiting()) || tab.many) return;
    showNotice(() => ({
        title: t('several.title', { name: named[0].name }), text: t('several.text', { total: count(named.length) }),
        actions: [{ label: t('several.all'), main: true, run: () => openTab(classify.name) }],
    }));
}

// Classes that were taught, for the tab that answers by them.
function takeClasses(file) {
    openTab(teach.name);
    teach.open(file);
}

// What is chosen now, a sample or (without id) another picture; a sample still on its way is no longer wanted.
function markSample(id) {
    fetching?.abort();
    writeHash({ sample: id });
    for (const one of tabs) one.newPicture?.();
    for (const button of document.querySelectorAll('#samples button')) {
        button.setAttribute('aria-pressed', button.dataset.sample === id);
    }
}

async function lookAtSample(id) {
    markSample(id);
    const { signal } = fetching = new AbortController();
    let blob;
    try {
        const reply = await fetch(`samples/${id}.jpg`, { signal });
        if (!reply.ok) throw new Problem('sample', `${reply.url}: HTTP ${reply.status}`);
        blob = await reply.blob();
    } catch (error) {
        if (signal.aborted) return;
        const problem = error instanceof Problem ? error : new Problem('sample', String(error));
        return showNotice(() => ({
            ...describe(problem), actions: [{ label: t('error.retry'), main: true, run: () => lookAtSample(id) }],
        }));
    }
    if (!signal.aborted) await look({ name: `${id}.jpg`, alt: `sample.${id}`, blob });
}

function showSamples() {
    $('#samples').replaceChildren(...samples.map((id) => {
        const name = t(`sample.${id}`);
        const button = el('button',
            { type: 'button', 'aria-pressed': 'false', title: name, onclick: () => lookAtSample(id) },
            el('img', { src: `samples/${id}.jpg`, alt: name, width: 72, height: 72, fetchPriority: 'low' }));
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
        showNotice(() => describe(error instanceof Problem ? error : new Problem('paste-keys', String(error))));
    }
}

// ---- Models ----

// origin.link: what the link of the page calls it. Resolves to true once the model is in use.
async function use(origin) {
    failure = null;
    clearNotice();
    if (!await loadModel(origin)) {
        if (!model.load) lookAtWaiting();
        return false;
    }
    if (!isAsking) writeHash({ model: origin.link });
    $('#live').textContent = t('loading.done', { name: model.name });
    if (lookAtWaiting()) return true;
    await lookAgain(viewfinder() || !current ? undefined : showPicture(current));
    return true;
}

// Returns whether they can be one.
function takeModel(files, purpose = 'use') {
    try {
        const origin = fromFiles(files);
        if (purpose === 'beside') setBeside(origin);
        else use(origin);
        const { name, others } = origin;
        if (others.length) showNotice(() => ({ title: t('others.title', { name }), text: t('others.text', { names: some(others) }) }));
        return true;
    } catch (error) {
        showNotice(() => describe(error, 'model'));
        return false;
    }
}

function takeAddress(url, purpose = 'use', type) {
    const origin = fromAddress(url);
    return purpose === 'beside' ? setBeside(origin, type) : use(origin);
}

// The engine's own, which a link names where the host serves another.
const own = () => Object.assign(builtIn(), { link: served ? BUILT_IN : undefined });

function takeBuiltIn(purpose, type) {
    if (purpose === 'beside') return setBeside(builtIn(), type);
    use(own());
}

// A link may name models on other sites; opening the link is not yet asking for them. wanted: [{ url, purpose }]. The link
// goes on naming them until there is an answer.
function askAbout(wanted) {
    const hosts = [...new Set(wanted.map(({ url }) => url.host))].join(', ');
    isAsking = true;
    showNotice(() => ({
        isQuestion: true, title: t('ask.title'), text: t('ask.text'), detail: wanted.map(({ url }) => url.href).join('\n'),
        actions: [{
            label: t('ask.load', { host: hosts }), main: true,
            run() {
                isAsking = false;
                for (const { url, purpose } of wanted) takeAddress(url, purpose, typeOfLink());
            },
        }],
        dismissed() {
            isAsking = false;
            for (const { purpose } of wanted) writeHash(purpose === 'use' ? { model: model.origin?.link } : { other: undefined });
        },
    }));
}

function modelChanged() {
    showModelButton();
    $('#invite').hidden = Boolean(model.vit || model.load);
    if (!model.load && !model.vit) setClear(0);
    if (model.vit === seeing) return;
    seeing = model.vit;
    for (const one of tabs) one.modelChanged?.();
    setView(viewOf(seeing.info.input));
    setClear(1);
    showRuns();
}

function cancelModel() {
    const { origin } = model.load;
    const { compute, vit } = model;
    cancelLoad();
    showNotice(() => ({
        title: t('cancelled.title'),
        text: vit ? t('cancelled.kept', { name: model.name }) : t('cancelled.none'),
        actions: [{ label: t('cancelled.again'), main: true, run: () => useWith(compute, origin) }],
    }));
}

// Whether it was picked or dropped, and would be read again as it is.
const isOfFiles = ({ source }) => (source?.weights ?? source) instanceof Blob;

function modelFailed(failed) {
    failure = failed;
    const { error, origin } = failed;
    const { compute } = model;
    showNotice(() => {
        const retry = { label: t('error.retry'), main: true, run: () => useWith(compute, origin) };
        const other = { label: t('error.other'), run: () => openDrawer() };
        return { ...describe(error, 'model'), actions: isOfFiles(origin) ? [other] : [retry, other] };
    });
}

// ---- Tabs ----

function nameTab() {
    document.title = t('title.page', { tab: t(`tab.${tab.name}`) });
    $('#title').textContent = t(`title.${tab.name}`);
}

function openTab(name) {
    const next = tabs.find((one) => one.name === name) ?? tabs[0];
    if (next === tab) return;
    looking?.abort();
    tab?.leave?.();
    if (tab?.ownModel) showRuns(); // of the page's again
    tab = next;
    writeHash({ tab: tab.name });
    document.documentElement.dataset.tab = tab.name;
    nameTab();
    for (const one of tabs) $(`#${one.name}`).hidden = one !== tab;
    if (!tab.live) closeCamera();
    for (const link of document.querySelectorAll('#tabs a')) {
        if (link.dataset.tab === tab.name) link.setAttribute('aria-current', 'page');
        else link.removeAttribute('aria-current');
    }
    $('#tabs [aria-current]').scrollIntoView({ block: 'nearest', inline: 'nearest' }); // where there is no room for all
    clearNotice();
    if (!lookAtWaiting()) lookAgain();
}

function showTabs() {
    $('#tabs').replaceChildren(...tabs.map(({ name }) => {
        const aim = () => {
            link.href = new URL(linkOf(name), location.href); // which may be opened in a window of its own
        };
        const link = el('a', { href: `#${name}`, textContent: t(`tab.${name}`), onpointerdown: aim, onfocus: aim, onclick: (event) => {
            if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a window of its own
            event.preventDefault();
            openTab(name);
        } });
        link.dataset.tab = name;
        return link;
    }));
    for (const one of tabs) {
        one.start?.({
            use,
            lookAgain: (...options) => one === tab && lookAgain(undefined, ...options),
            show(picture) {
                if (one !== tab) return;
                markSample();
                look(picture);
            },
        });
    }
}

// ---- Links and languages ----

// Whether nobody need be asked for a model: it is of this host, or kept in this browser.
const isAtHand = async ({ origin, href }) => origin === location.origin || await isKept(href).catch(() => false);

// Models that a link names. Resolves once those that are at hand are there, or cannot be had.
async function takeNamed({ model: address, other }) {
    if (other === BUILT_IN) takeBuiltIn('beside', typeOfLink());
    const named = [[address, 'use'], [other, 'beside']]
        .map(([text, purpose]) => ({ url: text ? readAddress(text) : null, purpose })).filter(({ url }) => url);
    const areAtHand = await Promise.all(named.map(({ url }) => isAtHand(url)));
    const elsewhere = named.filter((_, i) => !areAtHand[i]);
    const taken = named.filter((_, i) => areAtHand[i]).map(({ url, purpose }) => takeAddress(url, purpose, typeOfLink()));
    if (elsewhere.length) askAbout(elsewhere);
    await Promise.all(taken);
}

// Another link of this page was opened in it; its own changes fire no event. What it does not name stays.
function follow() {
    const changes = mergeHash();
    for (const one of tabs) one.follow?.(changes);
    openTab(readHash().tab);
    if (samples.includes(changes.sample)) lookAtSample(changes.sample);
    takeNamed(changes);
    if (changes.model === BUILT_IN) takeBuiltIn('use');
}

function translate() {
    nameTab();
    for (const link of document.querySelectorAll('#tabs a')) link.textContent = t(`tab.${link.dataset.tab}`);
    for (const button of document.querySelectorAll('#samples button')) {
        button.title = $('img', button).alt = t(`sample.${button.dataset.sample}`);
    }
    $('#live').textContent = '';
    for (const one of tabs) one.translate?.();
}

// ---- Start ----

async function start() {
    fillIn();
    startTheme($('#theme'));
    startLanguage($('#language'));
    startStage($('#grid'));
    startRuns();
    showSamples();
    showTabs();
    openTab(readHash().tab);
    startDrops($('#drop'), take);
    startCamera({
        take, fail: (error) => showNotice(() => describe(error)), follows: () => tab.live,
        change() {
            if (viewfinder()) fetching?.abort(); // a sample that comes now would close it
            lookAgain();
        },
    });
    startDrawer({ files: (list, purpose) => takeModel(sort(list), purpose), url: takeAddress, own: takeBuiltIn });
    startLoading({ cancel: cancelModel, clear: setClear });
    model.on('change', modelChanged);
    model.on('failed', modelFailed);
    $('#choose').addEventListener('click', () => $('#choose-input').click());
    onPick($('#choose-input'), take);
    $('#paste').addEventListener('click', paste);
    $('#skip').addEventListener('click', () => $('#panel').focus());
    addEventListener('hashchange', follow);
    onLanguage(translate);
    showModelButton();
    showRuns();
    $('#runs').open = matchMedia('(min-width: 900px)').matches;
    document.documentElement.dataset.ready = '';

    const link = readHash();
    const { sample } = link;
    const first = lookAtSample(samples.includes(sample) ? sample : samples[0]);
    const named = takeNamed(link);
    served = await fromHost();
    await named;
    const told = failure;
    if (!model.vit && !model.load) { // while a model of another site is asked about, or one of this cannot be had, this one answers
        await use(link.model !== BUILT_IN && served ? served : own());
    }
    await first;
    if (told && !failure) modelFailed(told);
}

start().then(startOffline);
