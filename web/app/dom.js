// Shorthand for the document.

export const $ = (selector, within = document) => within.querySelector(selector);

// el('button', { type: 'button', onclick }, 'text', child, …); keys with a dash are attributes, others properties.
export function el(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [key, value] of Object.entries(properties)) {
        if (key.includes('-')) element.setAttribute(key, value);
        else element[key] = value;
    }
    element.append(...children);
    return element;
}

// Offers bytes or text as a file to save.
export function save(name, type, content) {
    const url = URL.createObjectURL(new Blob([content], { type }));
    el('a', { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
