/** <op-app>: the frame around the views: where one is, who one is, and whether the server is there. */
import { Component, el, fill } from './dom.js';
import { icon } from './icons.js';
import { announce, prepare } from './parts/live.js';
import { store } from './store.js';

/** @typedef {HTMLElement & {show?: (path: string[]) => void}} View */

const VIEWS = [
  { name: 'chat', title: 'Chat' },
  { name: 'containers', title: 'Containers' },
  { name: 'topology', title: 'Topology' },
  { name: 'ledger', title: 'Ledger' },
  { name: 'tools', title: 'Tools' },
  { name: 'host', title: 'Host' },
];
const THEMES = ['system', 'light', 'dark'];

class App extends Component {
  #nav = el('nav', { 'aria-label': 'Views' });
  #main = el('main', { id: 'main', tabindex: '-1' });
  #banners = el('section', { class: 'banners', 'aria-label': 'Notices' });
  #offline = el('div', { class: 'banner warn', hidden: true });
  #window = el('div', { class: 'banner confirm', hidden: true });
  #who = el('div', { class: 'who' });
  /** @type {Map<string, View>} Views keep what is in them while one looks at another. */
  #views = new Map();
  #wasOpen = false;

  mount(/** @type {AbortSignal} */ signal) {
    prepare();
    fill(this.#banners, this.#offline, this.#window);
    fill(this, el('a', { class: 'skip', href: '#main', onclick: (/** @type {Event} */ event) => { event.preventDefault(); this.#main.focus(); } }, 'Skip to the content'),
      el('header', { class: 'top' }, el('a', { class: 'brand', href: '#/chat', 'aria-label': 'operation-dbus' }, el('img', { src: 'icon.svg', alt: '', width: 24, height: 24 }), el('span', {}, 'operation-dbus')), el('span', { class: 'grow' }), this.#who),
      this.#nav, this.#banners, this.#main);
    addEventListener('hashchange', () => void this.#go(), { signal });
    store.on('connection', () => this.#drawConnection(), signal);
    store.on('window', ({ detail }) => this.#drawWindow(detail), signal);
    store.on('session', () => this.#drawWho(), signal);
    const clock = setInterval(() => this.#tick(), 1000);
    signal.addEventListener('abort', () => clearInterval(clock));
    this.#drawWho();
    void this.#go();
    void store.start();
  }

  async #go() {
    const [name = '', ...path] = location.hash.replace(/^#\/?/, '').split('/').map(decoded);
    const chosen = VIEWS.find((view) => view.name === name) ?? VIEWS[0];
    if (!chosen) return;
    document.title = [path[0], chosen.title, 'operation-dbus'].filter(Boolean).join(' · ');
    for (const open of document.querySelectorAll('dialog')) open.close();
    fill(this.#nav, el('ul', {}, VIEWS.map((view) => el('li', {}, el('a', { href: `#/${view.name}`, 'aria-current': view === chosen && 'page' }, icon(view.name), el('span', {}, view.title))))));
    const view = await this.#view(chosen.name);
    // Another was chosen while this one was loaded.
    if (this.#nav.querySelector('[aria-current]')?.getAttribute('href') !== `#/${chosen.name}`) return;
    if (view.parentElement !== this.#main) fill(this.#main, view);
    view.show?.(path);
    // What had the focus may be gone with what was shown before.
    if (document.activeElement === document.body) this.#main.focus();
  }

  /**
   * @param {string} name
   * @returns {Promise<View>}
   */
  async #view(name) {
    const known = this.#views.get(name);
    if (known) return known;
    await import(`./views/${name}.js`);
    const made = /** @type {View} */ (document.createElement(`op-${name}`));
    this.#views.set(name, made);
    return made;
  }

  #drawConnection() {
    const open = store.connection === 'open';
    if (open && !this.#offline.hidden) announce('Connected again');
    // The first attempt is no loss.
    const lost = !open && (this.#wasOpen || store.connection === 'waiting');
    if (lost && this.#offline.hidden) announce('The connection was lost. The page tries again by itself.');
    this.#wasOpen ||= open;
    if (lost && this.#offline.hidden) {
      fill(this.#offline, icon('warning'), el('span', { class: 'text' }), el('button', { type: 'button', class: 'small', onclick: () => store.reconnect() }, 'Try now'));
    }
    this.#offline.hidden = !lost;
    this.#tick();
  }

  /** @param {string | undefined} decision */
  #drawWindow(decision) {
    if (decision === 'confirmed') announce('The changes are kept.');
    if (decision === 'reverted') announce('The changes were undone.');
    if (!store.window) {
      this.#window.hidden = true;
      return;
    }
    if (this.#window.hidden) {
      fill(this.#window, icon('warning'),
        el('span', {}, 'Unless you keep them, changes of the management path are undone in ', el('strong', { class: 'left', role: 'timer' })),
        store.session?.role !== 'viewer' && el('button', { type: 'button', class: 'primary small', onclick: () => store.send({ type: 'confirm' }) }, icon('check'), 'Keep them'));
      announce('Changes of the management path are undone unless you confirm them.');
    }
    this.#window.hidden = false;
    this.#tick();
  }

  #tick() {
    if (!this.#offline.hidden) {
      const left = Math.max(0, Math.ceil((store.retryAt - Date.now()) / 1000));
      const text = /** @type {HTMLElement} */ (this.#offline.querySelector('.text'));
      text.textContent = store.connection === 'connecting' ? 'No connection. Trying…' : `No connection. Trying again in ${left} s. What you say is sent then.`;
    }
    if (store.window) {
      const left = Math.max(0, Math.round((store.window.until - Date.now()) / 1000));
      const place = this.#window.querySelector('.left');
      if (place) place.textContent = `${left} s`;
    }
  }

  #drawWho() {
    const { session } = store;
    fill(this.#who,
      session && el('span', { class: 'account' }, el('span', {}, session.user), ' ', el('span', { class: 'count' }, session.role)),
      this.#themeButton(),
      el('button', { type: 'button', class: 'icon-only', 'aria-label': 'Log out', title: 'Log out', onclick: () => void store.leave() }, icon('leave')));
  }

  #themeButton() {
    const now = document.documentElement.dataset.theme ?? 'system';
    const label = `Theme: ${now}`;
    return el('button', {
      type: 'button', class: 'icon-only', 'aria-label': label, title: label, 'data-act': 'theme',
      onclick: () => {
        const next = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length] ?? 'system';
        if (next === 'system') delete document.documentElement.dataset.theme;
        else document.documentElement.dataset.theme = next;
        localStorage.setItem('theme', next);
        this.#drawWho();
        /** @type {HTMLElement | null} */ (this.#who.querySelector('[data-act=theme]'))?.focus();
        announce(`Theme: ${next}`);
      },
    }, icon('theme'));
  }
}

/** @param {string} part of an address, which anybody can have typed */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

customElements.define('op-app', App);
