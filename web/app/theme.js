// Light and dark: the system's choice until the reader makes another, which is remembered.

import { recall, remember } from './memory.js';

const dark = matchMedia('(prefers-color-scheme: dark)');
const root = document.documentElement;

// The browser's own bars have the page's colour too.
function show(theme) {
    root.dataset.theme = theme;
    const { backgroundColor } = getComputedStyle(document.body);
    for (const meta of document.querySelectorAll('meta[name="theme-color"]')) meta.content = backgroundColor;
}

export function startTheme(button) {
    const theme = recall('theme');
    if (theme === 'light' || theme === 'dark') show(theme);
    button.addEventListener('click', () => {
        const shown = root.dataset.theme ?? (dark.matches ? 'dark' : 'light');
        show(shown === 'dark' ? 'light' : 'dark');
        remember('theme', root.dataset.theme);
    });
}
