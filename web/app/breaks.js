// Work that takes a while, without holding up the page.

const TASK = 8; // ms without a break

// pause() is awaited often, and lets the page go on when it is time.
export function breaks() {
    let since = performance.now();
    return async function pause() {
        if (performance.now() - since < TASK) return;
        await new Promise((done) => setTimeout(done));
        since = performance.now();
    };
}
