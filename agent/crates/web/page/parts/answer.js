/** What a tool gave, as people would rather see it. */
import { el } from '../dom.js';
import { plots } from './plot.js';
import { table } from './table.js';
import { tree, valueTree } from './tree.js';

/**
 * @param {Answer} answer
 * @param {string} label what it is
 * @returns {HTMLElement}
 */
export function answerOf(answer, label) {
  switch (answer.kind) {
    case 'table': return table(answer, label);
    case 'tree': return tree(answer.root, label);
    case 'plot': return plots(answer.series, label);
    case 'text': return el('pre', { tabindex: '0' }, answer.text);
    default: return valueOf('value' in answer ? answer.value : answer, label);
  }
}

/**
 * Any JSON: a list of like objects as a table, text as it is, the rest as a tree.
 * @param {unknown} value
 * @param {string} label
 * @returns {HTMLElement}
 */
export function valueOf(value, label) {
  if (value === null || typeof value !== 'object') return el('p', { class: 'single' }, String(value));
  const lists = Object.entries(value).filter(([, item]) => isRows(item));
  if (isRows(value)) return table(tableOf(value), label);
  if (lists.length === 1 && Object.keys(value).length <= 2) {
    const [key, rows] = /** @type {[string, any]} */ (lists[0]);
    return table(tableOf(rows), key);
  }
  return valueTree(value, label);
}

/**
 * Whether it is a list of objects that are flat for the most part.
 * @param {unknown} value
 * @returns {value is Array<Record<string, unknown>>}
 */
function isRows(value) {
  return Array.isArray(value) && value.length > 0 && value.every((item) => item !== null && typeof item === 'object' && !Array.isArray(item));
}

/** @param {Array<Record<string, unknown>>} rows */
function tableOf(rows) {
  const keys = [...new Set(rows.flatMap((row) => Object.keys(row)))].slice(0, 8);
  const columns = keys.map((key) => ({
    key,
    title: key.replaceAll('_', ' '),
    ...(rows.every((row) => typeof row[key] === 'number') && { align: 'right' }),
  }));
  return { columns, rows };
}
