/** A state as a word with a colour; the word alone says it. */
import { el } from '../dom.js';

/** @type {Record<string, string>} */
const TONES = {
  running: 'good', active: 'good', up: 'good', done: 'good', applied: 'good', converged: 'good', valid: 'good', ok: 'good',
  confirmed: 'good', connected: 'good', create: 'good', healthy: 'good',
  stopped: 'quiet', inactive: 'quiet', down: 'quiet', cancelled: 'quiet', expired: 'quiet', replaced: 'quiet', read: 'quiet', dead: 'quiet', silent: 'quiet',
  failed: 'bad', refused: 'bad', error: 'bad', failing: 'bad', delete: 'bad', destroy: 'bad', invalid: 'bad', crashed: 'bad',
  drifted: 'warn', held: 'warn', awaiting: 'warn', starting: 'warn', update: 'warn', write: 'warn', degraded: 'warn',
  activating: 'warn', unknown: 'warn', reverted: 'warn', undeclared: 'warn', unreached: 'warn',
};

/** @param {string} word */
export function tone(word) {
  return TONES[word.toLowerCase()];
}

/**
 * @param {string} word
 * @param {string} [as] the tone, where the word does not say it
 */
export function badge(word, as = tone(word) ?? 'quiet') {
  return el('span', { class: `badge ${as}` }, word);
}
