/** Lines over time, drawn as SVG. What is seen is also said: a sentence for each line. */
import { el, fill, svg } from '../dom.js';
import { figure } from '../format.js';

const WIDTH = 640;
const HEIGHT = 180;
const LEFT = 64;
const RIGHT = 8;
const TOP = 10;
const BOTTOM = 24;
/** Times below this are in seconds since 1970: as milliseconds they would be of the year 1973. */
const SECONDS = 1e11;
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });

/**
 * @param {Series[]} series lines of one unit; points are [seconds or milliseconds since 1970, value]
 * @param {string} label
 */
export function plot(series, label) {
  const lines = series.map((line) => ({ ...line, points: line.points.filter((point) => point.every(Number.isFinite)).map(([at, value]) => /** @type {[number, number]} */ ([at < SECONDS ? at * 1000 : at, value])) }))
    .filter((line) => line.points.length);
  if (!lines.length) return el('p', { class: 'empty small' }, `${label}: nothing measured yet.`);
  const unit = lines[0]?.unit ?? '';
  const times = lines.flatMap((line) => line.points.map(([at]) => at));
  const values = lines.flatMap((line) => line.points.map(([, value]) => value));
  const from = Math.min(...times);
  const to = Math.max(...times, from + 1);
  const top = ceiling(Math.max(...values, 0), unit);
  const floor = Math.min(...values, 0);
  /** @param {number} at */
  const x = (at) => LEFT + ((at - from) / (to - from)) * (WIDTH - LEFT - RIGHT);
  /** @param {number} value */
  const y = (value) => TOP + (1 - (value - floor) / (top - floor)) * (HEIGHT - TOP - BOTTOM);

  const said = lines.map((line) => sentence(line)).join(' ');
  const drawing = svg('svg', { class: 'plot', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': `${label}. ${said}` },
    [0, 0.5, 1].map((part) => {
      const value = floor + part * (top - floor);
      return [
        svg('line', { class: 'grid', x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) }),
        svg('text', { class: 'tick', x: LEFT - 8, y: y(value) + 4, 'text-anchor': 'end' }, figure(value, unit)),
      ];
    }),
    svg('text', { class: 'tick', x: LEFT, y: HEIGHT - 6 }, CLOCK.format(from)),
    svg('text', { class: 'tick', x: WIDTH - RIGHT, y: HEIGHT - 6, 'text-anchor': 'end' }, CLOCK.format(to)),
    lines.map((line, at) => [
      lines.length === 1 && svg('path', { class: 'area', d: `${path(line.points, x, y)}L${x(line.points.at(-1)?.[0] ?? from)} ${y(floor)}L${x(line.points[0]?.[0] ?? from)} ${y(floor)}Z` }),
      svg('path', { class: `line line-${at % 4}`, d: path(line.points, x, y) }),
    ]));
  const legend = el('ul', { class: 'legend' }, lines.map((line, at) => el('li', {},
    svg('svg', { class: 'swatch', viewBox: '0 0 20 8', 'aria-hidden': 'true' }, svg('path', { class: `line line-${at % 4}`, d: 'M0 4H20' })),
    `${line.name} `, el('b', {}, figure(line.points.at(-1)?.[1] ?? 0, unit)))));
  return el('figure', { class: 'plot-figure' }, el('figcaption', {}, label), drawing, legend);
}

/**
 * @param {Series[]} series
 * @param {string} label
 */
export function plots(series, label) {
  /** @type {Map<string, Series[]>} */
  const byUnit = new Map();
  for (const line of series) byUnit.set(line.unit, [...(byUnit.get(line.unit) ?? []), line]);
  const made = el('div', { class: 'plots' });
  fill(made, [...byUnit.values()].map((lines) => plot(lines, byUnit.size === 1 ? label : lines.map((line) => line.name).join(', '))));
  return made;
}

/** @param {Series} line */
function sentence({ name, unit, points }) {
  const values = points.map(([, value]) => value);
  const last = values.at(-1) ?? 0;
  return `${name}: now ${figure(last, unit)}, between ${figure(Math.min(...values), unit)} and ${figure(Math.max(...values), unit)}.`;
}

/**
 * @param {Array<[number, number]>} points
 * @param {(at: number) => number} x
 * @param {(value: number) => number} y
 */
function path(points, x, y) {
  return points.map(([at, value], first) => `${first ? 'L' : 'M'}${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join('');
}

/**
 * A round figure at or above the greatest value.
 * @param {number} value
 * @param {string} unit
 */
function ceiling(value, unit) {
  if (value <= 0) return 1;
  if (unit === '%' && value > 50) return 100;
  if (unit.startsWith('B') || unit.startsWith('bytes')) return 2 ** Math.ceil(Math.log2(value));
  const scale = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * scale).find((step) => step >= value) ?? value;
}
