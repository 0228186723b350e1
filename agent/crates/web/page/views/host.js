/** <op-host>: how the host stands: health, drift, and what it uses, over time. */
import { ask } from '../api.js';
import { Component, el, fill } from '../dom.js';
import { dateTime, duration, figure, inline } from '../format.js';
import { icon } from '../icons.js';
import { badge } from '../parts/badge.js';
import { plot } from '../parts/plot.js';
import { loading, problem } from '../parts/problem.js';
import { applyDeclared } from '../parts/run.js';
import { store } from '../store.js';

export class Host extends Component {
  #body = el('div', { class: 'view-body' }, loading());
  #health = el('section', { class: 'card health' });
  #now = el('dl', { class: 'tiles' });
  #plots = el('div', { class: 'plots' });
  #machine = el('dl', { class: 'facts' });

  mount(/** @type {AbortSignal} */ signal) {
    fill(this, el('header', { class: 'view-head' }, el('h1', {}, 'Host')), this.#body);
    // A host that is as declared has nothing to press: the keyboard scrolls the view itself.
    this.tabIndex = 0;
    this.setAttribute('role', 'group');
    this.setAttribute('aria-label', 'Host');
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
    if (topic.error) return fill(this.#body, problem(topic.error, () => void this.#ask()));
    if (!this.#health.isConnected) fill(this.#body, this.#health, el('h2', {}, 'Resources'), this.#now, this.#plots, this.#machine);
    if (!this.#health.contains(document.activeElement)) this.#drawHealth(topic);
    fill(this.#now, tilesOf(topic.resources?.now ?? {}));
    const series = /** @type {Series[]} */ (topic.resources?.series ?? []);
    // One point is no line yet.
    const lines = series.filter(({ points }) => points.length > 1);
    fill(this.#plots, lines.length || !series.length ? lines.map((line) => plot([line], line.name)) : el('p', { class: 'empty small' }, 'Measuring: the plots come in a moment.'));
    const about = { ...topic.machine, ...(topic.daemon?.version && { 'op-dbus': topic.daemon.version }), ...(topic.daemon?.uptime_s !== undefined && { 'daemon since': duration(topic.daemon.uptime_s * 1000) }) };
    fill(this.#machine, Object.entries(about).map(([name, value]) => el('div', {}, el('dt', {}, name.replaceAll('_', ' ')), el('dd', {}, inline(value)))));
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
 * What is used now, as tiles.
 * @param {any} now
 */
function tilesOf({ load, cpu, memory, disk, uptime_seconds }) {
  const used = memory && { used: memory.total_bytes - memory.available_bytes, total: memory.total_bytes };
  return [
    load && tile('Load', ['one_minute', 'five_minutes', 'fifteen_minutes'].map((span) => figure(load[span] ?? 0)).join(' · ')),
    typeof cpu === 'number' && tile('Processors', figure(cpu, '%')),
    used && part('Memory', used),
    (disk ?? []).map((/** @type {any} */ each) => part(`Disk ${each.target}`, { used: each.used_bytes, total: each.total_bytes })),
    typeof uptime_seconds === 'number' && tile('Up for', duration(uptime_seconds * 1000)),
  ];
}

/**
 * @param {string} name
 * @param {{used: number, total: number}} bytes
 */
function part(name, { used, total }) {
  return tile(name, [`${figure(used, 'B')} `, el('span', { class: 'count' }, `of ${figure(total, 'B')}`),
    el('meter', { min: 0, max: total, high: total * 0.9, value: used, 'aria-label': `${name} used` })]);
}

/** @param {string} name @param {import('../dom.js').Child} value */
function tile(name, value) {
  return el('div', {}, el('dt', {}, name), el('dd', {}, value));
}

customElements.define('op-host', Host);
