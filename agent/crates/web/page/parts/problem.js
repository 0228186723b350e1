/** An error in the server's words, and what one can do. */
import { el, prose } from '../dom.js';
import { icon } from '../icons.js';

/** @type {Record<string, string>} */
const REMEDIES = {
  forbidden: 'Your role may not do this. Ask an administrator.',
  'plan-changed': 'The host has changed since the plan was shown. Make a new plan.',
  'rate-limited': 'Wait a moment, then try again.',
  offline: 'The page tries again by itself.',
};

/**
 * @param {unknown} error
 * @param {(() => void) | undefined} [again]
 */
export function problem(error, again) {
  const { message, code, details, problems = details?.problems ?? [] } = /** @type {any} */ (error);
  const remedy = REMEDIES[code];
  return el('div', { class: 'problem', role: 'alert' }, icon('warning'),
    el('div', {},
      el('p', {}, prose(String(message ?? error))),
      problems.length > 0 && el('ul', {}, problems.map((/** @type {Record<string, string | undefined>} */ each) => el('li', {},
        each.path && el('code', {}, each.path), prose(` ${each.message ?? each.found ?? ''} ${each.accepted ? `(accepted: ${each.accepted})` : ''} ${each.hint ?? ''}`)))),
      remedy && el('p', { class: 'hint' }, remedy),
      again && el('button', { type: 'button', onclick: again }, 'Try again')));
}

/** @param {string} [text] */
export function loading(text = 'Loading…') {
  return el('p', { class: 'empty', role: 'status' }, text);
}

/**
 * @param {string} title
 * @param {...(Node | string)} more what one can do
 */
export function empty(title, ...more) {
  return el('div', { class: 'empty' }, el('p', { class: 'title' }, title), el('p', {}, more));
}
