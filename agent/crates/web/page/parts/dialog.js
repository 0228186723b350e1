/** Questions that stand above the page. Escape and a click outside are a no. */
import { el, unique } from '../dom.js';
import { icon } from '../icons.js';

/**
 * @param {string} title
 * @param {Array<Node | string | null | false | undefined>} content
 * @param {{wide?: boolean}} [options]
 * @returns {HTMLDialogElement}
 */
export function dialog(title, content, { wide = false } = {}) {
  const id = unique('dialog');
  const made = el('dialog', { class: wide && 'wide', 'aria-labelledby': id, closedby: 'any' },
    el('header', {}, el('h2', { id }, title),
      el('button', { type: 'button', class: 'icon-only', 'aria-label': 'Close', onclick: () => made.close() }, icon('cross'))),
    content);
  made.addEventListener('close', () => made.remove());
  document.body.append(made);
  made.showModal();
  return made;
}

/**
 * What is lost by changes: what they delete, or the state that they replace.
 * @param {Change[]} changes
 */
export function lossOf(changes) {
  const gone = changes.filter(({ verb }) => verb === 'delete').map(({ resource }) => resource).join(', ');
  return gone ? `This deletes ${gone} with all data, for good.` : 'This replaces what is there now. What is lost by it may be lost for good.';
}

/**
 * Asks for a name to be typed before something is destroyed. Gives the name, or `null` for a no.
 * @param {string} title
 * @param {string} text
 * @param {string} name
 * @returns {Promise<string | null>}
 */
export function typedName(title, text, name) {
  const { promise, resolve } = Promise.withResolvers();
  const hint = unique('hint');
  const field = unique('field');
  const input = el('input', { id: field, autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false', 'aria-describedby': hint, autofocus: true });
  const go = el('button', { type: 'submit', class: 'danger', disabled: true }, title);
  input.addEventListener('input', () => { go.disabled = input.value !== name; });
  const form = el('form', {
    onsubmit: (/** @type {Event} */ event) => {
      event.preventDefault();
      if (input.value === name) {
        resolve(name);
        shown.close();
      }
    },
  },
  el('p', { id: hint }, text),
  el('label', { for: field }, 'Type ', el('strong', { class: 'mono' }, name), ' to go on'),
  input,
  el('div', { class: 'actions' }, go, el('button', { type: 'button', onclick: () => shown.close() }, 'Keep it')));
  const shown = dialog(title, [form]);
  shown.addEventListener('close', () => resolve(null));
  input.focus();
  return promise;
}
