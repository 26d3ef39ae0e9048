// Numbers as people read them.

import { language, onLanguage } from './words.js';

let whole, one, two, names;

function learn() {
    const digits = (n) => new Intl.NumberFormat(language, { minimumFractionDigits: n, maximumFractionDigits: n });
    whole = new Intl.NumberFormat(language);
    [one, two] = [1, 2].map(digits);
    names = new Intl.Collator(language, { numeric: true });
}
learn();
onLanguage(learn);

// A number stays on the line of its unit.
const NO_BREAK = '\u00a0';

export const count = (n) => whole.format(n);

// The order of two names, as people look for them: IMG_2 before IMG_10.
export const inOrder = (a, b) => names.compare(a, b);

export function bytes(n) {
    if (n < 1e3) return `${n}${NO_BREAK}B`;
    if (n < 1e6) return `${whole.format(Math.round(n / 1e3))}${NO_BREAK}kB`;
    return n < 1e9 ? `${one.format(n / 1e6)}${NO_BREAK}MB` : `${one.format(n / 1e9)}${NO_BREAK}GB`;
}

export function milliseconds(ms) {
    if (ms >= 10_000) return `${one.format(ms / 1000)}${NO_BREAK}s`;
    return ms < 10 ? `${one.format(ms)}${NO_BREAK}ms` : `${whole.format(Math.round(ms))}${NO_BREAK}ms`;
}

export const number = (n) => two.format(n).replace('-', '−');

// A difference of two shares 0..1, in percentage points.
export function points(difference) {
    const value = difference * 100;
    return value > 0 && value < 0.01 ? `<${two.format(0.01)}` : two.format(value);
}

// 0..1; never "100 %" or "0 %" for what is not quite that.
export function percent(score) {
    if (score > 0 && score < 0.001) return `<0.1${NO_BREAK}%`;
    return `${one.format(score < 1 ? Math.min(score * 100, 99.9) : 100)}${NO_BREAK}%`;
}
