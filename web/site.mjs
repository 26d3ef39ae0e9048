// Writes the page, the package and a model as a folder for any web server:
//   node web/site.mjs FOLDER [--model FILE|DIR] [--esbuild FILE]
// esbuild makes one file of the page's modules, one for each further language, and one of its styles; without it they are
// copied. All addresses are relative. sw.js at its top knows every file of this version by its SHA-256.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { modelFiles, modelIndex } from './files.mjs';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const PAGE = /^(?!screenshot|sw\.js)[^.]+\.(?!mjs|md)\w+$/; // files of web/ that the page uses
const PACKED = /^web\/(app|tabs|words|style)\//; // by esbuild
const PACKAGE = /^(index\.js|[^/]+\.json|dist\/[^/]+|models\/[^/]+)$/; // those of wasm/ that npm gets
const UNUSED = /^(LICENSE|wasm\/.*(\.mjs|\.md|\/vit-train.*))$/; // by the page: they are not kept for it
const MARK = 'const SITE = '; // how the sw.js of a site begins
const STYLES = /(<link rel="stylesheet" href=")([^"]+)(">\s*)/g;
const START = `<!doctype html>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'self'">
<title>vit-wasm</title>
<script src="start.js"></script>
<noscript><meta http-equiv="refresh" content="0; url=web/"></noscript>
`;
const START_SCRIPT = `location.replace('web/' + location.search + location.hash);
`; // a refresh would lose what a link says

const hashOf = (algorithm, data) => createHash(algorithm).update(data).digest('base64');

async function filesOf(folder, pattern) {
    const entries = await readdir(join(root, folder), { recursive: true, withFileTypes: true });
    const names = entries.filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(join(root, folder).length + 1).replaceAll('\\', '/'));
    return names.filter((name) => pattern.test(name)).sort().map((name) => `${folder}/${name}`);
}

// What esbuild makes of the page's modules and styles: path of the site -> bytes.
async function packed(esbuild) {
    const out = await mkdtemp(join(tmpdir(), 'vit-site-'));
    const pack = (args, input) => execFileSync(esbuild,
        [...args, '--bundle', '--minify', '--target=es2022', '--log-level=warning'], { cwd: root, input });
    try {
        pack(['web/app/main.js', '--splitting', '--format=esm', '--external:*/wasm/index.js', `--outdir=${out}`]);
        const page = await readFile(join(root, 'web/index.html'), 'utf8');
        const styles = [...page.matchAll(STYLES)].map(([, , href]) => `@import "./web/${href}";`);
        const files = new Map([['web/style/page.css', pack(['--loader=css'], styles.join('\n'))]]);
        let links = 0;
        files.set('web/index.html', Buffer.from(page.replace(STYLES, (_, link, href, end) =>
            (links++ ? '' : `${link}style/page.css${end}`))));
        for (const name of await readdir(out)) files.set(`web/app/${name}`, await readFile(join(out, name)));
        return files;
    } finally {
        await rm(out, { recursive: true });
    }
}

// Path of the site -> bytes.
async function gather(modelPath, esbuild) {
    const files = new Map([['index.html', Buffer.from(START)], ['start.js', Buffer.from(START_SCRIPT)], ['LICENSE', await readFile(join(root, 'LICENSE'))]]);
    for (const path of [...await filesOf('web', PAGE), ...await filesOf('wasm', PACKAGE)])
        if (!esbuild || !PACKED.test(path)) files.set(path, await readFile(join(root, path)));
    for (const [path, bytes] of esbuild ? await packed(esbuild) : []) files.set(path, bytes);
    const model = await modelFiles(modelPath);
    files.set('model/index.json', Buffer.from(modelIndex(modelPath && resolve(modelPath), model)));
    for (const [name, { path }] of model) files.set(`model/${name}`, await readFile(path));
    return files;
}

async function write(folder, files) {
    const worker = await readFile(join(root, 'web/sw.js'), 'utf8');
    const all = createHash('sha256').update(worker).update(await readFile(fileURLToPath(import.meta.url)));
    for (const [path, bytes] of files) all.update(`${path}\0${bytes.length}\0`).update(bytes);
    const version = all.digest('hex').slice(0, 16);
    const page = files.get('web/index.html').toString().replace('<html ', `<html data-version="${version}" `);
    files.set('web/index.html', Buffer.from(page));
    const used = [...files].filter(([path]) => !UNUSED.test(path));
    const listed = Object.fromEntries(used.map(([path, bytes]) =>
        [path.split('/').map(encodeURIComponent).join('/'), `sha256-${hashOf('sha256', bytes)}`]));
    files.set('sw.js', Buffer.from(`${MARK}${JSON.stringify({ version, files: listed }, null, 1)};\n\n${worker}`));
    const there = await readdir(folder).catch(() => []);
    if (there.length && !(await readFile(join(folder, 'sw.js'), 'utf8').catch(() => '')).startsWith(MARK))
        throw new Error(`${folder}: it is not empty and no site that was written before; name another folder`);
    const part = `${resolve(folder)}.part`;
    await rm(part, { recursive: true, force: true });
    for (const [path, bytes] of files) {
        await mkdir(dirname(join(part, path)), { recursive: true });
        await writeFile(join(part, path), bytes);
    }
    await rm(folder, { recursive: true, force: true });
    await rename(part, folder);
    return version;
}

function readArguments() {
    try {
        const { positionals, values } = parseArgs({
            allowPositionals: true, options: { model: { type: 'string' }, esbuild: { type: 'string' } },
        });
        if (positionals.length === 1) return { folder: positionals[0], ...values };
    } catch { // an option that there is not
    }
    console.error('usage: node web/site.mjs FOLDER [--model FILE|DIR] [--esbuild FILE]');
    process.exit(2);
}

const { folder, model, esbuild } = readArguments();
try {
    const files = await gather(model, esbuild);
    const bytes = [...files.values()].reduce((sum, { length }) => sum + length, 0);
    const version = await write(folder, files);
    console.log(`${folder}: version ${version}, ${files.size} files, ${bytes} bytes`);
} catch (error) {
    console.error(error.message);
    process.exit(1);
}
