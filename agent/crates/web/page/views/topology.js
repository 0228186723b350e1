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
const KINDS = { host: 'host', bridge: 'bridge', port: 'port', container: 'container', tunnel: 'WireGuard link', peer: 'mesh peer', hop: 'privacy hop', uplink: 'uplink', internet: 'internet' };
/**
 * What a state looks like beside its colour: a disc, a ring, a triangle, a cross.
 * @type {Record<string, string>}
 */
const SIGNS = { good: 'M11 18a5 5 0 1010 0a5 5 0 10-10 0Z', quiet: 'M11.5 18a4.5 4.5 0 109 0a4.5 4.5 0 10-9 0Z', warn: 'M16 12.5l5.5 10h-11Z', bad: 'M11.5 13.5l9 9m0-9l-9 9' };
/** Of its full size. */
const SMALLEST = 0.8;

export class Topology extends Component {
  #picture = el('div', { class: 'picture scroll', role: 'group', 'aria-label': 'Topology: arrow keys go from node to node' });
  #detail = el('aside', { class: 'node-detail', 'aria-label': 'Details', hidden: true });
  #tables = el('details', { class: 'as-table' });
  #body = el('div', { class: 'view-body' }, loading());
  /** @type {{nodes: TopologyNode[], links: TopologyLink[]}} */
  #graph = { nodes: [], links: [] };
  #narrow = matchMedia('(max-width: 700px)');
  /** @type {string | null} The node that Tab goes to. */
  #current = null;
  /** @type {string | null} */
  #chosen = null;

  mount(/** @type {AbortSignal} */ signal) {
    fill(this, el('header', { class: 'view-head' }, el('h1', {}, 'Topology')), this.#body);
    this.#picture.addEventListener('keydown', (event) => this.#key(event));
    this.#narrow.addEventListener('change', () => { if (this.#graph.nodes.length) this.#draw(); }, { signal });
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
    if (topic.error) return fill(this.#body, problem(topic.error, () => void this.#ask()));
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
    const down = this.#narrow.matches;
    const { width, height, places, ways } = layout(nodes, links, down);
    const held = this.#picture.contains(document.activeElement);
    if (!nodes.some(({ id }) => id === this.#current)) this.#current = nodes[0]?.id ?? null;
    const drawn = svg('svg', { class: 'topology', viewBox: `0 0 ${width} ${height}` },
      links.map((link, at) => lineOf(link, ways[at] ?? [], places, down)),
      nodes.map((node) => this.#box(node, places)));
    // As wide as there is room, while it can still be read; below that it scrolls.
    drawn.style.maxWidth = `${width}px`;
    drawn.style.minWidth = `${width * SMALLEST}px`;
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
    const name = `${node.label} ${kind}${node.state ? `, ${node.state}` : ''}`;
    const chosen = node.id === this.#chosen;
    return svg('g', { class: `node ${node.kind} ${tone(node.state ?? '') ?? 'quiet'}${chosen ? ' chosen' : ''}`, transform: `translate(${x} ${y})` },
      svg('rect', { class: 'box', width: BOX.width, height: BOX.height, rx: 8 }),
      svg('path', { class: 'dot', d: SIGNS[tone(node.state ?? '') ?? 'quiet'] }),
      // Words that may be cut; the whole name is the button's, which lies above.
      svg('g', { 'aria-hidden': 'true' },
        svg('text', { class: 'label', x: 28, y: 22 }, cut(node.label, 13)),
        svg('text', { class: 'sub', x: 28, y: 40 }, cut(kind, 17))),
      svg('rect', {
        class: 'hit', width: BOX.width, height: BOX.height, rx: 8, role: 'button', tabindex: node.id === this.#current ? '0' : '-1',
        'data-id': node.id, 'aria-label': name, 'aria-pressed': String(chosen), onclick: () => this.#choose(node.id),
      }, svg('title', {}, name)));
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
    const { places } = layout(this.#graph.nodes, this.#graph.links, this.#narrow.matches);
    const known = new Map(this.#graph.nodes.map(({ id }) => [id, places.get(id) ?? { x: 0, y: 0 }]));
    const next = nearest(known, this.#current, step[0] ?? 0, step[1] ?? 0);
    if (!next) return;
    for (const node of this.#picture.querySelectorAll('.hit')) node.setAttribute('tabindex', node.getAttribute('data-id') === next ? '0' : '-1');
    this.#current = next;
    this.#focus(next);
  }
}

/** @param {string} text @param {number} fits characters */
function cut(text, fits) {
  return text.length > fits ? `${text.slice(0, fits - 1)}…` : text;
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

/**
 * A line through all places of its way, straight where it passes one.
 * @param {TopologyLink} link @param {string[]} way @param {Map<string, import('../parts/layout.js').Place>} places @param {boolean} down
 */
function lineOf({ kind, label }, way, places, down) {
  const stops = way.map((id) => places.get(id)).filter((place) => place !== undefined);
  const [first, second] = stops;
  if (!first || !second) return null;
  const { width, height } = BOX;
  if (first.layer === second.layer) {
    const [a, b] = first.x + first.y < second.x + second.y ? [first, second] : [second, first];
    return drawn(down ? `M${a.x + width} ${a.y + height / 2}H${b.x}` : `M${a.x + width / 2} ${a.y + height}V${b.y}`, kind, label);
  }
  /** Where lines leave a box, and where they come to it. */
  const out = (/** @type {{x: number, y: number}} */ { x, y }) => (down ? [x + width / 2, y + height] : [x + width, y + height / 2]);
  const into = (/** @type {{x: number, y: number}} */ { x, y }) => (down ? [x + width / 2, y] : [x, y + height / 2]);
  const path = stops.slice(1).map((place, at) => {
    const [x1 = 0, y1 = 0] = out(stops[at] ?? place);
    const [x2 = 0, y2 = 0] = into(place);
    const bend = (down ? y2 - y1 : x2 - x1) / 2;
    return `L${x1} ${y1}C${down ? `${x1} ${y1 + bend} ${x2} ${y2 - bend}` : `${x1 + bend} ${y1} ${x2 - bend} ${y2}`} ${x2} ${y2}`;
  });
  return drawn(path.join('').replace('L', 'M'), kind, label);
}

/** @param {string} d @param {string | undefined} kind @param {string | undefined} label */
function drawn(d, kind, label) {
  return svg('path', { class: `link ${kind ?? ''}`, d }, label ? svg('title', {}, label) : null);
}

customElements.define('op-topology', Topology);
