// A failure as { title, text, detail }: what happened in plain words, what to do, and what was reported.

import { known, t } from './words.js';

// A failure that this page itself found; code is a key of words/.
export class Problem extends Error {
    constructor(code, detail = '') {
        super(detail || code);
        this.code = code;
        this.detail = detail;
    }
}

// Also what is asked of a model when another one takes its place.
export const isCancel = (error) => ['cancelled', 'disposed'].includes(error?.code) || error?.name === 'AbortError';

const UNREADABLE = ['image', 'truncated', 'format', 'unsupported', 'io']; // what a broken picture is called

// Which words tell it: the package's code, told apart further by what its message names. about: 'model' | 'picture'.
function wordsFor(error, about) {
    const code = error?.code ?? '';
    const message = String(error?.message ?? '');
    if (error instanceof Problem) return code;
    if (code === 'out-of-memory' || code === 'limit') return code;
    if (/^(the worker failed|the module vit-|this host has no)/.test(message)) return 'engine';
    if (/has no head/.test(message)) return 'no-head';
    if (about === 'picture' && UNREADABLE.includes(code)) return 'picture';
    if (about === 'picture') return code;
    if (code === 'truncated' && error.cause?.code === 'http') return 'network'; // nobody answered when the rest was asked for
    if (/an HTML (or XML )?page/.test(message)) return 'html';
    if (/config\.json is needed/.test(message)) return 'no-config';
    if (/the file changed while it was read/.test(message)) return 'changed';
    if (code === 'http') {
        const status = Number(/HTTP (\d+)/.exec(message)?.[1]);
        return { 401: '401', 403: '401', 404: '404', 410: '404' }[status] ?? (status ? 'http' : 'network');
    }
    return code;
}

export function describe(error, about) {
    const key = wordsFor(error, about);
    const words = known(`error.${key}.title`) ? key : 'unknown';
    const reported = [error?.code, error?.message ?? error].filter(Boolean).join(': ');
    const detail = error instanceof Problem ? error.detail : reported;
    return { title: t(`error.${words}.title`), text: t(`error.${words}.text`), detail };
}
