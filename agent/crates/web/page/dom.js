/** Making elements. Data only ever becomes text and attribute values, never markup. */

/** @typedef {Node | string | number | null | undefined | false | Child[]} Child what is false or nothing is left out */

/**
 * Makes an element. A property `onclick` is a listener, `true` an attribute without a value, `null` and `false` none.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, unknown>} [properties]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  dress(made, properties);
  fill(made, children);
  return made;
}

/**
 * Makes an element of SVG.
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, unknown>} [properties]
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function svg(tag, properties = {}, ...children) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
  dress(made, properties);
  fill(made, children);
  return made;
}

/**
 * @param {Element} element
 * @param {Record<string, unknown>} properties
 */
function dress(element, properties) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on') && typeof value === 'function') {
      element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    } else if (name === 'value' && 'value' in element) {
      element.value = String(value);
    } else {
      element.setAttribute(name, value === true ? '' : String(value));
    }
  }
}

/**
 * Puts children in place of those that are there.
 * @param {Element} parent
 * @param {...Child} children
 */
export function fill(parent, ...children) {
  parent.replaceChildren(...flat(children));
}

/**
 * @param {Child[]} children
 * @returns {Array<Node | string>}
 */
function flat(children) {
  return children.flatMap((child) => {
    if (Array.isArray(child)) return flat(child);
    if (child === null || child === undefined || child === false) return [];
    return typeof child === 'number' ? String(child) : child;
  });
}

/** An element of ours: `mount` is called when it comes onto the page, and its signal ends when it leaves. */
export class Component extends HTMLElement {
  /** @type {AbortController | undefined} */
  #life;

  connectedCallback() {
    this.#life = new AbortController();
    this.mount(this.#life.signal);
  }

  disconnectedCallback() {
    this.#life?.abort();
  }

  /** @param {AbortSignal} _signal ends when the element leaves the page */
  mount(_signal) {}
}

/**
 * Text in which `backticks` mark what is typed as it stands.
 * @param {string} text
 */
export function prose(text) {
  return text.split('`').map((part, at) => (at % 2 ? el('code', {}, part) : part));
}

let count = 0;

/**
 * An id that nothing else on the page has.
 * @param {string} [stem]
 */
export function unique(stem = 'n') {
  count += 1;
  return `${stem}-${count}`;
}

/**
 * Whether the user wants little motion.
 */
export function calm() {
  return matchMedia('(prefers-reduced-motion: reduce)').matches;
}
