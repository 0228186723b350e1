/** A form for a JSON Schema: as far as it is plain, fields; where it is not, JSON. */
import { el, fill, prose, unique } from '../dom.js';
import { icon } from '../icons.js';

/**
 * @typedef {{node: HTMLElement, read: () => unknown}} Field a field, and what is in it; `undefined` if left empty
 */

/** A value that cannot be sent; the field is marked. */
export class Unreadable extends Error {
  /** @param {HTMLElement} field @param {string} message */
  constructor(field, message) {
    super(message);
    this.field = field;
  }
}

/**
 * @param {Schema} schema of an object
 * @param {Record<string, unknown>} [values] to begin with
 * @returns {Field}
 */
export function objectField(schema, values = {}) {
  const required = new Set(schema.required ?? []);
  const fields = Object.entries(schema.properties ?? {})
    .sort(([a], [b]) => Number(required.has(b)) - Number(required.has(a)))
    .map(([name, inner]) => ({ name, field: fieldFor(inner, name, required.has(name), values[name]) }));
  return {
    node: el('div', { class: 'fields' }, fields.map(({ field }) => field.node)),
    read: () => Object.fromEntries(fields.map(({ name, field }) => [name, field.read()]).filter(([, value]) => value !== undefined)),
  };
}

/**
 * @param {Schema} schema
 * @param {string} name
 * @param {boolean} required
 * @param {unknown} value
 * @returns {Field}
 */
function fieldFor(schema, name, required, value) {
  const { inner, type } = plain(schema);
  const choices = choicesOf(inner);
  if (choices) return choiceField(schema, name, required, choices, value);
  switch (type) {
    case 'boolean': return switchField(schema, name, value);
    case 'integer': case 'number': return textField(schema, name, required, value, numberReader(inner, type));
    case 'string': return textField(schema, name, required, value, stringReader(inner));
    case 'array': return listField(schema, inner, name, value);
    case 'object': if (inner.properties) return groupField(schema, inner, name, required, value); // falls through
    default: return jsonField(schema, name, required, value);
  }
}

/**
 * The schema without `null`, and its type. A number or text, such as a size with a unit, is taken as text.
 * @param {Schema} schema
 * @returns {{inner: Schema, type: string | undefined}}
 */
function plain(schema) {
  const several = schema.anyOf?.filter((each) => each.type !== 'null');
  if (several?.length === 1) return plain({ ...several[0] });
  const types = several?.map((each) => each.type);
  if (types?.includes('string') && types.every((each) => each === 'string' || each === 'integer' || each === 'number')) return { inner: {}, type: 'string' };
  const type = Array.isArray(schema.type) ? schema.type.find((each) => each !== 'null') : schema.type;
  return { inner: schema, type };
}

/**
 * @param {Schema} schema
 * @returns {Array<{value: unknown, text: string}> | null}
 */
function choicesOf(schema) {
  if (schema.enum) return schema.enum.filter((value) => value !== null).map((value) => ({ value, text: String(value) }));
  const several = schema.oneOf ?? schema.anyOf;
  if (!several?.length || !several.every((each) => each.const !== undefined || each.enum)) return null;
  return several.flatMap((each) => (each.enum ?? [each.const]).map((value) => ({ value, text: each.description ? `${value}: ${each.description}` : String(value) })));
}

/**
 * A label, the field, and what the schema says of it.
 * @param {Schema} schema
 * @param {string} name
 * @param {boolean} required
 * @param {HTMLElement} control
 */
function labelled(schema, name, required, control) {
  const id = unique('field');
  const hint = unique('hint');
  control.id = id;
  if (schema.description) control.setAttribute('aria-describedby', hint);
  return el('div', { class: 'field' },
    el('label', { for: id }, name, required ? el('span', { class: 'required' }, ' required') : null), control,
    schema.description && el('p', { class: 'hint', id: hint }, prose(schema.description)));
}

/**
 * @param {Schema} schema @param {string} name @param {boolean} required @param {unknown} value
 * @param {(text: string, field: HTMLElement) => unknown} reader
 * @returns {Field}
 */
function textField(schema, name, required, value, reader) {
  const given = value ?? '';
  const fallback = schema.default === null || schema.default === undefined ? '' : String(schema.default);
  const input = el('input', { type: schema.writeOnly ? 'password' : 'text', value: given, placeholder: fallback, required, autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false' });
  return { node: labelled(schema, name, required, input), read: () => (input.value === '' ? undefined : reader(input.value, input)) };
}

/** @param {Schema} schema */
function stringReader(schema) {
  return (/** @type {string} */ text, /** @type {HTMLElement} */ field) => {
    if (schema.minLength && text.length < schema.minLength) throw new Unreadable(field, `at least ${schema.minLength} characters`);
    if (schema.maxLength && text.length > schema.maxLength) throw new Unreadable(field, `at most ${schema.maxLength} characters`);
    return text;
  };
}

/** @param {Schema} schema @param {string} type */
function numberReader(schema, type) {
  return (/** @type {string} */ text, /** @type {HTMLElement} */ field) => {
    const value = Number(text);
    if (Number.isNaN(value) || (type === 'integer' && !Number.isInteger(value))) throw new Unreadable(field, `a ${type === 'integer' ? 'whole ' : ''}number`);
    if (schema.minimum !== undefined && value < schema.minimum) throw new Unreadable(field, `at least ${schema.minimum}`);
    if (schema.maximum !== undefined && value > schema.maximum) throw new Unreadable(field, `at most ${schema.maximum}`);
    return value;
  };
}

/**
 * @param {Schema} schema @param {string} name @param {unknown} value
 * @returns {Field}
 */
function switchField(schema, name, value) {
  const before = Boolean(value ?? schema.default);
  const id = unique('field');
  const hint = unique('hint');
  const input = el('input', { type: 'checkbox', id, checked: before, 'aria-describedby': schema.description && hint });
  return {
    node: el('div', { class: 'field switch' }, el('label', { for: id }, input, name), schema.description && el('p', { class: 'hint', id: hint }, prose(schema.description))),
    read: () => (input.checked === Boolean(schema.default) ? undefined : input.checked),
  };
}

/**
 * @param {Schema} schema @param {string} name @param {boolean} required
 * @param {Array<{value: unknown, text: string}>} choices
 * @param {unknown} value
 * @returns {Field}
 */
function choiceField(schema, name, required, choices, value) {
  const fallback = schema.default === null || schema.default === undefined ? 'not set' : `default: ${schema.default}`;
  const select = el('select', { required },
    el('option', { value: '' }, required ? 'Choose…' : fallback),
    choices.map((choice, at) => el('option', { value: at, selected: value !== undefined && choice.value === value }, choice.text)));
  return { node: labelled(schema, name, required, select), read: () => (select.value === '' ? undefined : choices[Number(select.value)]?.value) };
}

/**
 * @param {Schema} outer @param {Schema} schema @param {string} name @param {unknown} value
 * @returns {Field}
 */
function listField(outer, schema, name, value) {
  /** @type {Map<HTMLElement, Field>} */
  const rows = new Map();
  const list = el('div', { class: 'rows' });
  const add = (/** @type {unknown} */ item = undefined) => {
    const field = fieldFor(schema.items ?? {}, `${name} ${rows.size + 1}`, false, item);
    const row = el('div', { class: 'row' }, field.node,
      el('button', { type: 'button', class: 'icon-only', 'aria-label': `Remove ${name} ${rows.size + 1}`, onclick: () => { rows.delete(row); row.remove(); more.focus(); } }, icon('cross')));
    rows.set(row, field);
    list.append(row);
    return row;
  };
  const more = el('button', { type: 'button', class: 'small', onclick: () => /** @type {HTMLElement | null} */ (add().querySelector('input, select, textarea'))?.focus() }, icon('plus'), `Add ${name}`);
  for (const item of Array.isArray(value) ? value : []) add(item);
  return {
    node: el('fieldset', { class: 'field' }, el('legend', {}, name), outer.description && el('p', { class: 'hint' }, prose(outer.description)), list, more),
    read: () => {
      const values = [...rows.values()].map((field) => field.read()).filter((item) => item !== undefined);
      return values.length ? values : undefined;
    },
  };
}

/**
 * @param {Schema} outer @param {Schema} schema @param {string} name @param {boolean} required @param {unknown} value
 * @returns {Field}
 */
function groupField(outer, schema, name, required, value) {
  const inner = objectField(schema, /** @type {Record<string, unknown>} */ (value ?? {}));
  return {
    node: el('fieldset', { class: 'field' }, el('legend', {}, name), outer.description && el('p', { class: 'hint' }, prose(outer.description)), inner.node),
    read: () => {
      const read = /** @type {Record<string, unknown>} */ (inner.read());
      return required || Object.keys(read).length ? read : undefined;
    },
  };
}

/**
 * @param {Schema} schema @param {string} name @param {boolean} required @param {unknown} value
 * @returns {Field}
 */
function jsonField(schema, name, required, value) {
  const area = el('textarea', { rows: 4, class: 'mono', spellcheck: 'false', required, placeholder: schema.type === 'object' ? '{}' : 'JSON' });
  area.value = value === undefined ? '' : JSON.stringify(value, null, 2);
  return {
    node: labelled(schema, name, required, area),
    read: () => {
      if (!area.value.trim()) return undefined;
      try {
        return JSON.parse(area.value);
      } catch (error) {
        throw new Unreadable(area, `JSON: ${/** @type {Error} */ (error).message}`);
      }
    },
  };
}

/**
 * Says at the field what is wrong, or takes that away.
 * @param {HTMLElement} form
 * @param {Unreadable | null} wrong
 */
export function mark(form, wrong) {
  for (const old of form.querySelectorAll('.wrong')) old.remove();
  for (const old of form.querySelectorAll('[aria-invalid]')) old.removeAttribute('aria-invalid');
  if (!wrong) return;
  const place = el('p', { class: 'wrong', role: 'alert' });
  fill(place, `Give ${wrong.message}.`);
  wrong.field.setAttribute('aria-invalid', 'true');
  wrong.field.after(place);
  wrong.field.focus();
}
