// A built site's service worker (sw.js): the page works offline, and gets threads on hosts that send no headers. The
// development server's pages have no version and no worker, so nobody sees an old file there.

import { $, hide } from './dom.js';
import { say } from './words.js';

const { serviceWorker } = navigator;
const box = $('#update');
const RELOADED = 'reloaded-to-be-isolated'; // in this tab, so that it happens once

let used = false; // the reader has begun to do something, which opening the page again would undo
for (const type of ['pointerdown', 'keydown', 'click', 'input', 'change', 'submit', 'dragenter', 'drop', 'paste']) {
    addEventListener(type, () => {
        used = true;
    }, { once: true, capture: true });
}

// Another version took over, maybe while this page was still opening.
serviceWorker?.addEventListener('controllerchange', () => location.reload());

function offer(words, run) {
    const text = $('p', box);
    text.dataset.t = words; // which another language fills in
    say(text, words);
    $('#update-reload').onclick = run;
    box.hidden = false;
}

// Pages that the worker answers for are isolated; the first one came before it.
async function isolate() {
    try {
        if (crossOriginIsolated) sessionStorage.removeItem(RELOADED);
        if (crossOriginIsolated || serviceWorker.controller || sessionStorage.getItem(RELOADED)) return;
        await serviceWorker.ready;
        if (used) return void offer('update.isolate', () => location.reload());
        sessionStorage.setItem(RELOADED, 'yes');
    } catch {
        return; // storage is blocked: it might be done again and again
    }
    location.reload();
}

// The new version takes over if this is the only page of the old one.
function replace(worker) {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = ({ data: others }) => others > 0 && offer('update.others', () => replace(worker));
    worker.postMessage('take over', [port2]);
}

function watch(registration) {
    const ready = () => serviceWorker.controller && registration.waiting
        && offer('update.ready', () => replace(registration.waiting));
    const follow = () => registration.installing?.addEventListener('statechange', ready);
    ready();
    follow(); // one that began before this page asked
    registration.addEventListener('updatefound', follow);
}

export async function startOffline() {
    if (!document.documentElement.dataset.version || !serviceWorker) return;
    $('#update-later').addEventListener('click', () => hide(box));
    try {
        watch(await serviceWorker.register(new URL('../../sw.js', import.meta.url), { updateViaCache: 'none' }));
        await isolate();
    } catch {
        // it is not allowed here: the page works as long as there is a network
    }
}
