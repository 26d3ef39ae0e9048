// A load under way: bytes, speed, a cancel button; the picture clears up patch by patch as they come. Where a model answers
// already, that is over the page, so that nothing moves, and the answer to be replaced fades.

import { $, hide } from './dom.js';
import { onLanguage, t } from './words.js';
import { bytes, count, percent } from './format.js';
import { model } from './model.js';

const box = $('#loading');
const bar = $('#progress');
let spoken = 0; // quarters already announced
let isWaiting = false; // for the network, which went away

function show({ origin, loaded, total, since }) {
    $('.what', box).textContent = origin.name;
    if (total) {
        bar.max = total;
        bar.value = loaded;
    } else bar.removeAttribute('value');
    $('.count', box).textContent = total ? t('loading.bytes', { loaded: count(loaded), total: count(total) })
        : loaded ? t('loading.some', { loaded: count(loaded) }) : '';
    const seconds = (performance.now() - since) / 1000;
    const rate = bytes(Math.round(loaded / seconds));
    $('.rate', box).textContent = isWaiting ? t('loading.waiting') : loaded && seconds > 0.5 ? t('loading.rate', { rate }) : '';
}

function speak({ loaded, total }) {
    const quarter = total ? Math.floor(4 * loaded / total) : 0;
    if (quarter <= spoken) return;
    spoken = quarter;
    $('#live').textContent = t('loading.spoken', { percent: percent(loaded / total) });
}

// clear(fraction) lets the picture clear up.
export function startLoading({ cancel, clear }) {
    let frame = 0;
    model.on('change', () => {
        const isOver = Boolean(model.load && model.vit);
        if (model.load) box.hidden = false;
        else hide(box);
        box.toggleAttribute('data-over', isOver);
        document.documentElement.toggleAttribute('data-replacing', isOver);
        if (!model.load) return;
        spoken = 0;
        isWaiting = false;
        show(model.load);
        if (!model.vit) clear(0);
    });
    model.on('progress', (load) => {
        cancelAnimationFrame(frame);
        frame = requestAnimationFrame(() => {
            if (model.load !== load) return;
            show(load);
            speak(load);
            if (!model.vit && load.total) clear(load.loaded / load.total * 0.999);
        });
    });
    for (const type of ['offline', 'online']) addEventListener(type, () => {
        if (!model.load) return;
        isWaiting = type === 'offline';
        show(model.load);
        $('#live').textContent = isWaiting ? t('loading.waiting') : '';
    });
    onLanguage(() => model.load && show(model.load));
    $('#cancel').addEventListener('click', () => {
        cancel();
        $('#panel').focus({ preventScroll: true }); // the button that had it is gone
    });
}
