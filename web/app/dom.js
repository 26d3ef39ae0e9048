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

// Radio buttons of a group, as chips in a fieldset: words(value) is read, choose(value) is called.
export function chips(fieldset, name, values, words, chosen, choose) {
    fieldset.append(...values.map((value) => el('label', {},
        el('input', { type: 'radio', name, value, checked: value === chosen, onchange: () => choose(value) }),
        el('span', { textContent: words(value) }))));
}

// Calls take(files) with what was picked by a file input, which can then be asked for the same again.
export function onPick(input, take) {
    input.addEventListener('change', () => {
        const files = [...input.files];
        input.value = '';
        if (files.length) take(files);
    });
}

// Offers bytes or text as a file to save.
export function save(name, type, content) {
    const url = URL.createObjectURL(new Blob([content], { type }));
    el('a', { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
