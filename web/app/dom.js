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

// Hides what may have the focus, which goes on to `next` then.
export function hide(element, next = $('#panel')) {
    const had = element.contains(document.activeElement);
    element.hidden = true;
    if (had) next.focus({ preventScroll: true });
}

// Radio buttons of a group, as chips in a fieldset: words(value) is read, choose(value) is called.
export function chips(fieldset, name, values, words, chosen, choose) {
    fieldset.append(...values.map((value) => el('label', {},
        el('input', { type: 'radio', name, value, checked: value === chosen, onchange: () => choose(value) }),
        el('span', { textContent: words(value) }))));
}

// Reads chips anew.
export function nameChips(fieldset, words) {
    for (const { value, nextElementSibling } of fieldset.querySelectorAll('input')) nextElementSibling.textContent = words(value);
}

// Calls take(files) with what was picked by a file input, which can then be asked for the same again.
export function onPick(input, take) {
    input.addEventListener('change', () => {
        const files = [...input.files];
        input.value = '';
        if (files.length) take(files);
    });
}

// A button that acts for as long as it is held: begin() and end(), by pointer or key. click() where it is neither pressed
// nor let go, but clicked, as voice control and some screen readers do.
export function onHold(button, { begin, end, click }) {
    let held = false;
    const isKey = ({ key }) => [' ', 'Enter'].includes(key);
    const press = () => {
        if (!held) begin();
        held = true;
    };
    const release = () => {
        if (held) end();
        held = false;
    };
    button.addEventListener('pointerdown', press);
    for (const kind of ['pointerup', 'pointerleave', 'pointercancel', 'blur']) button.addEventListener(kind, release);
    for (const [kind, act] of [['keydown', press], ['keyup', release]]) button.addEventListener(kind, (event) => {
        if (!isKey(event)) return;
        event.preventDefault(); // else the page scrolls, and a click follows
        act();
    });
    button.addEventListener('click', ({ detail }) => detail || click()); // the pointer's count
    button.addEventListener('contextmenu', (event) => event.preventDefault()); // of a long press
}

// Offers bytes or text as a file to save.
export function save(name, type, content) {
    const url = URL.createObjectURL(new Blob([content], { type }));
    el('a', { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
