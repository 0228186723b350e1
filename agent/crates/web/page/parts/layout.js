/**
 * Where the nodes of the topology go: in layers from the containers outwards, and in each layer near those that a node is
 * linked with. A link over several layers gets a place of its own in each of them, so that it goes around what is there.
 */

export const BOX = { width: 138, height: 52 };
/** Between layers, and between the nodes of one. */
const GAP = { layer: 40, row: 18 };
const MARGIN = 12;
const SWEEPS = 6;
/** Layers before those that are counted from the bridge. */
const INNER = /** @type {Record<string, number>} */ ({ container: 0, port: 1 });
const BRIDGE = 2;

/** @typedef {{x: number, y: number, layer: number}} Place the upper left corner of a box */

/**
 * @param {TopologyNode[]} nodes
 * @param {TopologyLink[]} links
 * @param {boolean} down whether layers follow each other downwards, as on a phone, and not to the right
 */
export function layout(nodes, links, down) {
  const layer = layersOf(nodes, links);
  /** @type {Map<string, string[]>} Neighbours, those of long links being places on their way. */
  const near = new Map(nodes.map(({ id }) => [id, []]));
  /** @type {string[][]} */
  const layers = Array.from({ length: Math.max(0, ...layer.values()) + 1 }, () => []);
  const byLabel = [...nodes].sort((a, b) => a.label.localeCompare(b.label, undefined, { numeric: true }));
  for (const { id } of byLabel) layers[layer.get(id) ?? 0]?.push(id);
  const ways = links.map((link, at) => wayOf(link, at, layer, layers, near));
  const rows = order(layers, near);

  const [thick, wide] = down ? [BOX.height, BOX.width] : [BOX.width, BOX.height];
  const most = Math.max(1, ...layers.map((each) => each.length));
  const along = 2 * MARGIN + layers.length * thick + (layers.length - 1) * GAP.layer;
  const across = 2 * MARGIN + most * wide + (most - 1) * GAP.row;
  /** @type {Map<string, Place>} */
  const places = new Map();
  layers.forEach((ids, at) => ids.forEach((id) => {
    const far = MARGIN + at * (thick + GAP.layer);
    const aside = across / 2 + (rows.get(id) ?? 0) * (wide + GAP.row) - wide / 2;
    places.set(id, { x: down ? aside : far, y: down ? far : aside, layer: at });
  }));
  return { width: down ? across : along, height: down ? along : across, places, ways };
}

/**
 * The layer of each node: containers, ports, bridges, and from there outwards as many links as it takes.
 * @param {TopologyNode[]} nodes
 * @param {TopologyLink[]} links
 */
function layersOf(nodes, links) {
  const kindOf = new Map(nodes.map(({ id, kind }) => [id, kind]));
  const outer = new Set(nodes.filter(({ kind }) => !(kind in INNER) && kind !== 'internet').map(({ id }) => id));
  // Ports belong to their bridge: what hangs on one is as far as if it hung on the bridge.
  const bridgeOf = new Map(links.flatMap(({ from, to }) => [[from, to], [to, from]]).filter(([bridge]) => kindOf.get(bridge ?? '') === 'bridge').map(([bridge = '', id = '']) => [id, bridge]));
  const near = links.map(({ from, to }) => [from, to].map((id) => (kindOf.get(id) === 'port' ? bridgeOf.get(id) ?? id : id)));
  const bridges = nodes.filter(({ kind }) => kind === 'bridge').map(({ id }) => id);
  /** @type {Map<string, number>} */
  const layer = new Map(nodes.filter(({ kind }) => kind in INNER).map(({ id, kind }) => [id, INNER[kind] ?? 0]));
  let front = bridges.length ? bridges : [...outer].slice(0, 1);
  for (let at = BRIDGE; front.length; at += 1) {
    for (const id of front) layer.set(id, at);
    const reached = near.flatMap(([a = '', b = '']) => (front.includes(a) ? [b] : front.includes(b) ? [a] : []));
    front = [...new Set(reached)].filter((id) => outer.has(id) && !layer.has(id));
  }
  for (const id of outer) if (!layer.has(id)) layer.set(id, BRIDGE + 1);
  const last = Math.max(BRIDGE, ...layer.values()) + 1;
  for (const { id, kind } of nodes) if (kind === 'internet') layer.set(id, last);
  // Layers with nothing in them take no room.
  const used = [...new Set(layer.values())].sort((a, b) => a - b);
  return new Map([...layer].map(([id, at]) => [id, used.indexOf(at)]));
}

/**
 * The places that a link goes through, from the inner to the outer end.
 * @param {TopologyLink} link
 * @param {number} number
 * @param {Map<string, number>} layer
 * @param {string[][]} layers
 * @param {Map<string, string[]>} near
 */
function wayOf({ from, to }, number, layer, layers, near) {
  const [a, b] = (layer.get(from) ?? 0) <= (layer.get(to) ?? 0) ? [from, to] : [to, from];
  const way = [a];
  for (let at = (layer.get(a) ?? 0) + 1; at < (layer.get(b) ?? 0); at += 1) {
    const id = `\u0000${number}/${at}`;
    layers[at]?.push(id);
    near.set(id, []);
    way.push(id);
  }
  way.push(b);
  way.slice(1).forEach((id, at) => {
    near.get(id)?.push(way[at] ?? '');
    near.get(way[at] ?? '')?.push(id);
  });
  return way;
}

/**
 * The row of each node, 0 being the middle: in each sweep nodes go to the mean of their neighbours.
 * @param {string[][]} layers
 * @param {Map<string, string[]>} near
 */
function order(layers, near) {
  /** @type {Map<string, number>} */
  const rows = new Map();
  const settle = (/** @type {string[]} */ ids) => ids.forEach((id, at) => rows.set(id, at - (ids.length - 1) / 2));
  layers.forEach(settle);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    for (const ids of sweep % 2 ? layers : [...layers].reverse()) {
      const wish = new Map(ids.map((id) => [id, mean(near.get(id) ?? [], rows) ?? rows.get(id) ?? 0]));
      ids.sort((a, b) => (wish.get(a) ?? 0) - (wish.get(b) ?? 0));
      settle(ids);
    }
  }
  return rows;
}

/**
 * @param {string[]} ids
 * @param {Map<string, number>} rows
 */
function mean(ids, rows) {
  const known = ids.map((id) => rows.get(id)).filter((row) => row !== undefined);
  return known.length ? known.reduce((sum, row) => sum + row, 0) / known.length : null;
}
