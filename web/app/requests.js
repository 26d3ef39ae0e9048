// Counts requests to other sites. The browser's own list is the witness; a file comes into it when it has come, so that a
// model is counted when it is asked for.

const asked = [];   // models the reader asked for
const seen = [];    // foreign requests the browser reports
const listeners = new Set();

const foreign = (url) => /^https?:/.test(url) && new URL(url).origin !== location.origin;
const changed = () => listeners.forEach((listener) => listener(summary()));

new PerformanceObserver((list) => {
    const urls = list.getEntries().map((entry) => entry.name).filter(foreign);
    if (urls.length) {
        seen.push(...urls);
        changed();
    }
}).observe({ type: 'resource', buffered: true });

export function summary() {
    const hosts = [...new Set([...asked, ...seen].map((url) => new URL(url).host))];
    return { count: Math.max(asked.length, seen.length), hosts };
}

export function countRequest(url) {
    if (!foreign(url)) return;
    asked.push(url);
    changed();
}

export function watchRequests(listener) {
    listeners.add(listener);
    listener(summary());
}
