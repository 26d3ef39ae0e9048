// What a site is made of besides web/ itself, for serve.mjs and site.mjs.

import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';

// Name -> { path, bytes } of everything that a model consists of: a folder's model files, or a weight file with the configs
// beside it. Throws an Error that says what is missing.
export async function modelFiles(path) {
    const files = new Map();
    if (!path) return files;
    const found = await stat(path).catch(() => null);
    if (!found) throw new Error(`--model ${path}: no such file or folder`);
    const folder = found.isDirectory() ? path : dirname(path);
    const wanted = found.isDirectory() || path.endsWith('.index.json') // of files that lie beside it
        ? (name) => /\.(safetensors|gguf|npz|json)$/i.test(name)
        : (name) => name === basename(path)
            || (extname(path) !== '.gguf' && /^((pre)?processor_)?config\.json$/.test(name));
    for (const name of (await readdir(folder)).sort()) {
        const at = join(folder, name);
        const info = await stat(at).catch(() => null);
        if (info?.isFile() && wanted(name)) files.set(name, { path: at, bytes: info.size });
    }
    if (!files.size) throw new Error(`--model ${path}: holds no .safetensors, .gguf or .npz`);
    return files;
}

// model/index.json, which the page asks for.
export const modelIndex = (path, files) => JSON.stringify({
    name: path && basename(path), files: [...files].map(([name, { bytes }]) => ({ name, bytes })),
});
