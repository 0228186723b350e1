/** <op-plan>: what a sentence would change, and the decision on it. */
import { Component, el, fill } from '../dom.js';
import { time } from '../format.js';
import { icon } from '../icons.js';
import { store } from '../store.js';
import { badge } from './badge.js';
import { changesOf } from './diff.js';
import { lossOf, typedName } from './dialog.js';

export class PlanCard extends Component {
  /** @type {Item | null} */
  #item = null;
  /** Whether a decision is on its way. */
  #sent = false;
  #expiry = 0;

  /** @param {Item} item */
  update(item) {
    this.#item = item;
    if (item.approval) this.#sent = false;
    this.#draw();
  }

  mount(/** @type {AbortSignal} */ signal) {
    store.on('connection', () => { this.#sent = false; this.#draw(); }, signal);
    signal.addEventListener('abort', () => clearTimeout(this.#expiry));
    this.#draw();
  }

  get #event() {
    return /** @type {ServerEvent} */ (this.#item?.event);
  }

  get #expired() {
    const { expires } = this.#event;
    return expires !== undefined && Date.parse(expires) <= Date.now();
  }

  #draw() {
    if (!this.#item) return;
    const held = document.activeElement instanceof HTMLElement && this.contains(document.activeElement) ? document.activeElement.dataset.act ?? 'decision' : undefined;
    const { title, tool, effect = 'write', changes = [], notes = [], sentence, confirm_name } = this.#event;
    fill(this, el('article', { class: `card plan ${effect}`, 'aria-label': `Plan: ${title ?? tool}` },
      el('header', {}, el('h2', {}, title ?? tool ?? 'Plan'), badge(effect), this.#item.event.plan && el('span', { class: 'id' }, this.#item.event.plan)),
      sentence && el('p', { class: 'sentence' }, '“', sentence, '”'),
      this.#arguments(),
      changesOf(changes, 'Changes'),
      notes.map((note) => el('p', { class: 'hint' }, note)),
      confirm_name && !this.#decided && el('p', { class: 'hint' }, icon('warning'), ' This may lose data for good. Apply asks for the name ', el('strong', { class: 'mono' }, confirm_name), '.'),
      el('footer', {}, this.#footer())));
    // Whoever decided by keyboard goes on from here, though the button is gone.
    if (held) /** @type {HTMLElement | null} */ (this.querySelector(`[data-act="${held}"]:enabled`) ?? this.querySelector('.decision'))?.focus();
    this.#watchExpiry();
  }

  get #decided() {
    return this.#item?.approval !== undefined || this.#expired;
  }

  #arguments() {
    const given = Object.entries(this.#event.arguments ?? {});
    if (!given.length) return null;
    return el('dl', { class: 'arguments' }, given.map(([key, value]) => el('div', {}, el('dt', {}, key), el('dd', {}, typeof value === 'string' ? value : JSON.stringify(value)))));
  }

  #footer() {
    const { approval } = /** @type {Item} */ (this.#item);
    if (approval) {
      return el('p', { class: 'decision', tabindex: '-1' }, badge(approval.decision ?? 'decided'), approval.by && ` by ${approval.by}, `, time(approval.timestamp));
    }
    if (this.#expired) return el('p', { class: 'decision' }, badge('expired'), ' Say it again for a new plan.');
    const { role } = store.session ?? {};
    if (role === 'viewer') return el('p', { class: 'hint' }, 'Viewers may look at plans; applying one takes an operator.');
    if (this.#sent) return el('p', { class: 'decision', tabindex: '-1' }, 'Sent…');
    const off = store.connection !== 'open';
    const danger = this.#event.effect === 'destroy';
    return el('div', { class: 'actions' },
      el('button', { type: 'button', class: danger ? 'danger' : 'primary', 'data-act': 'apply', disabled: off, onclick: () => void this.#apply() }, icon('check'), danger ? 'Apply…' : 'Apply'),
      el('button', { type: 'button', 'data-act': 'change', disabled: off, onclick: () => this.#change() }, 'Change'),
      el('button', { type: 'button', 'data-act': 'cancel', disabled: off, onclick: () => this.#send({ type: 'cancel' }) }, 'Cancel'));
  }

  async #apply() {
    const { confirm_name, title, tool, changes = [] } = this.#event;
    if (!confirm_name) return this.#send({ type: 'approve' });
    const name = await typedName(title ?? tool ?? 'Destroy', lossOf(changes), confirm_name);
    if (name !== null) this.#send({ type: 'approve', name });
  }

  /** The sentence goes back into the field, to be said differently. */
  #change() {
    this.#send({ type: 'cancel' });
    this.dispatchEvent(new CustomEvent('rephrase', { bubbles: true, detail: this.#event.sentence ?? '' }));
  }

  /** @param {Record<string, unknown>} frame */
  #send(frame) {
    this.#sent = store.send({ ...frame, plan: this.#event.plan });
    this.#draw();
  }

  #watchExpiry() {
    clearTimeout(this.#expiry);
    const { expires } = this.#event;
    if (!expires || this.#decided) return;
    this.#expiry = setTimeout(() => this.#draw(), Math.max(0, Date.parse(expires) - Date.now()) + 50);
  }
}

customElements.define('op-plan', PlanCard);
