/** Figures and times as people read them. */
import { el } from './dom.js';

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const day = new Intl.DateTimeFormat(undefined, { weekday: 'short', day: 'numeric', month: 'short', year: 'numeric' });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
const number = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });

/**
 * A moment from RFC 3339, or from seconds since 1970; `null` where it is neither.
 * @param {unknown} value
 */
export function moment(value) {
  const made = typeof value === 'number' ? new Date(value * 1000) : new Date(String(value));
  return Number.isNaN(made.getTime()) ? null : made;
}

/**
 * The time of day, with the whole date for who asks.
 * @param {unknown} value
 */
export function time(value) {
  const when = moment(value);
  if (!when) return el('span', {}, String(value ?? ''));
  return el('time', { datetime: when.toISOString(), title: full.format(when) }, clock.format(when));
}

/** @param {unknown} value */
export function dayOf(value) {
  const when = moment(value);
  return when ? day.format(when) : '';
}

/** @param {unknown} value */
export function dateTime(value) {
  const when = moment(value);
  return when ? full.format(when) : String(value ?? '');
}

/** @param {number | undefined} milliseconds */
export function duration(milliseconds) {
  if (milliseconds === undefined) return '';
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 60_000) return `${number.format(milliseconds / 1000)} s`;
  const minutes = Math.floor(milliseconds / 60_000);
  if (minutes < 60) return `${minutes} min ${Math.round((milliseconds % 60_000) / 1000)} s`;
  return minutes < 48 * 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${Math.floor(minutes / 60 / 24)} days`;
}

/** @param {number} value */
export function bytes(value) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let scaled = value;
  let unit = 0;
  while (scaled >= 1024 && unit < units.length - 1) {
    scaled /= 1024;
    unit += 1;
  }
  return `${number.format(scaled)} ${units[unit]}`;
}

/**
 * A figure with its unit; bytes are scaled.
 * @param {number} value
 * @param {string} [unit]
 */
export function figure(value, unit = '') {
  if (unit === 'bytes' || unit === 'B') return bytes(value);
  if (unit === 'bytes/s' || unit === 'B/s') return `${bytes(value)}/s`;
  return `${number.format(value)}${unit === '%' ? ' %' : unit && ` ${unit}`}`;
}

/** Keys whose numbers are bytes; those of sizes that are below one MiB are MiB, which is how sizes are written without a unit. */
const BYTES = /(^|[._])bytes$/;
const SIZE = /(^|[._])(memory|swap)$/;
const MIB = 1024 ** 2;

/**
 * The value of a key: an amount of bytes with its unit, anything else in one line.
 * @param {string} key
 * @param {unknown} value
 */
export function said(key, value) {
  if (typeof value !== 'number') return inline(value);
  if (SIZE.test(key)) return bytes(value < MIB ? value * MIB : value);
  return BYTES.test(key) ? bytes(value) : inline(value);
}

/**
 * A value in one line of text.
 * @param {unknown} value
 * @returns {string}
 */
export function inline(value) {
  if (value === null || value === undefined || value === '') return '–';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return String(value);
  if (Array.isArray(value) && value.every((item) => typeof item !== 'object')) return value.map(inline).join(', ') || '–';
  const entries = Object.entries(value);
  if (!Array.isArray(value) && entries.every(([, item]) => item === null || typeof item !== 'object')) return entries.map(([key, item]) => `${key} ${inline(item)}`).join(', ') || '–';
  return JSON.stringify(value);
}
