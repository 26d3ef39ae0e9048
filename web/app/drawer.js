// The model drawer: what is loaded, and the ways to another one.

import { $, el, onPick } from './dom.js';
import { t } from './words.js';
import { bytes, count } from './format.js';
import { forgetKept, keptBytes, model, readAddress } from './model.js';
import { models } from './models.js';

const drawer = $('#drawer');
const address = $('#url');
let chosenFor = 'use';

function showCurrent() {
    const info = model.vit?.info;
    const facts = !info ? [] : [
        t('drawer.parameters', { count: count(info.parameters) }), t('input.size', info.input), bytes(info.memory.weights),
    ];
    $('.current', drawer).replaceChildren(
        el('strong', { textContent: info ? model.name : t('model.none') }),
        el('span', { textContent: facts.join(' · ') }));
}

// choose(source) gets a Hugging Face model's owner/name, or null for the engine's own.
function showList(choose) {
    $('#model-list').replaceChildren(...models.map(({ name, bytes: size, licence, source }) => {
        const facts = [bytes(size), licence, source ?? t('drawer.here')].join(' · ');
        const button = el('button', { type: 'button', onclick: () => choose(source) },
            el('strong', { textContent: name ?? t('model.built-in') }), el('span', { textContent: facts }));
        return el('li', {}, button);
    }));
}

async function showKept() {
    const size = await keptBytes().catch(() => 0);
    $('#kept').hidden = !size;
    $('#kept p').textContent = t('drawer.kept', { bytes: bytes(size) });
}

// purpose: 'use' | 'beside', what the model that is chosen is for.
export function openDrawer(purpose = 'use', focus) {
    chosenFor = purpose;
    $('#drawer-title').textContent = t(`drawer.${purpose}`);
    showCurrent();
    showKept();
    $('#url-problem').textContent = '';
    if (!drawer.open) drawer.showModal();
    if (focus === 'url') address.focus();
}

// A model that is dropped while the drawer is open is for the same purpose.
export function closeDrawer() {
    const purpose = drawer.open ? chosenFor : 'use';
    drawer.close();
    return purpose;
}

// files(list, purpose) gets what was picked, url(URL, purpose) the address that was asked for, own(purpose) is told that the
// engine's own model was.
export function startDrawer({ files, url, own }) {
    showList((source) => {
        drawer.close();
        if (source) url(readAddress(source), chosenFor);
        else own(chosenFor);
    });
    $('#kept-clear').addEventListener('click', () => forgetKept().then(showKept));
    const pick = (button, input) => {
        $(button).addEventListener('click', () => $(input).click());
        onPick($(input), (list) => {
            drawer.close();
            files(list, chosenFor);
        });
    };
    pick('#drawer-files', '#model-input');
    pick('#drawer-folder', '#folder-input');
    $('#invite-files').addEventListener('click', () => {
        chosenFor = 'use';
        $('#model-input').click();
    });
    $('#invite-url').addEventListener('click', () => openDrawer('use', 'url'));
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
        url(asked, chosenFor);
    });
}
