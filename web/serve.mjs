// Serves the demo page on this machine only:  node web/serve.mjs [--port N] [--model FILE|DIR]
// What can be asked for: web/ and wasm/ beside it, and under model/ the files of --model by their exact names.

import { createServer } from 'node:http';
import { createReadStream } from 'node:fs';
import { readFile, realpath, stat } from 'node:fs/promises';
import { pipeline } from 'node:stream';
import { dirname, extname, join, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { modelFiles, modelIndex } from './files.mjs';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const folders = ['web', 'wasm'];
const types = {
    '.html': 'text/html; charset=utf-8', '.css': 'text/css; charset=utf-8', '.md': 'text/plain; charset=utf-8',
    '.js': 'text/javascript; charset=utf-8', '.mjs': 'text/javascript; charset=utf-8',
    '.json': 'application/json', '.wasm': 'application/wasm', '.svg': 'image/svg+xml', '.png': 'image/png',
    '.jpg': 'image/jpeg', '.webmanifest': 'application/manifest+json', '.gguf': 'application/octet-stream', '.safetensors': 'application/octet-stream',
};

// A site that was at this address before has left a service worker, which looks here for its next version: an end.
const NO_WORKER = `addEventListener('install', () => skipWaiting());
addEventListener('activate', (event) => event.waitUntil((async () => {
    for (const name of await caches.keys()) if (name.startsWith('vit-wasm page ')) await caches.delete(name);
    const pages = await clients.matchAll();
    await registration.unregister();
    for (const page of pages) page.navigate(page.url);
})()));
`;

class Refusal extends Error {
    constructor(status, text, headers = {}) {
        super(text);
        Object.assign(this, { status, headers });
    }
}

function usage(problem) {
    console.error(`${problem}\nusage: node web/serve.mjs [--port N] [--model FILE|DIR]`);
    process.exit(2);
}

function parse(args) {
    const options = { port: 8080, model: null };
    for (let i = 0; i < args.length; i += 2) {
        const value = args[i + 1];
        if (value === undefined) usage(`${args[i]}: a value is missing`);
        if (args[i] === '--port') {
            options.port = Number(value);
            if (!Number.isInteger(options.port) || options.port < 0 || options.port > 65535)
                usage(`--port ${value}: expected 0 to 65535 (0 takes any free one)`);
        } else if (args[i] === '--model') options.model = value;
        else usage(`${args[i]}: no such option`);
    }
    return options;
}

// The page carries its own policy in a <meta>, so that it also holds on a host that sends no headers; here the
// same words become a header, which reaches workers too.
async function policy() {
    const page = await readFile(join(root, 'web', 'index.html'), 'utf8');
    const found = /http-equiv="Content-Security-Policy"\s+content="([^"]+)"/.exec(page);
    if (!found) throw new Error('web/index.html has no Content-Security-Policy');
    return `${found[1].replace(/\s+/g, ' ').trim()}; frame-ancestors 'none'`;
}

// Path of a URL's file below web/ or wasm/. Every part must be a plain name; links may not lead out.
async function fileFor(parts) {
    const plain = parts.every((part) => /^[\w][\w.-]*$/.test(part) && !part.includes('..'));
    if (!plain || !folders.includes(parts[0])) throw new Refusal(404, 'Not found');
    const path = join(root, ...parts);
    const real = await realpath(path).catch(() => null);
    if (!real?.startsWith((await realpath(join(root, parts[0]))) + sep)) throw new Refusal(404, 'Not found');
    const info = await stat(real);
    if (!info.isFile()) throw new Refusal(404, 'Not found');
    return { path: real, bytes: info.size };
}

// "bytes=a-b" | "bytes=a-" | "bytes=-n" to [first, last]; null when absent or of another kind (then all is sent).
function range(header, bytes) {
    const found = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
    if (!found || (!found[1] && !found[2])) return null;
    const first = found[1] ? Number(found[1]) : Math.max(0, bytes - Number(found[2]));
    const last = found[1] && found[2] ? Math.min(Number(found[2]), bytes - 1) : bytes - 1;
    if (first > last) throw new Refusal(416, 'Range not satisfiable', { 'Content-Range': `bytes */${bytes}` });
    return [first, last];
}

function sendFile(request, response, name, file) {
    const part = range(request.headers.range, file.bytes);
    const [first, last] = part ?? [0, file.bytes - 1];
    response.writeHead(part ? 206 : 200, {
        'Content-Type': types[extname(name)] ?? 'application/octet-stream',
        'Content-Length': last - first + 1,
        'Accept-Ranges': 'bytes',
        ...(part && { 'Content-Range': `bytes ${first}-${last}/${file.bytes}` }),
    });
    if (request.method === 'HEAD' || last < first) return response.end();
    pipeline(createReadStream(file.path, { start: first, end: last }), response, () => {}); // closes the file when the reader goes
}

function sendText(request, response, type, text) {
    response.writeHead(200, { 'Content-Type': types[type], 'Content-Length': Buffer.byteLength(text) });
    response.end(request.method === 'HEAD' ? undefined : text);
}

// Names of this machine: a page elsewhere whose name leads here is no page of ours, and may not read the model.
const isHere = (host) => /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/.test(host ?? '');

async function answer(request, response, model) {
    if (!isHere(request.headers.host)) throw new Refusal(421, 'Misdirected request');
    if (request.method !== 'GET' && request.method !== 'HEAD') throw new Refusal(405, 'Only GET and HEAD', { Allow: 'GET, HEAD' });
    let path;
    try {
        path = decodeURIComponent(request.url.split('?')[0]);
    } catch {
        throw new Refusal(400, 'Malformed address');
    }
    if (path === '/' || path === '/web') {
        response.writeHead(302, { Location: '/web/' }).end();
        return;
    }
    if (path === '/sw.js') return sendText(request, response, '.js', NO_WORKER);
    const parts = (path === '/web/' ? '/web/index.html' : path).split('/').slice(1);
    if (parts[0] === 'model' && parts.length === 2) {
        if (parts[1] === 'index.json') return sendText(request, response, '.json', model.index);
        const file = model.files.get(parts[1]);
        if (!file) throw new Refusal(404, 'Not found');
        sendFile(request, response, parts[1], file);
        return;
    }
    sendFile(request, response, parts.at(-1), await fileFor(parts));
}

const options = parse(process.argv.slice(2));
const files = await modelFiles(options.model).catch((error) => usage(error.message));
const model = {
    files,
    index: modelIndex(options.model && resolve(options.model), files),
};
const headers = {
    'Content-Security-Policy': await policy(),
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Embedder-Policy': 'require-corp',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Permissions-Policy': 'camera=(self), microphone=(), geolocation=()',
    'Cache-Control': 'no-cache',
};

const server = createServer((request, response) => {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    answer(request, response, model).catch((error) => {
        if (response.headersSent) return response.destroy();
        const status = error.status ?? 500;
        const text = `${status} ${error.status ? error.message : 'Server error'}\n`;
        response.writeHead(status, { ...error.headers, 'Content-Type': 'text/plain; charset=utf-8' });
        response.end(request.method === 'HEAD' ? undefined : text);
    });
});
server.on('error', (error) => {
    console.error(error.code === 'EADDRINUSE'
        ? `port ${options.port} is taken; choose another with --port N`
        : error.message);
    process.exit(1);
});
server.listen(options.port, '127.0.0.1', () => {
    console.log(`http://127.0.0.1:${server.address().port}/web/`);
});
