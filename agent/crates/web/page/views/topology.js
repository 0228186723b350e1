/** <op-topology>: bridge, ports, containers, peers and the chain to the outside, drawn live. */
import { ask } from '../api.js';
import { Component, el, fill, svg } from '../dom.js';
import { inline } from '../format.js';
import { badge, tone } from '../parts/badge.js';
import { BOX, layout } from '../parts/layout.js';
import { empty, loading, problem } from '../parts/problem.js';
import { table } from '../parts/table.js';
import { valueTree } from '../parts/tree.js';
import { store } from '../store.js';

/** @type {Record<string, string>} */
const KINDS = { host: 'host', bridge: 'bridge', port: 'port', container: 'container', peer: 'mesh peer', hop: 'privacy hop', uplink: 'uplink', internet: 'internet' };
/** Characters of a label that fit into a box. */
const FITS = 17;

export class Topology extends Component {
  #picture = el('div', { class: 'picture scroll', role: 'group', 'aria-label': 'Topology: arrow keys go from node to node' });
  #detail = el('aside', { class: 'node-detail', 'aria-label': 'Details', hidden: true });
  #tables = el('details', { class: 'as-table' });
  #body = el('div', { class: 'view-body' }, loading());
  /** @type {{nodes: TopologyNode[], links: TopologyLink[]}} */
  #graph = { nodes: [], links: [] };
  /** @type {string | null} The node that Tab goes to. */
  #current = null;
  /** @type {string | null} */
  #chosen = null;

  mount(/** @type {AbortSignal} */ signal) {
    fill(this, el('header', { class: 'view-head' }, el('h1', {}, 'Topology')), this.#body);
    this.#picture.addEventListener('keydown', (event) => this.#key(event));
    store.watch(['topology']);
    store.on('topic', ({ detail }) => { if (detail === 'topology') this.#take(store.topics.topology); }, signal);
    if (store.topics.topology) this.#take(store.topics.topology);
    else void this.#ask();
  }

  async #ask() {
    try {
      this.#take(await ask('/api/topology'));
    } catch (error) {
      fill(this.#body, problem(error, () => void this.#ask()));
    }
  }

  /** @param {any} topic */
  #take(topic) {
    const nodes = topic.nodes ?? [];
    const known = new Set(nodes.map((/** @type {TopologyNode} */ { id }) => id));
    this.#graph = { nodes, links: (topic.links ?? []).filter((/** @type {TopologyLink} */ { from, to }) => known.has(from) && known.has(to)) };
    if (!nodes.length) {
      fill(this.#body, empty('There is no network to draw yet.', 'Declare a bridge in ', el('code', {}, 'plugins.ovs'), ' and apply.'));
      return;
    }
    if (!this.#picture.isConnected) fill(this.#body, this.#picture, this.#detail, this.#tables);
    this.#draw();
  }

  #draw() {
    const { nodes, links } = this.#graph;
    const { width, height, places } = layout(nodes, links);
    const held = this.#picture.contains(document.activeElement);
    if (!nodes.some(({ id }) => id === this.#current)) this.#current = nodes[0]?.id ?? null;
    const drawn = svg('svg', { class: 'topology', viewBox: `0 0 ${width} ${height}`, width, height },
      links.map((link) => lineOf(link, places)),
      nodes.map((node) => this.#box(node, places)));
    const { scrollLeft, scrollTop } = this.#picture;
    fill(this.#picture, drawn);
    this.#picture.scrollTo(scrollLeft, scrollTop);
    if (held) this.#focus(this.#current);
    if (!this.#tables.contains(document.activeElement)) this.#drawTables();
    if (this.#chosen) this.#show(this.#chosen);
  }

  /** @param {TopologyNode} node @param {Map<string, {x: number, y: number}>} places */
  #box(node, places) {
    const { x, y } = places.get(node.id) ?? { x: 0, y: 0 };
    const kind = KINDS[node.kind] ?? node.kind;
    const short = node.label.length > FITS ? `${node.label.slice(0, FITS - 1)}…` : node.label;
    return svg('g', {
      class: `node ${node.kind} ${tone(node.state ?? '') ?? 'quiet'}${node.id === this.#chosen ? ' chosen' : ''}`, transform: `translate(${x} ${y})`,
      role: 'button', tabindex: node.id === this.#current ? '0' : '-1', 'data-id': node.id,
      'aria-label': `${kind} ${node.label}${node.state ? `, ${node.state}` : ''}`, 'aria-pressed': String(node.id === this.#chosen),
      onclick: () => this.#choose(node.id),
    },
    svg('rect', { width: BOX.width, height: BOX.height, rx: 8 }),
    svg('circle', { class: 'dot', cx: 16, cy: 18, r: 4.5 }),
    svg('text', { class: 'label', x: 28, y: 22 }, short),
    svg('text', { class: 'sub', x: 28, y: 40 }, node.state ? `${kind} · ${node.state}` : kind));
  }

  #drawTables() {
    const { nodes, links } = this.#graph;
    const name = new Map(nodes.map(({ id, label }) => [id, label]));
    fill(this.#tables, el('summary', {}, 'As tables'),
      table({ columns: [{ key: 'label', title: 'Node' }, { key: 'kind', title: 'Kind' }, { key: 'state', title: 'State' }, { key: 'detail', title: 'Detail' }],
        rows: nodes.map((node) => ({ ...node, kind: KINDS[node.kind] ?? node.kind, detail: inline(node.detail) })) }, 'Nodes'),
      table({ columns: [{ key: 'from', title: 'From' }, { key: 'to', title: 'To' }, { key: 'kind', title: 'Link' }, { key: 'label', title: 'Name' }],
        rows: links.map((link) => ({ ...link, from: name.get(link.from), to: name.get(link.to) })) }, 'Links'));
  }

  /** @param {string} id */
  #choose(id) {
    this.#current = id;
    this.#chosen = this.#chosen === id ? null : id;
    if (!this.#chosen) this.#detail.hidden = true;
    this.#draw();
    this.#focus(id);
  }

  /** @param {string} id */
  #show(id) {
    const node = this.#graph.nodes.find((each) => each.id === id);
    this.#detail.hidden = !node;
    if (!node) return;
    const isContainer = node.kind === 'container';
    fill(this.#detail, el('header', { class: 'row' }, el('h2', {}, node.label), badge(node.state ?? KINDS[node.kind] ?? node.kind)),
      isContainer && el('p', {}, el('a', { href: `#/containers/${encodeURIComponent(node.label)}` }, 'Open the container')),
      node.detail === undefined || node.detail === null || node.detail === '' ? null
        : typeof node.detail === 'object' ? valueTree(node.detail, node.label) : el('p', {}, String(node.detail)));
  }

  /** @param {string | null} id */
  #focus(id) {
    if (id) /** @type {SVGElement | null} */ (this.#picture.querySelector(`[data-id="${CSS.escape(id)}"]`))?.focus();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if ((event.key === 'Enter' || event.key === ' ') && this.#current) {
      event.preventDefault();
      return this.#choose(this.#current);
    }
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step || !this.#current) return;
    event.preventDefault();
    const { places } = layout(this.#graph.nodes, this.#graph.links);
    const next = nearest(places, this.#current, step[0] ?? 0, step[1] ?? 0);
    if (!next) return;
    for (const node of this.#picture.querySelectorAll('.node')) node.setAttribute('tabindex', node.getAttribute('data-id') === next ? '0' : '-1');
    this.#current = next;
    this.#focus(next);
  }
}

/**
 * The nearest node in a direction.
 * @param {Map<string, {x: number, y: number}>} places @param {string} from @param {number} right @param {number} down
 */
function nearest(places, from, right, down) {
  const here = places.get(from);
  if (!here) return null;
  /** @type {{id: string, far: number} | null} */
  let best = null;
  for (const [id, { x, y }] of places) {
    const along = (x - here.x) * right + (y - here.y) * down;
    if (id === from || along <= 0) continue;
    const aside = Math.abs((x - here.x) * down) + Math.abs((y - here.y) * right);
    if (!best || along + 2 * aside < best.far) best = { id, far: along + 2 * aside };
  }
  return best?.id ?? null;
}

/** @param {TopologyLink} link @param {Map<string, {x: number, y: number, column: number}>} places */
function lineOf({ from, to, kind, label }, places) {
  const ends = [places.get(from), places.get(to)];
  const [a, b] = ends.sort((one, other) => (one?.x ?? 0) - (other?.x ?? 0));
  if (!a || !b) return null;
  const same = a.column === b.column;
  const start = { x: same ? a.x + BOX.width / 2 : a.x + BOX.width, y: same ? Math.min(a.y, b.y) + BOX.height : a.y + BOX.height / 2 };
  const end = { x: same ? b.x + BOX.width / 2 : b.x, y: same ? Math.max(a.y, b.y) : b.y + BOX.height / 2 };
  const bend = (end.x - start.x) / 2;
  return svg('path', { class: `link ${kind ?? ''}`, d: `M${start.x} ${start.y}C${start.x + bend} ${start.y} ${end.x - bend} ${end.y} ${end.x} ${end.y}` },
    label ? svg('title', {}, label) : null);
}

customElements.define('op-topology', Topology);
