// The model drawer: what is loaded, and the ways to another one.

import { $, el } from './dom.js';
import { t } from './words.js';
import { bytes, count } from './format.js';
import { model, readAddress } from './model.js';

const drawer = $('#drawer');
const address = $('#url');

function showCurrent() {
    const info = model.vit?.info;
    const facts = !info ? [] : [
        t('drawer.parameters', { count: count(info.parameters) }), t('input.size', info.input), bytes(info.memory.weights),
    ];
    $('.current', drawer).replaceChildren(
        el('strong', { textContent: info ? model.name : t('model.none') }),
        el('span', { textContent: facts.join(' · ') }));
}

export function openDrawer(focus) {
    showCurrent();
    $('#url-problem').textContent = '';
    if (!drawer.open) drawer.showModal();
    if (focus === 'url') address.focus();
}

// files(list) gets what was picked, url(URL) the address that was asked for.
export function startDrawer({ files, url }) {
    const pick = (button, input) => {
        $(button).addEventListener('click', () => $(input).click());
        $(input).addEventListener('change', () => {
            const list = [...$(input).files];
            $(input).value = '';
            if (!list.length) return;
            drawer.close();
            files(list);
        });
    };
    pick('#drawer-files', '#model-input');
    pick('#drawer-folder', '#folder-input');
    $('#invite-files').addEventListener('click', () => $('#model-input').click());
    $('#invite-url').addEventListener('click', () => openDrawer('url'));
    $('#model-button').addEventListener('click', () => openDrawer());
    $('#drawer-close').addEventListener('click', () => drawer.close());
    drawer.addEventListener('click', (event) => event.target === drawer && drawer.close());
    $('#url-form').addEventListener('submit', (event) => {
        event.preventDefault();
        const asked = readAddress(address.value);
        if (!asked) {
            $('#url-problem').textContent = address.value.trim() ? t('url.malformed') : t('url.empty');
            address.focus();
            return;
        }
        drawer.close();
        url(asked);
    });
}
