/** <op-chat>: the conversation. */
import { Component, calm, el, fill } from '../dom.js';
import { icon } from '../icons.js';
import '../parts/composer.js';
import { announce } from '../parts/live.js';
import '../parts/message.js';
import '../parts/plan-card.js';
import { problem } from '../parts/problem.js';
import '../parts/tool-card.js';
import { store } from '../store.js';

/** @typedef {HTMLElement & {update(item: Item): void}} Card */

/** @type {Record<Item['kind'], string>} */
const ELEMENTS = { user: 'op-message', assistant: 'op-message', stream: 'op-message', error: 'op-message', tool: 'op-tool', plan: 'op-plan' };
const EXAMPLES = ['show me all containers', 'create container web-01 with socket networking', 'what containers were created yesterday?', 'status of systemd services', 'help'];
/** How near the end one has to be for the view to follow, in pixels. */
const NEAR = 80;

export class Chat extends Component {
  /** @type {Map<string, Card>} */
  #cards = new Map();
  #earlier = el('button', { type: 'button', class: 'quiet', hidden: true, onclick: () => void this.#readEarlier() }, 'Show earlier messages');
  #welcome = el('section', { class: 'welcome' });
  // Finished answers are announced by a region of their own: streamed pieces would be read one by one.
  #log = el('div', { class: 'log', role: 'log', 'aria-live': 'off', 'aria-label': 'Conversation', tabindex: '0' });
  #items = el('div', { class: 'items' });
  #jump = el('button', { type: 'button', class: 'jump', hidden: true, onclick: () => this.#toEnd(true) }, icon('down'), 'Newest');
  #composer = /** @type {import('../parts/composer.js').Composer} */ (document.createElement('op-composer'));

  mount(/** @type {AbortSignal} */ signal) {
    if (!this.firstChild) this.#build();
    store.on('item', ({ detail }) => this.#show(detail), signal);
    store.on('items', () => this.#showAll(), signal);
    store.on('failed', ({ detail }) => this.#items.prepend(problem(detail, () => void this.#readEarlier())), signal);
    store.watch([]);
    this.#showAll();
    this.#toEnd();
    this.#composer.focus();
  }

  #build() {
    fill(this.#welcome, el('h2', {}, 'What shall be done?'),
      el('p', {}, 'Say it in words. Nothing changes before you have seen the plan and pressed Apply.'),
      el('ul', {}, EXAMPLES.map((text) => el('li', {}, el('button', { type: 'button', class: 'chip', onclick: () => this.#composer.put(text) }, text)))));
    fill(this.#log, this.#earlier, this.#welcome, this.#items);
    this.#log.addEventListener('scroll', () => { this.#jump.hidden = this.#near(); }, { passive: true });
    this.addEventListener('rephrase', (event) => this.#composer.put(/** @type {CustomEvent} */ (event).detail));
    fill(this, el('h1', { class: 'unseen' }, 'Chat'), this.#log, this.#jump, this.#composer);
    // Cards grow when disclosures open or tables come; whoever is at the end stays there.
    new ResizeObserver(() => { if (this.#follows) this.#toEnd(); }).observe(this.#items);
  }

  #follows = true;

  #near() {
    const { scrollHeight, scrollTop, clientHeight } = this.#log;
    this.#follows = scrollHeight - scrollTop - clientHeight < NEAR;
    return this.#follows;
  }

  /** @param {boolean} [smooth] */
  #toEnd(smooth = false) {
    this.#log.scrollTo({ top: this.#log.scrollHeight, behavior: smooth && !calm() ? 'smooth' : 'instant' });
    this.#follows = true;
  }

  /** @param {Item} item */
  #show(item) {
    if (item.kind === 'user' && item.pending) this.#follows = true;
    this.#place(item);
    this.#welcome.hidden = true;
    if (this.#follows) this.#toEnd();
    announce(said(item));
  }

  #showAll() {
    const { items } = store.conversation;
    const height = this.#log.scrollHeight - this.#log.scrollTop;
    this.#cards.clear();
    fill(this.#items);
    for (const item of items) this.#place(item);
    this.#welcome.hidden = items.length > 0;
    this.#earlier.hidden = !store.earlier;
    // What was in view stays in view when something comes above it.
    if (this.#follows) this.#toEnd();
    else this.#log.scrollTop = this.#log.scrollHeight - height;
  }

  /** @param {Item} item */
  #place(item) {
    let card = this.#cards.get(item.key);
    if (!card) {
      card = /** @type {Card} */ (document.createElement(ELEMENTS[item.kind]));
      this.#cards.set(item.key, card);
      card.update(item);
      this.#items.append(card);
    } else {
      card.update(item);
    }
  }

  async #readEarlier() {
    this.#follows = false;
    await store.readEarlier().catch((error) => this.#items.prepend(problem(error)));
  }
}

/**
 * What is said to a screen reader of a change: ends and questions, no pieces.
 * @param {Item} item
 */
function said({ kind, event, approval, progress }) {
  if (kind === 'assistant' || kind === 'error') return event.content || event.message || 'Answer';
  if (kind === 'plan') return approval ? `Plan ${approval.decision}` : `Plan: ${event.title ?? event.tool}. ${event.changes?.length ?? 0} changes. Apply, Change or Cancel.`;
  if (kind === 'tool' && event.status !== 'running') return `${event.title ?? event.tool}: ${event.status}`;
  if (kind === 'tool' && !progress) return `${event.title ?? event.tool} runs`;
  return '';
}

customElements.define('op-chat', Chat);
