/** <op-tools>: everything that this host can be asked, with a form for each. */
import { callTool, tools } from '../api.js';
import { Component, el, fill, prose } from '../dom.js';
import { inline } from '../format.js';
import { icon } from '../icons.js';
import { badge } from '../parts/badge.js';
import { Unreadable, mark, objectField } from '../parts/form.js';
import { announce } from '../parts/live.js';
import { empty, loading, problem } from '../parts/problem.js';
import { planAndApply, resultOf } from '../parts/run.js';
import { store } from '../store.js';

/** What people look for most comes first. */
const FIRST = ['containers', 'state', 'systemd', 'journal', 'network', 'ovs', 'snapshots', 'ledger', 'host'];
/** How much of an example is shown before it is taken over, in characters. */
const LONGEST = 80;
const RANK = { viewer: 1, operator: 2, admin: 3 };

export class Tools extends Component {
  /** @type {Tool[]} */
  #tools = [];
  #search = el('input', { type: 'search', 'aria-label': 'Search tools', placeholder: 'Search tools', autocomplete: 'off', oninput: () => this.#drawList() });
  #list = el('div', { class: 'tool-list' });
  #body = el('div', { class: 'view-body' }, loading());
  #count = el('span', { class: 'count', role: 'status' });
  #shown = '';

  mount(/** @type {AbortSignal} */ signal) {
    fill(this, el('header', { class: 'view-head' }, el('h1', {}, 'Tools '), this.#count), this.#body);
    store.watch([]);
    void this.#ask(signal);
  }

  /** @param {string[]} path the tool that is to be shown, or nothing */
  show([name = '']) {
    this.#shown = name;
    this.#draw();
  }

  /** @param {AbortSignal} signal */
  async #ask(signal) {
    try {
      this.#tools = await tools();
      if (!signal.aborted) this.#draw();
    } catch (error) {
      fill(this.#body, problem(error, () => void this.#ask(signal)));
    }
  }

  #draw() {
    if (!this.#tools.length) return;
    if (this.#shown) return this.#drawOne();
    fill(this.#body, el('div', { class: 'search' }, icon('search'), this.#search), this.#list);
    this.#drawList();
  }

  #drawList() {
    const words = this.#search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = this.#tools.filter((tool) => {
      const text = [tool.name, tool.title, tool.description, tool.domain, tool.effect, ...(tool.sentences ?? [])].join(' ').toLowerCase();
      return words.every((word) => text.includes(word));
    });
    this.#count.textContent = words.length ? `${found.length} of ${this.#tools.length}` : String(this.#tools.length);
    if (!found.length) return fill(this.#list, empty('No tool has these words.', 'Use fewer or other words, or ask in the ', el('a', { href: '#/chat' }, 'chat'), '.'));
    const place = (/** @type {string} */ domain) => (FIRST.indexOf(domain) + FIRST.length + 1) % (FIRST.length + 1);
    const domains = [...new Set(found.map(({ domain }) => domain))].sort((a, b) => place(a) - place(b) || a.localeCompare(b));
    fill(this.#list, domains.map((domain) => el('section', {}, el('h2', {}, domain),
      el('ul', { class: 'plain' }, found.filter((tool) => tool.domain === domain).map((tool) => el('li', {},
        el('a', { class: 'tool-row', href: `#/tools/${encodeURIComponent(tool.name)}` },
          el('span', { class: 'title' }, tool.title), el('code', {}, tool.name), tool.effect !== 'read' && badge(tool.effect), el('span', { class: 'text' }, prose(tool.description)))))))));
  }

  #drawOne() {
    const tool = this.#tools.find(({ name }) => name === this.#shown);
    const back = el('p', {}, el('a', { href: '#/tools' }, icon('back'), 'All tools'));
    if (!tool) return fill(this.#body, back, empty(`There is no tool “${this.#shown}”.`));
    const may = RANK[store.session?.role ?? 'viewer'] >= RANK[tool.role];
    const result = el('div', { class: 'result-place' });
    const make = (/** @type {Record<string, unknown>} */ values) => this.#form(tool, may, result, values);
    const place = el('div', {}, make({}));
    fill(this.#body, back, el('section', { class: 'one' },
      el('div', { class: 'row' }, el('h2', {}, tool.title), badge(tool.effect), el('span', { class: 'count' }, `takes ${tool.role}`)),
      el('p', {}, el('code', {}, tool.name)), el('p', {}, prose(tool.description)),
      tool.sentences?.length ? el('p', { class: 'hint' }, 'In the chat: ', tool.sentences.slice(0, 3).map((each, at) => `${at ? ', ' : ''}“${each}”`)) : null,
      tool.examples.some((example) => Object.keys(example).length) && el('p', { class: 'examples' }, tool.examples.filter((example) => Object.keys(example).length).map((example) =>
        el('button', { type: 'button', class: 'chip', onclick: () => fill(place, make(example)) }, `Example: ${inline(example).slice(0, LONGEST)}`))),
      place, result));
  }

  /**
   * @param {Tool} tool @param {boolean} may @param {HTMLElement} result @param {Record<string, unknown>} values
   */
  #form(tool, may, result, values) {
    const fields = objectField(tool.input_schema, values);
    const reads = tool.effect === 'read';
    const go = el('button', { type: 'submit', class: 'primary', disabled: !may }, icon(reads ? 'play' : 'check'), reads ? 'Run' : 'Plan…');
    const form = el('form', { novalidate: true, onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); void submit(); } },
      fields.node, el('div', { class: 'actions' }, go, !may && el('span', { class: 'hint' }, `Your role is ${store.session?.role}; this takes ${tool.role}.`)));
    const submit = async () => {
      mark(form, null);
      const missing = form.querySelector('input:invalid, select:invalid, textarea:invalid');
      if (missing instanceof HTMLElement) return mark(form, new Unreadable(missing, 'a value: it is required'));
      try {
        const given = /** @type {Record<string, unknown>} */ (fields.read());
        if (reads) await run(tool, given, go, result);
        else await planAndApply({ name: tool.name, title: tool.title, effect: tool.effect, given, asks: tool.input_schema.properties?.allow_destroy !== undefined });
      } catch (error) {
        if (error instanceof Unreadable) mark(form, error);
        else throw error;
      }
    };
    return form;
  }
}

/**
 * @param {Tool} tool @param {Record<string, unknown>} given @param {HTMLButtonElement} go @param {HTMLElement} result
 */
async function run(tool, given, go, result) {
  go.disabled = true;
  fill(result, loading('Running…'));
  try {
    fill(result, resultOf(await callTool(tool.name, given), tool.title));
    announce(`${tool.title}: done`);
  } catch (error) {
    fill(result, problem(error));
  } finally {
    go.disabled = false;
  }
}

customElements.define('op-tools', Tools);
