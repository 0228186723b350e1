/** The conversation as it is shown: events of the server become items, each of which may change later. */

/** Puts events together: a call's end to its beginning, a decision to its plan, pieces to their answer. */
export class Conversation {
  constructor() {
    /** @type {Item[]} In the order of their first event. */
    this.items = [];
    /** @type {Map<string, Item>} */
    this.byKey = new Map();
    /** @type {Map<number, ServerEvent>} What was told, by its number. */
    this.told = new Map();
    /** The number of the last event, from which a connection goes on. */
    this.last = 0;
  }

  /**
   * Takes an event in, and gives the item that is new or changed; `null` if it says nothing new.
   * @param {ServerEvent} event
   * @returns {Item | null}
   */
  take(event) {
    if (event.seq !== undefined) {
      if (this.told.has(event.seq)) return null;
      this.told.set(event.seq, event);
      this.last = Math.max(this.last, event.seq);
    }
    return this.#place(event);
  }

  /**
   * Takes in what was before, and puts all items together anew.
   * @param {ServerEvent[]} events
   */
  takeEarlier(events) {
    for (const event of events) if (event.seq !== undefined) this.told.set(event.seq, event);
    const passing = this.items.filter((item) => item.kind === 'stream' || item.pending);
    this.items = [];
    this.byKey.clear();
    for (const seq of [...this.told.keys()].sort((a, b) => a - b)) {
      this.last = Math.max(this.last, seq);
      this.#place(/** @type {ServerEvent} */ (this.told.get(seq)));
    }
    for (const item of passing) if (!this.byKey.has(item.key)) this.#add(item);
  }

  /** Forgets everything, since the server's history is another one. */
  clear() {
    this.items = [];
    this.byKey.clear();
    this.told.clear();
    this.last = 0;
  }

  /**
   * A message that is on its way.
   * @param {string} id
   * @param {string} content
   */
  sent(id, content) {
    const event = { type: 'user', id, content, timestamp: new Date().toISOString(), tools_used: [] };
    return this.#add({ key: `u:${id}`, kind: 'user', event, pending: true });
  }

  /** The lowest number that is known; what is earlier has to be asked for. */
  get first() {
    return this.told.size ? Math.min(...this.told.keys()) : undefined;
  }

  /**
   * @param {ServerEvent} event
   * @returns {Item | null}
   */
  #place(event) {
    switch (event.type) {
      case 'user': return this.#set(`u:${event.id ?? event.seq}`, 'user', event);
      case 'assistant': return this.#set(`a:${event.id ?? event.seq}`, 'assistant', event);
      case 'error': return this.#set(`a:${event.id ?? event.seq ?? `e${this.items.length}`}`, 'error', event);
      case 'tool': return this.#set(`t:${event.call}`, 'tool', event);
      case 'plan': return this.#set(`p:${event.plan}`, 'plan', event);
      case 'delta': return this.#piece(event);
      case 'progress': return this.#change(`t:${event.call}`, { progress: event });
      case 'approval': return this.#change(`p:${event.plan}`, { approval: event });
      default: return null;
    }
  }

  /**
   * @param {string} key
   * @param {Item['kind']} kind
   * @param {ServerEvent} event
   */
  #set(key, kind, event) {
    const known = this.byKey.get(key);
    if (!known) return this.#add({ key, kind, event });
    known.kind = kind;
    known.event = { ...known.event, ...event };
    known.pending = false;
    return known;
  }

  /** @param {ServerEvent} event */
  #piece(event) {
    const key = `a:${event.message}`;
    const known = this.byKey.get(key);
    if (!known) return this.#add({ key, kind: 'stream', event: { ...event, content: event.content } });
    if (known.kind !== 'stream') return null;
    known.event.content += event.content;
    return known;
  }

  /**
   * @param {string} key
   * @param {Partial<Item>} what
   */
  #change(key, what) {
    const known = this.byKey.get(key);
    return known ? Object.assign(known, what) : null;
  }

  /** @param {Item} item */
  #add(item) {
    this.items.push(item);
    this.byKey.set(item.key, item);
    return item;
  }
}
