/**
 * The server's rendered Markdown as elements. The server has sanitised it; here it is read once more, by a reader that
 * knows a few tags and makes everything else text. No markup is given to the browser to parse.
 */
import { el } from '../dom.js';

const TAGS = new Set(['p', 'br', 'hr', 'em', 'strong', 'del', 'code', 'pre', 'blockquote', 'ul', 'ol', 'li', 'a', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'table', 'thead', 'tbody', 'tr', 'th', 'td']);
const EMPTY = new Set(['br', 'hr']);
/** Headings of an answer lie below those of the page. */
/** @type {Record<string, string>} */
const LOWER = { h1: 'h3', h2: 'h4', h3: 'h5', h4: 'h6', h5: 'h6', h6: 'h6' };
/** @type {Record<string, string>} */
const ENTITIES = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: '\u00a0' };
const TOKEN = /<(\/?)([a-zA-Z][a-zA-Z0-9]*)((?:\s+[a-zA-Z-]+(?:="[^"<>]*")?)*)\s*\/?>|[^<]+|</g;

/**
 * @param {string} html
 * @returns {DocumentFragment}
 */
export function markup(html) {
  const fragment = document.createDocumentFragment();
  /** @type {Array<{tag: string, node: Node}>} */
  const open = [{ tag: '', node: fragment }];
  const here = () => /** @type {Node} */ (open.at(-1)?.node);
  for (const [text, closes, name, attributes] of html.matchAll(TOKEN)) {
    const tag = name?.toLowerCase() ?? '';
    if (!name) here().appendChild(document.createTextNode(decode(text)));
    else if (!TAGS.has(tag)) here().appendChild(document.createTextNode(text));
    else if (closes) close(open, tag);
    else {
      const made = element(tag, attributes ?? '');
      here().appendChild(made);
      if (!EMPTY.has(tag)) open.push({ tag, node: made });
    }
  }
  return fragment;
}

/**
 * Closes the innermost element of that name, and those within it.
 * @param {Array<{tag: string, node: Node}>} open
 * @param {string} tag
 */
function close(open, tag) {
  const at = open.findLastIndex((each) => each.tag === tag);
  if (at > 0) open.length = at;
}

/**
 * @param {string} tag
 * @param {string} attributes
 */
function element(tag, attributes) {
  const kind = /** @type {keyof HTMLElementTagNameMap} */ (LOWER[tag] ?? tag);
  if (kind === 'pre') return el(kind, { tabindex: '0' });
  if (kind !== 'a') return el(kind);
  const address = decode(/\shref="([^"]*)"/.exec(attributes)?.[1] ?? '');
  if (!/^https?:\/\//i.test(address)) return el('span');
  return el('a', { href: address, rel: 'noopener noreferrer nofollow', target: '_blank' });
}

/** @param {string} text */
function decode(text) {
  return text.replace(/&(?:#(\d{1,7})|#x([0-9a-fA-F]{1,6})|([a-z]{2,4}));/g, (whole, decimal, hexadecimal, name) => {
    if (name) return ENTITIES[name] ?? whole;
    const code = decimal ? Number(decimal) : parseInt(hexadecimal, 16);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}
