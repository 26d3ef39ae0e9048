// The page's state in its link: #classify?sample=cat&model=https://…; an unknown tab is the first one.

export function readHash() {
    const [tab, query = ''] = location.hash.slice(1).split('?');
    return { tab: tab || 'classify', ...Object.fromEntries(new URLSearchParams(query)) };
}

function hashOf({ tab, ...rest }) {
    const query = new URLSearchParams(Object.entries(rest).filter(([, value]) => value !== undefined));
    return `#${tab}${query.size ? `?${query}` : ''}`;
}

let written = readHash();

function write(state) {
    written = state;
    history.replaceState(null, '', hashOf(state));
}

// Changes some of it; undefined removes a key. No history entry: going back leaves the page.
export const writeHash = (changes) => write({ ...readHash(), ...changes });

// Of a link that was opened in this page, what differs from before; what it does not name stays as it was.
export function mergeHash() {
    const named = readHash();
    const changes = Object.entries(named).filter(([key, value]) => String(written[key]) !== value);
    write({ ...written, ...named });
    return Object.fromEntries(changes);
}

// The same state in another tab of the page.
export const linkOf = (tab) => hashOf({ ...readHash(), tab });
