/**
 * <op-composer>: the field for a message, a combobox whose list completes what is typed
 * (ARIA Authoring Practices, editable combobox with list autocomplete).
 */
import { ask } from '../api.js';
import { Component, el, fill, unique } from '../dom.js';
import { icon } from '../icons.js';
import { store } from '../store.js';

const PAUSE_MS = 120;
const MOST = 8;
const LONGEST = 16_000;

export class Composer extends Component {
  #list = el('ul', { id: unique('completions'), role: 'listbox', 'aria-label': 'Completions', class: 'completions', hidden: true });
  #input = el('input', {
    type: 'text', role: 'combobox', 'aria-label': 'Message', 'aria-autocomplete': 'list', 'aria-expanded': 'false', 'aria-controls': this.#list.id,
    autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false', enterkeyhint: 'send', maxlength: LONGEST, placeholder: 'Say what you need, or “help”',
  });
  /** @type {Completion[]} */
  #found = [];
  #active = -1;
  /** @type {AbortController | undefined} */
  #asking;
  /** @type {number | undefined} */
  #pause;
  /** @type {string[]} Own messages, for going back to them. */
  #said = [];
  #back = 0;

  mount(/** @type {AbortSignal} */ signal) {
    if (!this.firstChild) {
      fill(this, el('form', { class: 'composer', onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); this.#send(); } },
        this.#list, this.#input,
        el('button', { type: 'submit', class: 'primary icon-only', 'aria-label': 'Send' }, icon('send'))));
      this.#input.addEventListener('input', () => this.#typed());
      this.#input.addEventListener('keydown', (event) => this.#key(event));
      this.#input.addEventListener('blur', () => this.#close());
    }
    signal.addEventListener('abort', () => this.#close());
  }

  /** @param {string} text */
  put(text) {
    this.#input.value = text;
    this.#input.focus();
    this.#input.setSelectionRange(text.length, text.length);
  }

  focus() {
    this.#input.focus();
  }

  #send() {
    const text = this.#input.value.trim();
    if (!text) return;
    store.say(text);
    this.#said.push(text);
    this.#back = this.#said.length;
    this.#input.value = '';
    this.#close();
  }

  #typed() {
    clearTimeout(this.#pause);
    this.#asking?.abort();
    const text = this.#input.value;
    if (text.trim().length < 2) return this.#close();
    this.#pause = setTimeout(() => void this.#complete(text), PAUSE_MS);
  }

  /** @param {string} text */
  async #complete(text) {
    const asking = new AbortController();
    this.#asking = asking;
    try {
      const { completions } = await ask(`/api/complete?${new URLSearchParams({ q: text })}`, { signal: asking.signal });
      if (asking.signal.aborted || this.#input.value !== text || document.activeElement !== this.#input) return;
      this.#found = completions.filter((/** @type {Completion} */ each) => each.text !== text).slice(0, MOST);
      this.#open();
    } catch {
      // Completions are a convenience: without them one goes on typing.
      this.#close();
    }
  }

  #open() {
    if (!this.#found.length) return this.#close();
    this.#active = -1;
    fill(this.#list, this.#found.map((each, at) => el('li', {
      id: `${this.#list.id}-${at}`, role: 'option', 'aria-selected': 'false',
      // Before the blur that would close the list.
      onpointerdown: (/** @type {Event} */ event) => { event.preventDefault(); this.#choose(at); },
    }, el('span', { class: 'text' }, each.text), each.title && el('span', { class: 'count' }, each.title))));
    this.#list.hidden = false;
    this.#input.setAttribute('aria-expanded', 'true');
    this.#input.removeAttribute('aria-activedescendant');
  }

  #close() {
    clearTimeout(this.#pause);
    this.#asking?.abort();
    this.#list.hidden = true;
    this.#found = [];
    this.#active = -1;
    this.#input.setAttribute('aria-expanded', 'false');
    this.#input.removeAttribute('aria-activedescendant');
  }

  /** @param {number} at */
  #choose(at) {
    const chosen = this.#found[at];
    if (!chosen) return;
    this.#close();
    this.put(chosen.text);
  }

  /** @param {number} step */
  #move(step) {
    const count = this.#found.length;
    this.#active = (this.#active + step + count + (this.#active < 0 && step < 0 ? 1 : 0)) % count;
    [...this.#list.children].forEach((option, at) => {
      option.setAttribute('aria-selected', String(at === this.#active));
      if (at === this.#active) option.scrollIntoView({ block: 'nearest' });
    });
    this.#input.setAttribute('aria-activedescendant', `${this.#list.id}-${this.#active}`);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const open = !this.#list.hidden;
    if (event.isComposing) return;
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      event.preventDefault();
      const step = event.key === 'ArrowDown' ? 1 : -1;
      if (open) this.#move(step);
      else this.#recall(step);
    } else if (event.key === 'Enter' && open && this.#active >= 0) {
      event.preventDefault();
      this.#choose(this.#active);
    } else if (event.key === 'Escape' && open) {
      event.preventDefault();
      this.#close();
    }
  }

  /** @param {number} step */
  #recall(step) {
    const at = this.#back + step;
    if (at < 0 || at > this.#said.length) return;
    this.#back = at;
    this.put(this.#said[at] ?? '');
  }
}

customElements.define('op-composer', Composer);
