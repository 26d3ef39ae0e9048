// Choices that outlast the page, where the browser lets them.

export function recall(key) {
    try {
        return localStorage.getItem(key);
    } catch {
        return null; // storage is blocked
    }
}

export function remember(key, value) {
    try {
        localStorage.setItem(key, value);
    } catch {
        // then it lasts no longer than the page
    }
}
