/** The icons, drawn on 24 × 24. They always stand beside words or have a label on their button, and are hidden from readers. */
import { svg } from './dom.js';

/** @type {Record<string, string>} */
const SHAPES = {
  chat: 'M4 5h16v11H9l-5 4z',
  containers: 'M12 3l8 4.5v9L12 21l-8-4.5v-9zM4 7.5l8 4.5 8-4.5M12 12v9',
  topology: 'M12 4v6m0 0l-6 6m6-6l6 6M9 4h6M3 16h6v4H3zM15 16h6v4h-6z',
  ledger: 'M6 3h12v18H6zM9 8h6M9 12h6M9 16h3',
  tools: 'M14 6a4 4 0 015-1l-3 3 1 2 2 1 3-3a4 4 0 01-6 5l-8 8-3-3 8-8a4 4 0 011-4z',
  host: 'M4 5h16v6H4zM4 13h16v6H4zM8 8h.01M8 16h.01M12 8h5M12 16h5',
  send: 'M4 12h15M13 6l6 6-6 6',
  stop: 'M7 7h10v10H7z',
  play: 'M8 5l11 7-11 7z',
  check: 'M5 13l4 4L19 7',
  cross: 'M6 6l12 12M18 6L6 18',
  warning: 'M12 4l9 16H3zM12 10v4M12 17h.01',
  down: 'M6 9l6 6 6-6',
  back: 'M15 5l-7 7 7 7',
  search: 'M10.5 4a6.5 6.5 0 110 13 6.5 6.5 0 010-13zM15.5 15.5L20 20',
  theme: 'M12 4a8 8 0 100 16V4zM12 4a8 8 0 010 16',
  leave: 'M10 4H5v16h5M14 8l4 4-4 4M18 12H9',
  refresh: 'M19 12a7 7 0 11-2-5M17 3v4h-4',
  snapshot: 'M4 8h4l2-3h4l2 3h4v11H4zM12 10.5a3 3 0 110 6 3 3 0 010-6z',
  plus: 'M12 5v14M5 12h14',
  lock: 'M7 11V8a5 5 0 0110 0v3M5 11h14v9H5z',
};

/**
 * @param {keyof typeof SHAPES | string} name
 * @returns {SVGSVGElement}
 */
export function icon(name) {
  return svg('svg', { class: 'icon', viewBox: '0 0 24 24', 'aria-hidden': 'true', focusable: 'false' },
    svg('path', { d: SHAPES[name] ?? '' }));
}
