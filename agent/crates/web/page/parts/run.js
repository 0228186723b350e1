/** Calling a tool from a view: its plan is shown first, and only the plan that was shown is applied. */
import { ask, callTool } from '../api.js';
import { el, fill } from '../dom.js';
import { duration } from '../format.js';
import { icon } from '../icons.js';
import { valueOf } from './answer.js';
import { badge } from './badge.js';
import { dialog, lossOf, typedName } from './dialog.js';
import { changesOf } from './diff.js';
import { announce } from './live.js';
import { loading, problem } from './problem.js';

/**
 * Shows what a tool would change, and applies it if one says so. Ends when the dialog closes; says whether it was done.
 * @param {{name: string, title: string, effect: string, given: Record<string, unknown>, asks?: boolean}} call
 *   `asks` is whether the tool wants to be told that data may be lost
 * @returns {Promise<boolean>}
 */
export function planAndApply({ name, title, effect, given, asks = false }) {
  return decide({
    title, effect, typed: typeof given.name === 'string' ? given.name : undefined,
    plan: async (signal) => (await callTool(name, given, { dry_run: true, signal })).plan,
    apply: (hash, signal, loses) => callTool(name, asks && loses ? { ...given, allow_destroy: true } : given, { plan: hash, signal }),
  });
}

/**
 * The same for the declaration as a whole.
 * @returns {Promise<boolean>}
 */
export function applyDeclared() {
  return decide({
    title: 'Bring the host to its declared state', effect: 'write', typed: undefined,
    plan: (signal) => ask('/api/plan', { signal }),
    apply: (plan, signal, loses) => ask('/api/apply', { method: 'POST', body: { plan, ...(loses && { arguments: { allow_destroy: true } }) }, signal }),
  });
}

/**
 * @param {{title: string, effect: string, typed: string | undefined, plan: (signal: AbortSignal) => Promise<any>, apply: (hash: string, signal: AbortSignal, loses: boolean) => Promise<any>}} what
 *   `typed` is the name that has to be typed before data is lost; without it, that of what is lost
 * @returns {Promise<boolean>}
 */
function decide({ title, effect, typed, plan, apply }) {
  const { promise, resolve } = Promise.withResolvers();
  const life = new AbortController();
  let done = false;
  const body = el('div', { class: 'body' });
  const actions = el('div', { class: 'actions' });
  const shown = dialog(title, [body, actions], { wide: true });
  const close = () => el('button', { type: 'button', onclick: () => shown.close() }, done ? 'Close' : 'Cancel');
  shown.addEventListener('close', () => {
    life.abort();
    resolve(done);
  });

  async function show() {
    fill(body, loading('Making the plan…'));
    fill(actions, close());
    try {
      const made = await plan(life.signal);
      const hash = made.hash ?? made.plan_hash;
      const changes = /** @type {Change[]} */ (made.changes ?? []);
      const lost = changes.find(({ destroys }) => destroys);
      fill(body, changesOf(changes, 'Changes'),
        (made.notes ?? []).map((/** @type {any} */ note) => el('p', { class: 'hint' }, typeof note === 'string' ? note : note.text)));
      const danger = effect === 'destroy' || lost !== undefined;
      const name = danger ? typed ?? (lost ?? changes[0])?.resource.split(':').at(-1) ?? title : null;
      const go = el('button', { type: 'button', class: danger ? 'danger' : 'primary', onclick: () => void carryOut(hash, name, changes) }, icon('check'), danger ? 'Apply…' : 'Apply');
      fill(actions, changes.length > 0 || hash ? go : null, close());
      go.focus();
    } catch (error) {
      if (!life.signal.aborted) fill(body, problem(error, () => void show()));
    }
  }

  /** @param {string} hash @param {string | null} name to be typed first @param {Change[]} changes */
  async function carryOut(hash, name, changes) {
    if (name !== null && await typedName(title, lossOf(changes), name) === null) return;
    fill(actions, el('p', { class: 'hint', role: 'status' }, 'Running… Closing this window takes the call back.'), el('button', { type: 'button', onclick: () => shown.close() }, icon('stop'), 'Stop'));
    try {
      const answer = await apply(hash, life.signal, changes.some(({ destroys }) => destroys));
      done = true;
      fill(body, resultOf(answer, title));
      announce(`${title}: done`);
    } catch (error) {
      if (life.signal.aborted) return;
      const stale = /** @type {any} */ (error).code === 'plan-changed';
      fill(body, problem(error, stale ? () => void show() : undefined));
    }
    fill(actions, close());
    /** @type {HTMLElement | null} */ (actions.querySelector('button'))?.focus();
  }

  void show();
  return promise;
}

/**
 * The answer of a call, with its entry in the ledger.
 * @param {{result?: unknown, entry?: number, duration_ms?: number}} answer
 * @param {string} label
 */
export function resultOf(answer, label) {
  return el('div', { class: 'result' },
    el('p', {}, badge('done'), answer.duration_ms !== undefined && ` in ${duration(answer.duration_ms)} `,
      answer.entry !== undefined && answer.entry !== null && el('a', { href: `#/ledger/${Number(answer.entry)}` }, `Ledger entry ${Number(answer.entry)}`)),
    valueOf(answer.result ?? answer, label));
}
