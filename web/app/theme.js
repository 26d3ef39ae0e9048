// Light and dark: the system's choice until the reader makes another, which is remembered.

const dark = matchMedia('(prefers-color-scheme: dark)');
const root = document.documentElement;

function remembered() {
    try {
        return localStorage.getItem('theme');
    } catch {
        return null; // storage is blocked
    }
}

export function startTheme(button) {
    const theme = remembered();
    if (theme === 'light' || theme === 'dark') root.dataset.theme = theme;
    button.addEventListener('click', () => {
        const shown = root.dataset.theme ?? (dark.matches ? 'dark' : 'light');
        root.dataset.theme = shown === 'dark' ? 'light' : 'dark';
        try {
            localStorage.setItem('theme', root.dataset.theme);
        } catch {
            // it holds until the page is closed
        }
    });
}
