/** Says finished things to screen readers, politely and once each. */
import { el } from '../dom.js';

const region = el('div', { class: 'unseen', role: 'status', 'aria-live': 'polite' });

/** Puts the region onto the page; it has to be there before anything is said. */
export function prepare() {
  document.body.append(region);
}

/** How long what was said stays, so that a region does not grow for ever. */
const STAY_MS = 10_000;

/** @param {string} text */
export function announce(text) {
  if (!text) return;
  const said = el('p', {}, text);
  region.append(said);
  setTimeout(() => said.remove(), STAY_MS);
}
