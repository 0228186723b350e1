/** What a plan changes, as lines of before and after. */
import { el } from '../dom.js';
import { inline, said } from '../format.js';
import { badge } from './badge.js';

/** Changes that are shown open. */
const OPEN = 6;

/**
 * @param {Change[]} changes
 * @param {string} label
 */
export function changesOf(changes, label) {
  if (!changes.length) return el('p', { class: 'empty small' }, 'Nothing would change.');
  return el('ul', { class: 'changes', 'aria-label': label }, changes.map((change) => el('li', {}, one(change, changes.length <= OPEN))));
}

/**
 * @param {Change} change
 * @param {boolean} open
 */
function one(change, open) {
  const resource = change.plugin ? `${change.plugin}/${change.resource}` : change.resource;
  // A text that says no more than verb and resource is left out.
  const told = change.text && !(change.text.startsWith(change.verb) && resource.endsWith(change.text.slice(change.verb.length + 1)));
  const head = [badge(change.verb), el('span', { class: 'resource' }, resource), told && el('span', { class: 'text' }, change.text)];
  const lines = linesOf(change);
  if (!lines.length) return el('div', { class: 'change' }, head);
  return el('details', { class: 'change', open }, el('summary', {}, head), el('div', { class: 'diff', role: 'list' }, lines));
}

/** @param {Change} change */
function linesOf({ before, after }) {
  const old = flat(before);
  const wanted = flat(after);
  return [...new Set([...old.keys(), ...wanted.keys()])].flatMap((path) => {
    const [had, has] = [old.get(path), wanted.get(path)];
    if (had !== undefined && has !== undefined && inline(had) === inline(has)) return [];
    // What differs by less than is said with a unit is said in full.
    const word = said(path, had) === said(path, has) ? inline : said.bind(null, path);
    const [was, is] = [had, has].map((value) => (value === undefined ? undefined : word(value)));
    return [
      was !== undefined && line('removed', '−', 'was', path, was),
      is !== undefined && line('added', '+', 'will be', path, is),
    ].filter((each) => each !== false);
  });
}

/**
 * @param {string} kind
 * @param {string} sign
 * @param {string} word the sign, for readers
 * @param {string} path
 * @param {string} value
 */
function line(kind, sign, word, path, value) {
  return el('div', { class: kind, role: 'listitem' },
    el('span', { class: 'sign', 'aria-hidden': 'true' }, sign), el('span', { class: 'unseen' }, `${word} `),
    path && el('span', { class: 'key' }, path, ' '), el('span', { class: 'value' }, value));
}

/**
 * The values within, by their paths.
 * @param {unknown} value
 * @param {string} [path]
 * @param {Map<string, unknown>} [into]
 */
function flat(value, path = '', into = new Map()) {
  if (value === null || value === undefined) return into;
  if (typeof value === 'object' && !Array.isArray(value)) {
    for (const [key, item] of Object.entries(value)) flat(item, path ? `${path}.${key}` : key, into);
  } else {
    into.set(path, value);
  }
  return into;
}
