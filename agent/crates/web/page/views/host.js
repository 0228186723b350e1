/** <op-host>: how the host stands: health, drift, and what it uses, over time. */
import { ask } from '../api.js';
import { Component, el, fill } from '../dom.js';
import { dateTime, figure } from '../format.js';
import { icon } from '../icons.js';
import { badge } from '../parts/badge.js';
import { plot } from '../parts/plot.js';
import { loading, problem } from '../parts/problem.js';
import { applyDeclared } from '../parts/run.js';
import { valueTree } from '../parts/tree.js';
import { store } from '../store.js';

export class Host extends Component {
  #body = el('div', { class: 'view-body' }, loading());
  #health = el('section', { class: 'card health' });
  #now = el('dl', { class: 'tiles' });
  #plots = el('div', { class: 'plots' });

  mount(/** @type {AbortSignal} */ signal) {
    fill(this, el('header', { class: 'view-head' }, el('h1', {}, 'Host')), this.#body);
    store.watch(['host']);
    store.on('topic', ({ detail }) => { if (detail === 'host') this.#take(store.topics.host); }, signal);
    if (store.topics.host) this.#take(store.topics.host);
    else void this.#ask();
  }

  async #ask() {
    try {
      this.#take(await ask('/api/host'));
    } catch (error) {
      fill(this.#body, problem(error, () => void this.#ask()));
    }
  }

  /** @param {any} topic */
  #take(topic) {
    if (!this.#health.isConnected) fill(this.#body, this.#health, el('h2', {}, 'Resources'), this.#now, this.#plots);
    if (!this.#health.contains(document.activeElement)) this.#drawHealth(topic);
    const now = topic.resources?.now ?? {};
    fill(this.#now, Object.entries(now).map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, amount(name, value)))));
    const series = /** @type {Series[]} */ (topic.resources?.series ?? []);
    fill(this.#plots, series.map((line) => plot([line], line.name)));
  }

  /** @param {any} topic */
  #drawHealth(topic) {
    const health = typeof topic.health === 'string' ? { state: topic.health } : topic.health ?? {};
    const drift = topic.drift ?? health.drift ?? [];
    const alarms = Object.entries(health.alarms ?? {});
    fill(this.#health,
      el('header', {}, el('h2', {}, 'State'), badge(health.state ?? 'unknown'), el('span', { class: 'grow' }),
        health.time_ms && el('span', { class: 'count' }, `as of ${dateTime(health.time_ms / 1000)}`)),
      health.text && el('p', {}, health.text),
      alarms.map(([witness, text]) => el('div', { class: 'problem' }, icon('warning'), el('p', {}, `${witness}: ${text}`))),
      drift.length > 0 ? [
        el('h3', {}, 'Not as declared'),
        el('ul', { class: 'drift' }, drift.map((/** @type {any} */ each) => el('li', {}, typeof each === 'string' ? el('code', {}, each) : [el('code', {}, each.resource ?? each.name ?? ''), ` ${each.text ?? ''}`]))),
        store.session?.role !== 'viewer' && el('button', { type: 'button', class: 'primary', onclick: () => void applyDeclared() }, 'Plan…'),
      ] : null);
  }
}

/**
 * @param {string} name
 * @param {any} value a figure, text, or `{used, total}` in bytes
 */
function amount(name, value) {
  if (value !== null && typeof value === 'object') {
    if (Array.isArray(value) && value.every((each) => typeof each === 'number')) return value.map((each) => figure(each)).join(' · ');
    if (typeof value.used === 'number' && typeof value.total === 'number') {
      return [`${figure(value.used, value.unit ?? 'bytes')} `, el('span', { class: 'count' }, `of ${figure(value.total, value.unit ?? 'bytes')}`),
        el('meter', { min: 0, max: value.total, high: value.total * 0.9, value: value.used, 'aria-label': `${name} used` })];
    }
    return valueTree(value, name);
  }
  return typeof value === 'number' ? figure(value, /cpu|percent/.test(name) ? '%' : '') : String(value ?? '–');
}

customElements.define('op-host', Host);
