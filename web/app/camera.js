// A picture from the camera: the phone's own camera where there is one, else a viewfinder on the stage.

import { $, onPick } from './dom.js';
import { t } from './words.js';
import { Problem } from './errors.js';
import { showLive } from './stage.js';

const stage = $('#stage');
const video = $('#viewfinder');
const shutter = $('.shutter', stage);
let stream = null;
let opening = null;     // the promise of one that the reader is being asked about
let wanted = false;     // whether it is still

let changed = () => {};
let failed = () => {};

// The element that shows what the camera sees, or null while it is off.
export const viewfinder = () => (stream && video.videoWidth ? video : null);

export function closeCamera() {
    wanted = false;
    if (!stream) return;
    stream.getTracks().forEach((track) => track.stop());
    stream = null;
    video.srcObject = null;
    video.hidden = shutter.hidden = true;
    delete stage.dataset.camera;
    showLive(null);
    changed();
}

export function openCamera() {
    wanted = true;
    opening ??= open().finally(() => {
        opening = null;
    });
    return opening;
}

// What the browser calls it when there is no camera of the kind that was asked for.
const NONE = ['NotFoundError', 'OverconstrainedError'];

async function open() {
    if (stream) return;
    const wish = { facingMode: 'environment', width: { ideal: 1280 } };
    if (!navigator.mediaDevices?.getUserMedia) throw new Problem('camera-insecure', 'navigator.mediaDevices'); // on pages that came by http
    const asked = await navigator.mediaDevices.getUserMedia({ video: wish }).catch((error) => {
        throw new Problem(NONE.includes(error.name) ? 'camera-none' : 'camera', `${error.name}: ${error.message}`);
    });
    if (!wanted) return asked.getTracks().forEach((track) => track.stop());
    stream = asked;
    video.srcObject = stream;
    video.hidden = shutter.hidden = false;
    stage.dataset.camera = '';
    asked.getTracks().forEach((track) => track.addEventListener('ended', () => {
        if (stream !== asked) return;
        closeCamera();
        failed(new Problem('camera', 'ended'));
    }));
    await video.play().catch(() => {}); // it was closed meanwhile, or shows its first picture
    if (stream !== asked) return;
    showLive(video);
    changed();
    $('#live').textContent = t('camera.on');
}

// What the camera sees now, as a Blob; while it is on.
export function photograph() {
    const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
    canvas.getContext('2d').drawImage(video, 0, 0);
    return canvas.convertToBlob({ type: 'image/jpeg', quality: 0.92 });
}

async function shoot() {
    const blob = await photograph();
    closeCamera();
    $('#camera').focus();
    return new File([blob], `${t('picture.photo')}.jpg`, { type: blob.type });
}

// take(files) gets each photograph, fail(error) what went wrong; change() is told when it goes on or off. follows():
// whether what is open looks at every frame, so that it wants the viewfinder on a phone too.
export function startCamera({ take, fail, change, follows }) {
    changed = change;
    failed = fail;
    const input = $('#camera-input');
    video.addEventListener('resize', () => viewfinder() && showLive(video)); // a phone was turned
    const phone = matchMedia('(pointer: coarse)').matches;
    $('#camera').addEventListener('click', () => {
        if ((phone && !follows()) || !navigator.mediaDevices?.getUserMedia) input.click();
        else openCamera().then(() => $('#shoot').focus(), fail);
    });
    onPick(input, take);
    $('#shoot').addEventListener('click', () => shoot().then((file) => take([file]), fail));
    $('#camera-off').addEventListener('click', () => {
        closeCamera();
        $('#camera').focus();
    });
    stage.addEventListener('keydown', (event) => event.key === 'Escape' && stream && $('#camera-off').click());
}
