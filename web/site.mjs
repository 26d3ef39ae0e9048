// Writes the page, the package and a model as a folder for any web server:  node web/site.mjs FOLDER [--model FILE|DIR]
// All addresses in it are relative. sw.js at its top knows every file of this version by its SHA-256.

import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { modelFiles, modelIndex } from './files.mjs';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const PAGE = /^(?!screenshot|sw\.js)[^.]+\.(?!mjs|md)\w+$/; // files of web/ that the page uses
const PACKAGE = /^(index\.js|[^/]+\.json|dist\/[^/]+|models\/[^/]+)$/; // those of wasm/ that npm gets
const UNUSED = /^(LICENSE|wasm\/.*(\.mjs|\.md|\/vit-train.*))$/; // by the page: they are not kept for it
const START = `<!doctype html>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'self'">
<meta http-equiv="refresh" content="0; url=web/">
<title>vit-wasm</title>
`;

const hashOf = (algorithm, data) => createHash(algorithm).update(data).digest('base64');

async function filesOf(folder, pattern) {
    const entries = await readdir(join(root, folder), { recursive: true, withFileTypes: true });
    const names = entries.filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(join(root, folder).length + 1).replaceAll('\\', '/'));
    return names.filter((name) => pattern.test(name)).sort().map((name) => `${folder}/${name}`);
}

// Path of the site -> bytes.
async function gather(modelPath) {
    const files = new Map([['index.html', Buffer.from(START)], ['LICENSE', await readFile(join(root, 'LICENSE'))]]);
    for (const path of [...await filesOf('web', PAGE), ...await filesOf('wasm', PACKAGE)])
        files.set(path, await readFile(join(root, path)));
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
    files.set('sw.js', Buffer.from(`const SITE = ${JSON.stringify({ version, files: listed }, null, 1)};\n\n${worker}`));
    await rm(folder, { recursive: true, force: true });
    for (const [path, bytes] of files) {
        await mkdir(dirname(join(folder, path)), { recursive: true });
        await writeFile(join(folder, path), bytes);
    }
    return version;
}

const [folder, option, model] = process.argv.slice(2);
if (!folder || (option && (option !== '--model' || !model))) {
    console.error('usage: node web/site.mjs FOLDER [--model FILE|DIR]');
    process.exit(2);
}
try {
    const files = await gather(model);
    const bytes = [...files.values()].reduce((sum, { length }) => sum + length, 0);
    const version = await write(folder, files);
    console.log(`${folder}: version ${version}, ${files.size} files, ${bytes} bytes`);
} catch (error) {
    console.error(error.message);
    process.exit(1);
}
