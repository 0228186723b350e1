/** <op-containers>: the containers of this host, live; one of them with its console and its journal. */
import { ask, callTool } from '../api.js';
import { Component, el, fill } from '../dom.js';
import { bytes, dateTime, inline } from '../format.js';
import { icon } from '../icons.js';
import { badge } from '../parts/badge.js';
import { empty, loading, problem } from '../parts/problem.js';
import { planAndApply } from '../parts/run.js';
import { valueTree } from '../parts/tree.js';
import { store } from '../store.js';

const LINES = 100;

export class Containers extends Component {
  /** @type {Container[] | null} */
  #containers = null;
  #list = el('div', { class: 'view-body' }, loading());
  #count = el('span', { class: 'count' });
  #detail = '';
  /** @type {AbortController | undefined} */
  #asking;

  mount(/** @type {AbortSignal} */ signal) {
    fill(this, el('header', { class: 'view-head' }, el('h1', {}, 'Containers '), this.#count, el('span', { class: 'grow' }),
      store.session?.role !== 'viewer' && el('a', { class: 'button primary', href: '#/tools/container_create' }, icon('plus'), 'Create')), this.#list);
    store.watch(['containers']);
    store.on('topic', ({ detail }) => { if (detail === 'containers') this.#take(store.topics.containers); }, signal);
    signal.addEventListener('abort', () => this.#asking?.abort());
    if (store.topics.containers) this.#take(store.topics.containers);
    else void this.#ask();
  }

  /** @param {string[]} path the container that is to be shown, or nothing */
  show([name = '']) {
    this.#detail = name;
    this.#draw();
  }

  async #ask() {
    try {
      this.#take(await ask('/api/containers'));
    } catch (error) {
      fill(this.#list, problem(error, () => void this.#ask()));
    }
  }

  /** @param {any} topic */
  #take(topic) {
    if (topic.error) return fill(this.#list, problem(topic.error, () => void this.#ask()));
    this.#containers = (topic.containers ?? []).map(read);
    // One that is shown keeps its place; what is in it is asked for anew when it is opened.
    if (!this.#detail || !this.#list.querySelector('[data-detail]')) this.#draw();
    else this.#drawHead();
  }

  #draw() {
    if (!this.#containers) return;
    this.#count.textContent = String(this.#containers.length);
    if (this.#detail) return void this.#drawOne();
    if (!this.#containers.length) {
      fill(this.#list, empty('There are no containers yet.', 'Say “create container web-01 with socket networking” in the ', el('a', { href: '#/chat' }, 'chat'), ', or use ', el('a', { href: '#/tools/container_create' }, 'the form'), '.'));
      return;
    }
    const held = document.activeElement?.getAttribute('data-key');
    fill(this.#list, el('ul', { class: 'cards' }, this.#containers.map((each) => this.#card(each))));
    if (held) /** @type {HTMLElement | null} */ (this.#list.querySelector(`[data-key="${CSS.escape(held)}"]`))?.focus();
  }

  /** @param {Container} container */
  #card(container) {
    const facts = [['network', container.network], ['address', container.address], ['template', container.template], ['memory', container.memory], ['made by', container.made_by]];
    return el('li', { class: 'card' },
      el('header', {}, el('h2', {}, el('a', { 'data-key': `open ${container.name}`, href: `#/containers/${encodeURIComponent(container.name)}` }, container.name)), el('span', { class: 'grow' }), badge(container.state)),
      el('dl', { class: 'facts' }, facts.filter(([, value]) => value).map(([key, value]) => el('div', {}, el('dt', {}, key), el('dd', {}, value)))),
      el('footer', {}, this.#actions(container)));
  }

  /** @param {Container} container */
  #actions(container) {
    if (store.session?.role === 'viewer') return null;
    const { name, state, made_by } = container;
    const running = state === 'running';
    const act = (/** @type {string} */ tool, /** @type {string} */ title, /** @type {string} */ effect) => async () => {
      await planAndApply({ name: tool, title: `${title} ${name}`, effect, given: { name } });
    };
    return el('div', { class: 'actions' },
      el('button', { type: 'button', 'data-key': `run ${name}`, 'aria-label': `${running ? 'Stop' : 'Start'} ${name}`, onclick: running ? act('container_stop', 'Stop', 'write') : act('container_start', 'Start', 'write') },
        icon(running ? 'stop' : 'play'), running ? 'Stop' : 'Start'),
      running && el('button', { type: 'button', 'data-key': `restart ${name}`, 'aria-label': `Restart ${name}`, onclick: act('container_restart', 'Restart', 'write') }, icon('refresh'), 'Restart'),
      // What is declared goes by being taken out of the declaration.
      this.#detail === name && store.session?.role === 'admin' && made_by !== 'declaration' && el('button', { type: 'button', class: 'danger quiet', onclick: act('container_destroy', 'Destroy', 'destroy') }, 'Destroy…'));
  }

  #drawHead() {
    const place = this.#list.querySelector('[data-detail]');
    const container = this.#containers?.find(({ name }) => name === this.#detail);
    if (!place || place.contains(document.activeElement)) return;
    fill(place, container ? [badge(container.state), el('span', { class: 'grow' }), this.#actions(container)] : badge('gone', 'bad'));
  }

  async #drawOne() {
    this.#asking?.abort();
    const { signal } = (this.#asking = new AbortController());
    const name = this.#detail;
    const whole = el('div', {}, loading());
    const [lines, journal] = [el('div', {}, loading()), el('div', {}, loading())];
    const look = () => Promise.all([showConsole(name, lines, signal), showJournal(name, journal, signal)]);
    const refresh = el('button', { type: 'button', class: 'small', onclick: () => void look() }, icon('refresh'), 'Refresh');
    fill(this.#list, el('section', { class: 'one' },
      el('p', {}, el('a', { href: '#/containers' }, icon('back'), 'All containers')),
      el('h2', {}, name), el('div', { class: 'row', 'data-detail': true }),
      el('h3', {}, 'Details'), whole,
      el('div', { class: 'row' }, el('h3', {}, 'Console'), el('span', { class: 'grow' }), refresh), lines,
      el('h3', {}, 'Journal of its unit'), journal));
    this.#drawHead();
    void look();
    try {
      fill(whole, valueTree(await ask(`/api/containers/${encodeURIComponent(name)}`, { signal }), name));
    } catch (error) {
      if (!signal.aborted) fill(whole, problem(error));
    }
  }
}

/**
 * What the container wrote to its console last.
 * @param {string} name
 * @param {HTMLElement} place
 * @param {AbortSignal} signal
 */
async function showConsole(name, place, signal) {
  try {
    const { text } = (await callTool('container_log', { name, limit: LINES }, { signal })).result ?? {};
    if (!text) return fill(place, empty('It has written nothing to its console.'));
    const log = el('pre', { class: 'journal', tabindex: '0', 'aria-label': `Console of ${name}` }, text);
    fill(place, log);
    log.scrollTop = log.scrollHeight;
  } catch (error) {
    if (!signal.aborted) fill(place, problem(error, () => void showConsole(name, place, signal)));
  }
}

/**
 * What the unit that the container runs in wrote.
 * @param {string} name
 * @param {HTMLElement} place
 * @param {AbortSignal} signal
 */
async function showJournal(name, place, signal) {
  try {
    const answer = await callTool('journal_read', { unit: `op-dbus-container@${name}.service`, limit: LINES }, { signal });
    const entries = [...(answer.result?.entries ?? [])].reverse();
    if (!entries.length) return fill(place, empty('The journal has nothing of it yet.'));
    fill(place, el('ol', { class: 'journal', tabindex: '0', 'aria-label': `Journal of ${name}` }, entries.map((entry) => el('li', { class: entry.priority <= 3 && 'bad' },
      el('time', {}, dateTime(entry.time)), ' ', el('span', {}, entry.message ?? '')))));
    const list = place.firstElementChild;
    if (list) list.scrollTop = list.scrollHeight;
  } catch (error) {
    if (!signal.aborted) fill(place, problem(error, () => void showJournal(name, place, signal)));
  }
}

/**
 * A container, whether its state is a word or an object.
 * @param {any} told
 * @returns {Container}
 */
export function read(told) {
  const within = typeof told.state === 'object' && told.state !== null ? { ...told, ...told.state } : told;
  const word = typeof told.state === 'string' ? told.state.toLowerCase() : within.running === undefined ? 'unknown' : within.running ? 'running' : 'stopped';
  const text = (/** @type {unknown} */ value) => (value === undefined || value === null ? '' : inline(value));
  return {
    name: String(told.name), state: word,
    network: text(within.network), address: text(within.addresses ?? within.address), template: text(within.template),
    memory: typeof within.memory === 'number' ? bytes(within.memory) : text(within.memory), made_by: text(within.made_by),
  };
}

customElements.define('op-containers', Containers);
