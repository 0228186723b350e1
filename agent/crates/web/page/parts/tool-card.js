/** <op-tool>: one call of a tool, from its beginning to its end. */
import { Component, el, fill } from '../dom.js';
import { bytes, duration } from '../format.js';
import { icon } from '../icons.js';
import { store } from '../store.js';
import { answerOf } from './answer.js';
import { badge } from './badge.js';
import { problem } from './problem.js';

export class ToolCard extends Component {
  /** @type {Item | null} */
  #item = null;
  #stopping = false;
  /** @type {string | undefined} */
  #drawn;

  /** @param {Item} item */
  update(item) {
    this.#item = item;
    const { status } = item.event;
    // Progress comes often: only its line changes.
    if (status === 'running' && this.#drawn === 'running') return this.#progress();
    this.#draw();
  }

  #draw() {
    const item = /** @type {Item} */ (this.#item);
    const { status = 'running', title, tool, effect, answer, error, entry, duration_ms, content } = item.event;
    this.#drawn = status;
    const running = status === 'running';
    const given = Object.entries(item.event.arguments ?? {});
    const label = title ?? tool ?? 'Tool';
    fill(this, el('article', { class: `card tool ${status}`, 'aria-label': `${label}: ${status}`, 'aria-busy': running && 'true' },
      el('header', {}, el('h2', {}, label), el('code', {}, tool), effect && effect !== 'read' && badge(effect), el('span', { class: 'grow' }),
        duration_ms !== undefined && el('span', { class: 'count' }, duration(duration_ms)), badge(status)),
      given.length > 0 && el('dl', { class: 'arguments' }, given.map(([key, value]) => el('div', {}, el('dt', {}, key), el('dd', {}, typeof value === 'string' ? value : JSON.stringify(value))))),
      running && el('div', { class: 'steps' }),
      error && problem({ ...error, message: error.message ?? content }),
      answer && answerOf(answer, label),
      rawOf(item.event),
      !answer && !error && !running && content && el('p', { class: 'single' }, content),
      entry !== undefined && entry !== null && el('footer', {}, el('a', { href: `#/ledger/${Number(entry)}` }, icon('ledger'), `Ledger entry ${Number(entry)}`))));
    if (running) this.#progress();
  }

  #progress() {
    const place = this.querySelector('.steps');
    if (!place) return;
    const { progress, event } = /** @type {Item} */ (this.#item);
    const { done = 0, total = 0, text } = progress ?? {};
    if (!place.firstChild) {
      fill(place, el('progress', { 'aria-label': 'Progress' }), el('span', { class: 'text' }),
        el('button', { type: 'button', class: 'small', onclick: () => this.#stop(event.call ?? '') }, icon('stop'), 'Stop'));
    }
    const bar = /** @type {HTMLProgressElement} */ (place.querySelector('progress'));
    if (total > 0) {
      bar.max = total;
      bar.value = done;
    } else {
      bar.removeAttribute('value');
    }
    const line = /** @type {HTMLElement} */ (place.querySelector('.text'));
    line.textContent = this.#stopping ? 'Stopping…' : `${text ?? 'Running…'}${total > 0 ? ` (${done} of ${total})` : ''}`;
  }

  /** @param {string} call */
  #stop(call) {
    this.#stopping = store.send({ type: 'stop', call });
    this.#progress();
  }
}

/**
 * The tool's answer as it came, for whoever wants to see all of it.
 * @param {ServerEvent} event
 */
function rawOf({ raw, raw_bytes }) {
  if (raw_bytes) return el('p', { class: 'hint' }, `The whole answer has ${bytes(raw_bytes)}: `, el('code', {}, 'op-dbus tool call'), ' shows it.');
  if (raw === undefined || raw === null || typeof raw !== 'object') return null;
  return el('details', { class: 'raw' }, el('summary', {}, 'As it came'), el('pre', { tabindex: '0' }, JSON.stringify(raw, null, 2)));
}

customElements.define('op-tool', ToolCard);
