/** <op-entry>: one entry of the ledger, whole, with its place in the chain and its proof. */
import { ask, callTool } from '../api.js';
import { Component, el, fill } from '../dom.js';
import { dateTime } from '../format.js';
import { icon } from '../icons.js';
import { badge } from './badge.js';
import { loading, problem } from './problem.js';
import { check } from './proof.js';
import { valueTree } from './tree.js';

export class LedgerEntry extends Component {
  /** @param {number} id */
  async open(id) {
    const back = el('p', {}, el('a', { href: '#/ledger' }, icon('back'), 'The whole ledger'));
    fill(this, back, loading());
    try {
      const entry = /** @type {Entry} */ (await ask(`/api/ledger/${id}`));
      const { metadata = {} } = entry;
      const proof = el('div', { class: 'proof', role: 'status' });
      fill(this, back, el('section', { class: 'one' },
        el('div', { class: 'row' }, el('h2', {}, entry.operation, ' ', entry.target), metadata.outcome && badge(String(metadata.outcome)), el('span', { class: 'count' }, `#${entry.id}`)),
        el('dl', { class: 'facts' },
          fact('when', dateTime(entry.timestamp)), fact('who', metadata.actor?.name), fact('door', metadata.actor?.door), fact('run', metadata.run),
          fact('error', metadata.error)),
        el('div', { class: 'actions' },
          el('button', { type: 'button', class: 'primary', onclick: () => void this.#prove(entry, proof) }, icon('lock'), 'Prove it'),
          entry.id > 0 && el('a', { class: 'button', href: `#/ledger/${entry.id - 1}` }, 'Entry before'),
          el('a', { class: 'button', href: `#/ledger/${entry.id + 1}` }, 'Entry after')),
        proof,
        el('h3', {}, 'Metadata'), valueTree(metadata, 'metadata'),
        el('h3', {}, 'Chain'), el('dl', { class: 'facts hashes' }, fact('previous hash', entry.previous_hash ?? 'none'), fact('this hash', entry.current_hash))));
    } catch (error) {
      fill(this, back, problem(error));
    }
  }

  /**
   * @param {Entry} entry
   * @param {HTMLElement} place
   */
  async #prove(entry, place) {
    fill(place, loading('Fetching the proof, and checking it here…'));
    try {
      const [{ proof, cosigned = [] }, head] = await Promise.all([ask(`/api/ledger/${entry.id}/proof`), callTool('ledger_checkpoint', {}).catch(() => null)]);
      const found = await check(proof, head?.result?.key ?? null);
      // A proof of another entry proves nothing about this one.
      const same = found.index === entry.id && found.entry.id === entry.id && found.entry.operation === entry.operation && found.entry.target === entry.target;
      const good = found.holds && same && found.signed !== 'no';
      fill(place, el('div', { class: `card verdict ${good ? 'good' : 'bad'}` },
        el('p', {}, badge(good ? 'valid' : 'invalid'), ` ${same ? found.why : 'The proof is of another entry.'}`),
        el('dl', { class: 'facts' }, fact('checked', 'in this browser'), fact('place', `${found.index} of ${found.size}`), fact('signature', SIGNED[found.signed]), fact('witnesses', cosigned.join(', ') || 'none'), fact('root', found.root)),
        el('p', {}, el('a', { class: 'button', href: `data:text/plain;charset=utf-8,${encodeURIComponent(proof)}`, download: `entry-${entry.id}.proof` }, 'Save the proof')),
        el('p', { class: 'hint' }, 'Whoever does not trust this host checks the saved file elsewhere: ', el('code', {}, `op-dbus ledger verify-proof entry-${entry.id}.proof --key …`))));
    } catch (error) {
      fill(place, problem(error, () => void this.#prove(entry, place)));
    }
  }
}

const SIGNED = { yes: 'by the ledger’s key', no: 'not by the ledger’s key', unchecked: 'not checked: no key, or a browser without Ed25519' };

/** @param {string} name @param {unknown} value */
function fact(name, value) {
  if (value === undefined || value === null || value === '') return null;
  return el('div', {}, el('dt', {}, name), el('dd', {}, String(value)));
}

customElements.define('op-entry', LedgerEntry);
