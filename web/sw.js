// The service worker of a built site: the page works without a network, and is isolated on hosts that send no headers, so
// that it has threads. site.mjs writes what a version consists of in front of this: SITE = { version, files: { path: integrity } }.
//
// Pages get the files of one version, from its cache and nowhere else. They came there with the bytes that SITE names, all
// of them or none. A version takes over once no page uses the one before, or when the last that does asks for it. Models from
// elsewhere, and what the reader opened, never pass here.

const home = new URL('./', location);
const KIND = `vit-wasm page ${home.pathname} `; // an origin may have several sites
const NAME = KIND + SITE.version;
const ISOLATED = {
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-embedder-policy': 'require-corp',
    'cross-origin-resource-policy': 'same-origin',
};

// The path of a file of the site, or undefined.
function pathOf(address) {
    const { origin, pathname } = new URL(address);
    if (origin !== home.origin || !pathname.startsWith(home.pathname)) return undefined;
    const path = pathname.slice(home.pathname.length).replace(/(^|\/)$/, '$1index.html');
    return Object.hasOwn(SITE.files, path) ? path : undefined;
}

async function take(cache, path) {
    const url = new URL(path, home).href;
    const integrity = SITE.files[path];
    const before = await caches.match(url);
    if (before?.headers.get('etag') === integrity) return cache.put(url, before);
    // what the browser keeps of an earlier visit may be older
    const response = await fetch(url, { integrity }).catch(() => fetch(url, { integrity, cache: 'reload' }));
    if (!response.ok) throw new Error(`${url}: HTTP ${response.status}`);
    const type = response.headers.get('content-type') ?? 'application/octet-stream';
    const body = await response.blob();
    const headers = { ...ISOLATED, 'content-type': type, 'content-length': body.size, etag: integrity };
    return cache.put(url, new Response(body, { headers }));
}

async function install() {
    const cache = await caches.open(NAME);
    try {
        await Promise.all(Object.keys(SITE.files).map((path) => take(cache, path)));
    } catch (error) {
        await caches.delete(NAME);
        throw error;
    }
}

async function answer(path) {
    const cache = await caches.open(NAME);
    const url = new URL(path, home).href;
    const kept = await cache.match(url);
    if (kept) return kept;
    await take(cache, path); // the browser threw it away
    return cache.match(url);
}

async function removeOthers() {
    const others = (await caches.keys()).filter((name) => name.startsWith(KIND) && name !== NAME);
    await Promise.all(others.map((name) => caches.delete(name)));
}

// Answers how many other pages still use the version before.
async function takeOver(port) {
    const pages = await clients.matchAll({ type: 'window', includeUncontrolled: true });
    const others = pages.filter(({ url }) => url.startsWith(home.href)).length - 1;
    if (others <= 0) await skipWaiting();
    port.postMessage(others);
}

addEventListener('install', (event) => event.waitUntil(install()));
addEventListener('activate', (event) => event.waitUntil(removeOthers()));
addEventListener('message', (event) => event.data === 'take over' && event.waitUntil(takeOver(event.ports[0])));
addEventListener('fetch', (event) => {
    const path = event.request.method === 'GET' && pathOf(event.request.url);
    if (path) event.respondWith(answer(path));
});
