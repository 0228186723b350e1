/** <op-message>: what somebody said, or an answer, also while it comes in. */
import { Component, el, fill, prose } from '../dom.js';
import { time } from '../format.js';
import { store } from '../store.js';
import { answerOf } from './answer.js';
import { markup } from './markup.js';
import { problem } from './problem.js';

export class Message extends Component {
  /** @param {Item} item */
  update(item) {
    const { event, kind, pending } = item;
    const own = kind === 'user';
    const who = own ? (event.by ?? store.session?.user ?? 'You') : 'operation-dbus';
    const error = kind === 'error';
    fill(this, el('article', { class: `message ${kind}${pending ? ' pending' : ''}`, 'aria-busy': kind === 'stream' && 'true' },
      el('header', {}, el('h2', { class: own ? 'who' : 'who unseen' }, who), own && (pending ? el('span', { class: 'count' }, 'sending…') : time(event.timestamp))),
      !own && event.understood && el('p', { class: 'understood' }, prose(event.understood)),
      error ? problem({ message: event.content || event.message, code: event.code }) : this.#body(item),
      event.answer && answerOf(event.answer, 'Answer'),
      // Where something was done, other meanings are no question any more.
      event.alternatives?.length && !event.call ? this.#alternatives(event.alternatives) : null));
  }

  /** @param {Item} item */
  #body({ event, kind }) {
    if (kind === 'assistant' && event.html) return el('div', { class: 'body' }, markup(event.html));
    // What an answer says in words beside a table is not said twice.
    if (kind === 'assistant' && event.answer?.kind === 'text' && event.answer.text === event.content) return null;
    return event.content ? el('div', { class: 'body plain' }, event.content) : null;
  }

  /** @param {Array<{sentence: string, tool: string}>} alternatives */
  #alternatives(alternatives) {
    return el('div', { class: 'alternatives', role: 'group', 'aria-label': 'Did you mean' },
      alternatives.map(({ sentence, tool }) => el('button', { type: 'button', class: 'chip', title: tool, onclick: () => store.say(sentence) }, sentence)));
  }
}

customElements.define('op-message', Message);
