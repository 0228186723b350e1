/** <op-ledger>: what was asked and done, by whom, and the proof of it. */
import { ask, callTool } from '../api.js';
import { Component, el, fill } from '../dom.js';
import { dateTime, dayOf, moment, time } from '../format.js';
import { icon } from '../icons.js';
import { badge } from '../parts/badge.js';
import { empty, loading, problem } from '../parts/problem.js';
import { valueTree } from '../parts/tree.js';
import { store } from '../store.js';
import '../parts/entry.js';

const PAGE = 50;

export class LedgerView extends Component {
  /** @type {Map<number, Entry>} */
  #entries = new Map();
  /** @type {Snapshot[]} */
  #snapshots = [];
  /** @type {string | number | null} Where the next page begins. */
  #cursor = null;
  #body = el('div', { class: 'view-body' });
  #timeline = el('div', { class: 'timeline' });
  #verdict = el('div', { role: 'status' });
  #words = el('input', { type: 'search', 'aria-label': 'Search the ledger', placeholder: 'containers created last week', autocomplete: 'off' });
  #searching = false;

  mount(/** @type {AbortSignal} */ signal) {
    const form = el('form', { class: 'search', role: 'search', onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); void this.#search(); } },
      icon('search'), this.#words, el('button', { type: 'submit' }, 'Search'));
    this.#words.addEventListener('search', () => { if (!this.#words.value) void this.#newest(); });
    fill(this, el('header', { class: 'view-head' }, el('h1', {}, 'Ledger'), el('span', { class: 'grow' }),
      el('button', { type: 'button', onclick: () => void this.#verify() }, icon('lock'), 'Verify')), this.#body);
    fill(this.#body, form, this.#verdict, this.#timeline);
    store.watch(['ledger']);
    store.on('topic', ({ detail }) => { if (detail === 'ledger') this.#news(store.topics.ledger); }, signal);
  }

  /** @param {string[]} path the entry that is to be shown, or nothing */
  show([id = '']) {
    if (!/^\d+$/.test(id)) {
      fill(this.#body, .../** @type {Element[]} */ ([this.#words.closest('form'), this.#verdict, this.#timeline]));
      if (!this.#entries.size) void this.#newest();
      return;
    }
    const entry = /** @type {import('../parts/entry.js').LedgerEntry} */ (document.createElement('op-entry'));
    fill(this.#body, entry);
    void entry.open(Number(id));
  }

  async #newest() {
    this.#searching = false;
    this.#entries.clear();
    this.#cursor = null;
    fill(this.#timeline, loading());
    // Snapshots are marks on the line; without them the line is still there.
    this.#snapshots = await ask('/api/snapshots').then(({ snapshots = [] }) => snapshots.filter((/** @type {Snapshot} */ { created }) => moment(created)), () => []);
    await this.#more();
  }

  async #more() {
    const asked = new URLSearchParams({ limit: String(PAGE) });
    if (this.#cursor !== null) asked.set('before', String(this.#cursor));
    try {
      const { entries, next_cursor = null } = await ask(`/api/ledger?${asked}`);
      this.#cursor = next_cursor;
      this.#add(entries);
    } catch (error) {
      fill(this.#timeline, problem(error, () => void this.#more()));
    }
  }

  /** @param {any} topic */
  #news(topic) {
    if (this.#searching || !this.#entries.size) return;
    this.#add(topic.entries ?? []);
  }

  /** @param {Entry[]} entries */
  #add(entries) {
    for (const entry of entries) this.#entries.set(entry.id, entry);
    this.#draw([...this.#entries.values()].sort((a, b) => b.id - a.id), true);
  }

  async #search() {
    const words = this.#words.value.trim();
    if (!words) return this.#newest();
    this.#searching = true;
    fill(this.#timeline, loading('Searching…'));
    try {
      const { hits, notes = [] } = await ask(`/api/search?${new URLSearchParams({ q: words, limit: String(PAGE) })}`);
      this.#draw(hits.map((/** @type {any} */ { entry }) => entry), false);
      this.#timeline.prepend(...notes.map((/** @type {string} */ note) => el('p', { class: 'hint' }, note)));
    } catch (error) {
      fill(this.#timeline, problem(error, () => void this.#search()));
    }
  }

  /**
   * @param {Entry[]} entries
   * @param {boolean} line whether they are the whole line, with snapshots and a way on
   */
  #draw(entries, line) {
    if (!entries.length) {
      fill(this.#timeline, line ? empty('Nothing was recorded yet.', 'What changes this host is written here.') : empty('Nothing was found.', 'Use other words, such as “what failed since Monday”.'));
      return;
    }
    const oldest = Math.min(...entries.map(({ timestamp }) => timestamp));
    const marks = !line ? [] : this.#snapshots.map((snapshot) => ({ at: (moment(snapshot.created)?.getTime() ?? 0) / 1000, row: () => mark(snapshot) }))
      .filter(({ at }) => at >= oldest || this.#cursor === null);
    const rows = [...entries.map((entry) => ({ at: entry.timestamp, row: () => row(entry) })), ...marks];
    if (line) rows.sort((a, b) => b.at - a.at);
    /** @type {HTMLElement[]} */
    const shown = [];
    let day = '';
    for (const each of rows) {
      const today = dayOf(each.at);
      if (today !== day) {
        shown.push(el('h2', {}, today), el('ol', { class: 'plain' }));
        day = today;
      }
      shown.at(-1)?.append(each.row());
    }
    const held = document.activeElement?.getAttribute('href');
    fill(this.#timeline, shown, line && this.#cursor !== null && el('button', { type: 'button', class: 'quiet', onclick: () => void this.#more() }, 'Show earlier entries'));
    if (held?.startsWith('#/ledger/')) /** @type {HTMLElement | null} */ (this.#timeline.querySelector(`[href="${CSS.escape(held)}"]`))?.focus();
  }

  async #verify() {
    fill(this.#verdict, loading('Computing every hash again…'));
    try {
      const { result } = await callTool('ledger_verify', {});
      fill(this.#verdict, el('div', { class: `card verdict ${result.valid ? 'good' : 'bad'}` },
        el('p', {}, badge(result.valid ? 'valid' : 'invalid'), ` ${result.holds ?? ''}`),
        result.wrong?.length ? el('ul', {}, result.wrong.map((/** @type {unknown} */ each) => el('li', {}, String(each)))) : null,
        el('details', { class: 'raw' }, el('summary', {}, 'All that was found'), valueTree(result, 'Verification'))));
    } catch (error) {
      fill(this.#verdict, problem(error, () => void this.#verify()));
    }
  }
}

/** @param {Entry} entry */
function row({ id, timestamp, operation, target, metadata = {} }) {
  const { actor, outcome, effect } = metadata;
  return el('li', { class: `entry ${effect ?? ''}` },
    el('a', { href: `#/ledger/${Number(id)}` },
      time(timestamp), el('span', { class: 'operation' }, operation.split(/(?<=_)/).map((part) => [part, el('wbr')])), el('span', { class: 'target' }, target),
      el('span', { class: 'count' }, [actor?.name, actor?.door].filter(Boolean).join(' · ')),
      outcome && outcome !== 'done' ? badge(String(outcome)) : el('span', { class: 'count id' }, `#${id}`)));
}

/** @param {Snapshot} snapshot */
function mark({ name, created, reason }) {
  return el('li', { class: 'snapshot' }, el('span', { title: dateTime(created) }, icon('snapshot')), time(created),
    el('span', {}, 'Snapshot ', el('strong', {}, name), reason && ` · ${reason}`));
}

customElements.define('op-ledger', LedgerView);
