// Models that were loaded from other sites, newest first: { name, link, bytes }, bytes of their weights. Their files are kept by the engine's cache.

import { recall, remember } from './memory.js';

const MOST = 6;

export function recent() {
    try {
        const list = JSON.parse(recall('models') ?? '[]');
        return list.filter(({ name, link }) => typeof name === 'string' && URL.canParse(link));
    } catch { // something else of that name
        return [];
    }
}

const without = (link) => recent().filter((one) => one.link !== link);
const write = (list) => remember('models', JSON.stringify(list.slice(0, MOST)));

export const addRecent = (one) => write([one, ...without(one.link)]);

// Without a link: all of them.
export const dropRecent = (link) => write(link ? without(link) : []);
