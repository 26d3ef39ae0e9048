// The model drawer: what is loaded, and the ways to another one.

import { $, el, onPick } from './dom.js';
import { t } from './words.js';
import { bytes, count } from './format.js';
import { forgetKept, isReachable, isUnkept, keptBytes, model, readAddress } from './model.js';
import { models } from './models.js';
import { recent } from './recent.js';

const drawer = $('#drawer');
const address = $('#url');
let chosenFor = 'use';
let choose = () => {};

function showCurrent() {
    const info = model.vit?.info;
    const facts = !info ? [] : [
        t('drawer.parameters', { count: count(info.parameters) }), t('input.size', info.input), bytes(info.memory.weights),
    ];
    $('.current', drawer).replaceChildren(
        el('strong', { textContent: info ? model.name : t('model.none') }),
        el('span', { textContent: facts.join(' · ') }),
        ...(info?.warnings ?? []).map((text) => el('span', { textContent: text, lang: 'en' })));
}

// What comes with the page, a few of Hugging Face's, and those that were loaded before: { name, facts, link }, link null
// for the engine's own.
function choices() {
    const listed = models.map(({ name, bytes: size, licence, source }) => ({
        name: name ?? t('model.built-in'), facts: [bytes(size), licence, source ?? t('drawer.here')],
        link: source && readAddress(source).href,
    }));
    const before = recent().filter(({ link }) => !listed.some((one) => one.link === link));
    return [...listed, ...before.map(({ name, link }) => ({ name, facts: [new URL(link).host], link, isRecent: true }))];
}

// What is kept of a model in this browser is said, and can be thrown away.
async function showList() {
    const sizes = new Map();
    const rows = choices().map(({ name, facts, link, isRecent }) => {
        const line = el('span', { textContent: facts.join(' · ') });
        const row = el('li', {}, el('button', { type: 'button', onclick: () => choose(link) }, el('strong', { textContent: name }), line));
        const remove = el('button', { type: 'button', className: 'quiet icon', textContent: '×', hidden: !isRecent,
            'aria-label': t('drawer.remove', { name }), onclick: () => forget(link) });
        if (link) row.append(remove);
        if (link) sizes.set(link, (size) => {
            const kept = isUnkept(link) ? t('drawer.unkept') : size ? t('drawer.kept.one', { bytes: bytes(size) }) : '';
            line.textContent = [...facts, kept].filter(Boolean).join(' · ');
            remove.hidden = !size && !isRecent;
        });
        return row;
    });
    $('#model-list').replaceChildren(...rows);
    for (const [link, show] of sizes) show(await keptBytes(link).catch(() => 0));
}

async function showModels() {
    showList();
    const size = await keptBytes().catch(() => 0);
    $('#kept').hidden = !size;
    $('#kept p').textContent = t('drawer.kept', { bytes: bytes(size) });
}

// Without a link: all. The button that had the focus may be gone then.
async function forget(link) {
    await forgetKept(link);
    await showModels();
    if (!drawer.contains(document.activeElement)) $('#drawer-close').focus();
}

// purpose: 'use' | 'beside', what the model that is chosen is for.
export function openDrawer(purpose = 'use', focus) {
    chosenFor = purpose;
    $('#drawer-title').textContent = t(`drawer.${purpose}`);
    showCurrent();
    showModels();
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
    choose = (link) => {
        drawer.close();
        if (link) url(new URL(link), chosenFor);
        else own(chosenFor);
    };
    $('#kept-clear').addEventListener('click', () => forget());
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
    const isOutside = ({ target, clientX, clientY }) => {
        const { left, right, top, bottom } = drawer.getBoundingClientRect();
        return target === drawer && (clientX < left || clientX > right || clientY < top || clientY > bottom);
    };
    let pressed = false; // outside, too: text is marked by dragging, maybe out of it
    drawer.addEventListener('pointerdown', (event) => {
        pressed = isOutside(event);
    });
    drawer.addEventListener('click', (event) => pressed && isOutside(event) && drawer.close());
    $('#url-form').addEventListener('submit', (event) => {
        event.preventDefault();
        const asked = readAddress(address.value);
        const problem = !address.value.trim() ? 'url.empty' : !asked ? 'url.malformed' : isReachable(asked) ? '' : 'url.insecure';
        if (problem) {
            $('#url-problem').textContent = t(problem);
            address.focus();
            return;
        }
        drawer.close();
        url(asked, chosenFor);
    });
}
