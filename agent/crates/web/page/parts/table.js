/** A table whose columns sort. It scrolls within itself where it is wider than the page. */
import { el, fill, unique } from '../dom.js';
import { inline } from '../format.js';
import { badge, tone } from './badge.js';

/** Rows that are shown before one asks for all. */
const FIRST = 100;

/**
 * @param {{columns: Column[], rows: Array<Record<string, unknown> | unknown[]>, left_out?: number}} answer
 * @param {string} label
 */
export function table({ columns, rows, left_out = 0 }, label) {
  if (!rows.length) return el('p', { class: 'empty small' }, 'Nothing to show.');
  let shown = [...rows];
  let all = rows.length <= FIRST;
  /** @type {{column: number, down: boolean} | null} */
  let order = null;
  const body = el('tbody');
  const heads = columns.map((column, at) => {
    const button = el('button', { type: 'button', class: 'sort', onclick: () => sort(at) }, column.title || column.key);
    return el('th', { scope: 'col', class: column.align === 'right' && 'right' }, button);
  });
  const more = el('button', { type: 'button', class: 'quiet', onclick: () => { all = true; draw(); } }, `Show all ${rows.length}`);

  /** @param {Record<string, unknown> | unknown[]} row @param {number} at */
  const cell = (row, at) => (Array.isArray(row) ? row[at] : row[/** @type {Column} */ (columns[at]).key]);

  /** @param {number} column */
  function sort(column) {
    order = { column, down: order?.column === column && !order.down };
    const turn = order.down ? -1 : 1;
    shown = [...rows].sort((a, b) => turn * compare(cell(a, column), cell(b, column)));
    heads.forEach((head, at) => {
      if (at === column) head.setAttribute('aria-sort', order?.down ? 'descending' : 'ascending');
      else head.removeAttribute('aria-sort');
    });
    draw();
  }

  function draw() {
    fill(body, (all ? shown : shown.slice(0, FIRST)).map((row) => el('tr', {}, columns.map((column, at) => {
      const right = column.align === 'right' && 'right';
      return at === 0 ? el('th', { scope: 'row', class: right }, content(cell(row, at))) : el('td', { class: right }, content(cell(row, at)));
    }))));
    more.hidden = all;
  }

  draw();
  const id = unique('table');
  return el('div', { class: 'answer-table' },
    el('div', { class: 'scroll', role: 'group', tabindex: '0', 'aria-labelledby': id },
      el('table', {}, el('caption', { id, class: 'unseen' }, label), el('thead', {}, el('tr', {}, heads)), body)),
    more, left_out > 0 && el('p', { class: 'hint' }, `${left_out} more were left out: ask for less, or use the terminal.`));
}

/** @param {unknown} value */
function content(value) {
  if (typeof value === 'string' && tone(value)) return badge(value);
  return inline(value);
}

/** @param {unknown} a @param {unknown} b */
function compare(a, b) {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return inline(a).localeCompare(inline(b), undefined, { numeric: true });
}
