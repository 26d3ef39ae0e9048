// The page's state in its link: #classify?sample=cat&model=https://…; an unknown tab is the first one.

export function readHash() {
    const [tab, query = ''] = location.hash.slice(1).split('?');
    return { tab: tab || 'classify', ...Object.fromEntries(new URLSearchParams(query)) };
}

// Changes some of it; undefined removes a key. No history entry: going back leaves the page.
export function writeHash(changes) {
    const { tab, ...rest } = { ...readHash(), ...changes };
    const query = new URLSearchParams(Object.entries(rest).filter(([, value]) => value !== undefined));
    history.replaceState(null, '', `#${tab}${query.size ? `?${query}` : ''}`);
}
