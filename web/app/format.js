// Numbers as people read them.

import { language } from './words.js';

const whole = new Intl.NumberFormat(language);
const one = new Intl.NumberFormat(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const two = new Intl.NumberFormat(language, { minimumFractionDigits: 2, maximumFractionDigits: 2 });

export const count = (n) => whole.format(n);

export function bytes(n) {
    if (n < 1e3) return `${n} B`;
    if (n < 1e6) return `${whole.format(Math.round(n / 1e3))} kB`;
    return n < 1e9 ? `${one.format(n / 1e6)} MB` : `${one.format(n / 1e9)} GB`;
}

export function milliseconds(ms) {
    if (ms >= 10_000) return `${one.format(ms / 1000)} s`;
    return ms < 10 ? `${one.format(ms)} ms` : `${whole.format(Math.round(ms))} ms`;
}

export const number = (n) => two.format(n).replace('-', '−');

// A difference of two shares 0..1, in percentage points.
export function points(difference) {
    const value = difference * 100;
    return value > 0 && value < 0.01 ? `<${two.format(0.01)}` : two.format(value);
}

// 0..1; never "100 %" or "0 %" for what is not quite that.
export function percent(score) {
    if (score > 0 && score < 0.001) return '<0.1 %';
    return `${one.format(score < 1 ? Math.min(score * 100, 99.9) : 100)} %`;
}
