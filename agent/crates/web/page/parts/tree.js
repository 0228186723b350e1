/** Nested things as a tree of native disclosures, which keyboards and readers know. */
import { el } from '../dom.js';
import { inline, said } from '../format.js';

/** Levels that are open at first. */
const OPEN = 2;
/** Things of one level that are shown. */
const MOST = 200;

/**
 * @param {TreeNode} root
 * @param {string} label
 */
export function tree(root, label) {
  return el('div', { class: 'tree', role: 'group', 'aria-label': label }, branch(root, 0));
}

/**
 * Any JSON as a tree.
 * @param {unknown} value
 * @param {string} label
 */
export function valueTree(value, label) {
  return tree(nodeOf(label, value), label);
}

/**
 * @param {string} label
 * @param {unknown} value
 * @returns {TreeNode}
 */
function nodeOf(label, value) {
  if (value === null || typeof value !== 'object') return { label, value: said(label, value), children: [] };
  const entries = Array.isArray(value) ? value.map((item, at) => /** @type {[string, unknown]} */ ([called(item, at), item])) : Object.entries(value);
  if (entries.length === 0) return { label, value: Array.isArray(value) ? '[]' : '{}', children: [] };
  if (Array.isArray(value) && value.every((item) => item === null || typeof item !== 'object') && value.length <= 8) {
    return { label, value: value.map(inline).join(', '), children: [] };
  }
  return { label, children: entries.map(([key, item]) => nodeOf(key, item)) };
}

/**
 * What an item of a list is called: as it names itself, or its place.
 * @param {any} item @param {number} at
 */
function called(item, at) {
  const name = item?.name ?? item?.resource ?? item?.id;
  return typeof name === 'string' ? name : String(at + 1);
}

/**
 * @param {TreeNode} node
 * @param {number} depth
 * @returns {HTMLElement}
 */
function branch(node, depth) {
  const children = node.children ?? [];
  const has = node.value !== undefined;
  const line = [el('span', { class: 'key' }, node.label), has && el('span', { class: 'value' }, inline(node.value))];
  if (!children.length) return el('div', { class: 'leaf' }, line);
  const rest = children.length - MOST;
  return el('details', { open: depth < OPEN },
    el('summary', {}, line, !has && el('span', { class: 'count' }, String(children.length))),
    el('ul', {}, children.slice(0, MOST).map((child) => el('li', {}, branch(child, depth + 1))),
      rest > 0 && el('li', { class: 'count' }, `and ${rest} more`)));
}
