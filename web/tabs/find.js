// Find: which of many pictures look most like the one on the stage. A grid of them, the nearest first.

import { $, el, hide, onPick, save } from '../app/dom.js';
import { singular, t } from '../app/words.js';
import { count, inOrder, number } from '../app/format.js';
import { bitmapOf, partsOf } from '../app/classify.js';
import { Problem, describe } from '../app/errors.js';
import { addPictures, featuresOf, gallery, goOn, nearest, onChange, removePictures, startAgain, stop, vectorsFile } from '../app/gallery.js';
import { model } from '../app/model.js';
import { showNotice } from '../app/notice.js';
import { showRuns } from '../app/runs.js';
import { pathOf, sort } from '../app/files.js';

const PAGE = 60;        // tiles at first, and each time there are more
const KEPT = 400;       // tiles whose pictures are kept
const SHARP = 240;      // px of a tile's picture
const EVERY = 250;      // ms between two looks at what was seen meanwhile

const box = $('#find');
const list = $('#tiles');
const progress = $('#find-progress');

let query = null;       // features of the picture on the stage
let shownItem = null;   // the item that is on the stage
let most = PAGE;        // tiles that are shown at most
let soon = 0;           // timer of the next look
let show = () => {};    // puts a picture on the stage

// ---- Tiles

const tiles = new Map();    // item to its li, the one that was shown last at the end
const undrawn = [];         // lis without a picture yet
let drawing = false;

// One after the other: many photographs at once are more than a phone can hold.
async function drawPictures() {
    if (drawing) return;
    drawing = true;
    for (let tile; (tile = undrawn.shift());) {
        if (!tile.li.isConnected) {
            tiles.delete(tile.item);
            continue;
        }
        const bitmap = await bitmapOf(tile.item.blob, { resizeWidth: SHARP, resizeQuality: 'medium' }).catch(() => null);
        if (!bitmap) continue;
        const canvas = $('canvas', tile.li);
        canvas.width = bitmap.width;
        canvas.height = bitmap.height;
        canvas.getContext('bitmaprenderer').transferFromImageBitmap(bitmap);
    }
    drawing = false;
}

function tileOf(item) {
    let li = tiles.get(item);
    if (!li) {
        li = el('li', {}, el('button', { type: 'button', title: item.name, onclick: () => show(item) },
            el('canvas', { width: 1, height: 1 }), el('span', { className: 'score' })));
        undrawn.push({ item, li });
    }
    tiles.delete(item);
    tiles.set(item, li);
    return li;
}

function drawTiles() {
    const found = query ? nearest(query, most) : gallery.items.filter(({ error }) => !error).slice(0, most).map((item) => ({ item }));
    const focused = list.contains(document.activeElement) ? document.activeElement : null;
    const lis = found.map(({ item, score }, i) => {
        const li = tileOf(item);
        const button = $('button', li);
        const words = score === undefined ? item.name : t('find.tile', { name: item.name, score: number(score) });
        button.setAttribute('aria-label', words);
        button.tabIndex = i ? -1 : 0;
        button.setAttribute('aria-current', item === shownItem);
        $('.score', li).textContent = score === undefined ? '' : number(score);
        return li;
    });
    if (lis.length !== list.children.length || lis.some((li, i) => li !== list.children[i])) list.replaceChildren(...lis);
    if (focused?.isConnected) reach(focused);
    for (const [item, li] of tiles) {
        if (tiles.size <= KEPT) break;
        if (!li.isConnected) tiles.delete(item);
    }
    const all = query ? gallery.seen - gallery.failed.length : gallery.items.length;
    showOrHide($('#find-more'), found.length < all);
    drawPictures();
}

// A button that goes leaves the keyboard at the tiles.
function showOrHide(button, isShown) {
    if (isShown) button.hidden = false;
    else hide(button, $('[tabindex="0"]', list) ?? $('#panel'));
}

// One tile is reached by Tab, the others by arrows.
function reach(button) {
    for (const one of list.querySelectorAll('[tabindex="0"]')) one.tabIndex = -1;
    button.tabIndex = 0;
    button.focus({ preventScroll: true });
}

function step(event) {
    const buttons = [...list.querySelectorAll('button')];
    const at = buttons.indexOf(document.activeElement);
    const below = buttons.findIndex(({ parentElement: { offsetTop } }) => offsetTop > list.firstElementChild.offsetTop);
    const columns = below < 0 ? buttons.length : below;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -at, End: buttons.length - 1 - at };
    if (!(event.key in steps)) return;
    const to = buttons[at + steps[event.key]];
    event.preventDefault();
    if (!to) return;
    reach(to);
    to.scrollIntoView({ block: 'nearest' });
}

// ---- The rest

function drawState() {
    const { items, seen, going, failed } = gallery;
    const some = items.length > 0, left = seen < items.length;
    $('.empty', box).hidden = some;
    $('.full', box).hidden = !some;
    $('h2.count', box).textContent = left ? t('find.seen', { seen: count(seen), total: count(items.length) }) : t(singular('find.all', items.length), { total: count(items.length) });
    progress.hidden = !left;
    progress.max = items.length;
    progress.value = seen;
    showOrHide($('#find-stop'), left && model.vit);
    $('#find-stop').textContent = t(going ? 'batch.stop' : 'find.on');
    $('.failed', box).hidden = !failed.length;
    $('.failed', box).textContent = t('find.failed', { count: count(failed.length), names: failed.slice(0, 3).map(({ name }) => name).join(', ') });
    $('#find-save').disabled = seen === failed.length;
}

function draw() {
    clearTimeout(soon);
    soon = 0;
    drawState();
    drawTiles();
}

let wasGoing = false;

function onSeen() {
    const { going, seen, items } = gallery;
    if (wasGoing && !going && items.length && seen === items.length) $('#live').textContent = t(singular('find.done', seen), { total: count(seen) });
    if (wasGoing !== going) draw();
    else soon ||= setTimeout(draw, EVERY);
    wasGoing = going;
}

function add(files) {
    const { pictures } = sort(files);
    if (!pictures.length) return showNotice(() => describe(new Problem('not-picture', files.map(pathOf).join(', '))));
    const byName = pictures.map((file) => ({ file, name: pathOf(file) }))
        .sort((a, b) => inOrder(a.name, b.name));
    const first = addPictures(byName.map(({ file }) => file));
    if (first) show(first);
    draw();
}

export default {
    name: 'find',
    live: true,

    start({ show: showPicture }) {
        show = (item) => {
            showPicture(item);
            $('#stage').scrollIntoView({ block: 'nearest' });
        };
        onChange(onSeen);
        onPick($('#find-input'), add);
        onPick($('#find-folder-input'), add);
        for (const button of box.querySelectorAll('[data-pick]')) button.addEventListener('click', () => $(button.dataset.pick).click());
        $('#find-stop').addEventListener('click', () => (gallery.going ? stop() : goOn()));
        $('#find-save').addEventListener('click', () => save('features.safetensors', 'application/octet-stream', vectorsFile()));
        $('#find-clear').addEventListener('click', () => {
            removePictures();
            tiles.clear();
            most = PAGE;
            draw();
            $('[data-pick]', box).focus();
        });
        $('#find-more').addEventListener('click', () => {
            most += PAGE;
            draw();
        });
        list.addEventListener('keydown', step);
        draw();
    },

    async look(picture, signal, shown) {
        const live = !(picture.blob instanceof Blob);
        if (!gallery.items.length) return void await shown;
        const features = await featuresOf(picture, signal);
        await shown;
        if (signal.aborted) return;
        query = features;
        shownItem = picture;
        draw();
        if (!live) list.scrollTop = 0;
        if (live) return;
        const [best] = nearest(features, 2).filter(({ item }) => item !== picture);
        if (best) $('#live').textContent = t('find.best', { name: best.item.name, score: number(best.score) });
        showRuns(partsOf(model.vit.info.last));
    },

    clear() {
        query = shownItem = null;
        draw();
    },

    translate: draw,

    // One picture is looked for; several are looked through.
    taken(pictures) {
        if (pictures.length < 2) return false;
        add(pictures);
        return true;
    },

    modelChanged() {
        query = null;
        most = PAGE;
        startAgain();
    },
};
