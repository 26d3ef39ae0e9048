// Light and dark: the system's choice until the reader makes another, which is remembered.

import { recall, remember } from './memory.js';

const dark = matchMedia('(prefers-color-scheme: dark)');
const root = document.documentElement;

export function startTheme(button) {
    const theme = recall('theme');
    if (theme === 'light' || theme === 'dark') root.dataset.theme = theme;
    button.addEventListener('click', () => {
        const shown = root.dataset.theme ?? (dark.matches ? 'dark' : 'light');
        root.dataset.theme = shown === 'dark' ? 'light' : 'dark';
        remember('theme', root.dataset.theme);
    });
}
