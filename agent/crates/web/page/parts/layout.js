/** Where the nodes of the topology go: a column for each kind, and in it each near those that it is linked with. */

/** From the inside of the host to the outside. */
const COLUMN = { container: 0, port: 1, bridge: 2, host: 3, uplink: 3, hop: 4, peer: 4, internet: 5 };
export const BOX = { width: 148, height: 52 };
const GAP = { x: 64, y: 20 };
const MARGIN = 12;

/**
 * @param {TopologyNode[]} nodes
 * @param {TopologyLink[]} links
 * @returns {{width: number, height: number, places: Map<string, {x: number, y: number, column: number}>}}
 */
export function layout(nodes, links) {
  /** @type {Map<string, string[]>} */
  const near = new Map(nodes.map(({ id }) => [id, []]));
  for (const { from, to } of links) {
    near.get(from)?.push(to);
    near.get(to)?.push(from);
  }
  const columns = columnsOf(nodes, links, near);
  /** @type {Map<string, number>} */
  const row = new Map();
  const ordered = columns.map((column) => [...column].sort((a, b) => a.label.localeCompare(b.label, undefined, { numeric: true })));
  ordered.forEach((column) => column.forEach(({ id }, at) => row.set(id, at - (column.length - 1) / 2)));
  // Each sweep moves nodes towards the middle of their neighbours.
  for (let sweep = 0; sweep < 4; sweep += 1) {
    for (const column of sweep % 2 ? [...ordered].reverse() : ordered) {
      const wish = new Map(column.map(({ id }) => [id, mean(near.get(id) ?? [], row) ?? row.get(id) ?? 0]));
      column.sort((a, b) => (wish.get(a.id) ?? 0) - (wish.get(b.id) ?? 0));
      column.forEach(({ id }, at) => row.set(id, at - (column.length - 1) / 2));
    }
  }
  const most = Math.max(1, ...ordered.map((column) => column.length));
  const height = 2 * MARGIN + most * BOX.height + (most - 1) * GAP.y;
  const places = new Map();
  ordered.forEach((column, at) => column.forEach(({ id }) => places.set(id, {
    x: MARGIN + at * (BOX.width + GAP.x),
    y: height / 2 + (row.get(id) ?? 0) * (BOX.height + GAP.y) - BOX.height / 2,
    column: at,
  })));
  return { width: 2 * MARGIN + ordered.length * BOX.width + Math.max(0, ordered.length - 1) * GAP.x, height, places };
}

/**
 * The columns that have something in them. Hops that follow each other get a column each.
 * @param {TopologyNode[]} nodes
 * @param {TopologyLink[]} links
 * @param {Map<string, string[]>} near
 */
function columnsOf(nodes, links, near) {
  const hops = new Set(nodes.filter(({ kind }) => kind === 'hop').map(({ id }) => id));
  const depth = depths(hops, links, near);
  const deepest = Math.max(0, ...depth.values());
  /** @type {Map<number, TopologyNode[]>} */
  const columns = new Map();
  for (const node of nodes) {
    const base = COLUMN[node.kind] ?? 3;
    const at = node.kind === 'hop' ? base + (depth.get(node.id) ?? 0) / (deepest + 1) : base;
    columns.set(at, [...(columns.get(at) ?? []), node]);
  }
  return [...columns.entries()].sort(([a], [b]) => a - b).map(([, column]) => column);
}

/**
 * How far each hop is from the first of its chain.
 * @param {Set<string>} hops
 * @param {TopologyLink[]} links
 * @param {Map<string, string[]>} near
 */
function depths(hops, links, near) {
  /** @type {Map<string, number>} */
  const depth = new Map();
  const between = links.filter(({ from, to }) => hops.has(from) && hops.has(to));
  const follows = new Set(between.map(({ to }) => to));
  let front = [...hops].filter((id) => !follows.has(id));
  for (let at = 0; front.length && at <= hops.size; at += 1) {
    for (const id of front) depth.set(id, at);
    front = front.flatMap((id) => between.filter(({ from }) => from === id).map(({ to }) => to)).filter((id) => !depth.has(id) && near.has(id));
  }
  return depth;
}

/**
 * @param {string[]} ids
 * @param {Map<string, number>} row
 */
function mean(ids, row) {
  const rows = ids.map((id) => row.get(id)).filter((at) => at !== undefined);
  return rows.length ? rows.reduce((sum, at) => sum + at, 0) / rows.length : null;
}
