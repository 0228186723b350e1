/** What the page knows: the session, the connection, the conversation, and the live topics. One for the page. */
import { ask, renew, toLogin } from './api.js';
import { Conversation } from './conversation.js';
import { moment } from './format.js';

/** How long a connection may be silent before it is taken for dead; the server pings every 20 s, and so do we. */
const SILENCE_MS = 45_000;
const PING_MS = 20_000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
/** Before the session's end. */
const RENEW_MS = 60_000;
const PAGE_OF_HISTORY = 100;

/** Told as events: `connection`, `item` (one changed), `items` (all did), `topic`, `window`, `session`. */
class Store extends EventTarget {
  /** @type {Session | null} */
  session = null;
  /** @type {'connecting' | 'open' | 'waiting'} */
  connection = 'connecting';
  /** When the next attempt is made, in milliseconds since 1970. */
  retryAt = 0;
  conversation = new Conversation();
  /** Whether there is history before what is shown. */
  earlier = false;
  /** @type {Record<string, any>} */
  topics = {};
  /** @type {{until: number, run?: string} | null} A run that is undone unless it is confirmed. */
  window = null;
  version = '';

  /** @type {WebSocket | null} */
  #socket = null;
  #wait = FIRST_WAIT_MS;
  /** Whether the server has said what it goes on from. */
  #greeted = false;
  #heard = 0;
  /** @type {number | undefined} */
  #retry;
  /** @type {number | undefined} */
  #renewal;
  /** @type {Map<string, string>} Messages that the server has not told back. */
  #outbox = new Map();
  /** @type {string[]} */
  #watched = [];
  /** The conversation's own name: a server whose history is another one has another. */
  #id = '';

  /**
   * @param {string} type
   * @param {(event: CustomEvent) => void} listener
   * @param {AbortSignal} signal
   */
  on(type, listener, signal) {
    this.addEventListener(type, /** @type {EventListener} */ (listener), { signal });
  }

  /** Begins: who is it, and then the connection. */
  async start() {
    try {
      this.#know(await ask('/api/session'));
    } catch (error) {
      if (/** @type {any} */ (error).status === 401) return;
    }
    setInterval(() => this.#beat(), PING_MS);
    addEventListener('online', () => this.reconnect());
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden && this.connection === 'waiting') this.reconnect();
    });
    this.#connect();
  }

  /** Tries again now. */
  reconnect() {
    if (this.connection === 'open') return;
    clearTimeout(this.#retry);
    this.#wait = FIRST_WAIT_MS;
    this.#connect();
  }

  /**
   * Says something. It is kept until the server has told it back, and sent again after a lost connection.
   * @param {string} content
   */
  say(content) {
    const id = crypto.randomUUID();
    this.#outbox.set(id, content);
    this.#tell('item', this.conversation.sent(id, content));
    this.send({ type: 'message', id, content });
  }

  /**
   * Sends a frame, if there is a connection; says whether.
   * @param {Record<string, unknown>} frame
   */
  send(frame) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  /** @param {string[]} topics replaces what was watched */
  watch(topics) {
    if (topics.join() === this.#watched.join()) return;
    this.#watched = topics;
    this.send({ type: 'watch', topics });
  }

  /** Reads what was said before. */
  async readEarlier() {
    const before = this.conversation.first;
    const asked = new URLSearchParams({ limit: String(PAGE_OF_HISTORY) });
    if (before !== undefined) asked.set('before', String(before));
    const answer = await ask(`/api/history?${asked}`);
    this.conversation.takeEarlier(answer.events);
    this.earlier = answer.more ?? false;
    this.#tell('items');
  }

  async leave() {
    await ask('/api/session', { method: 'DELETE' }).catch(() => null);
    toLogin();
  }

  /** @param {Session} session */
  #know(session) {
    this.session = session;
    clearTimeout(this.#renewal);
    const end = moment(session.expires);
    if (end) {
      this.#renewal = setTimeout(() => void this.#renew(), Math.max(end.getTime() - Date.now() - RENEW_MS, 1000));
    }
    this.#tell('session');
  }

  /** Renews the session. Only a clear no leads to the login page; a server that is away does not. */
  async #renew() {
    try {
      const session = await renew();
      if (!session) return toLogin();
      this.#know(session);
    } catch {
      // The connection's own attempts find out when the server is back.
    }
  }

  #connect() {
    this.#socket?.close();
    this.#set('connecting');
    const { last } = this.conversation;
    const address = new URL('ws', document.baseURI);
    address.protocol = address.protocol.replace('http', 'ws');
    if (last) {
      address.searchParams.set('after', String(last));
      address.searchParams.set('conversation', this.#id);
    }
    const socket = new WebSocket(address);
    this.#socket = socket;
    this.#greeted = false;
    socket.onmessage = ({ data }) => this.#hear(data);
    socket.onclose = ({ code }) => {
      if (this.#socket === socket) void this.#closed(code);
    };
  }

  /** @param {number} code why it was closed (RFC 6455 §7.4, and 4401 of ours) */
  async #closed(code) {
    this.#socket = null;
    // A server that refuses the upgrade does not say why; the session's address does.
    if (code === 4401 || !this.#greeted) await this.#renewIfEnded();
    const soon = code === 4401 || code === 1013;
    const wait = soon ? FIRST_WAIT_MS : this.#wait;
    this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT_MS);
    this.retryAt = Date.now() + wait;
    this.#retry = setTimeout(() => this.#connect(), wait);
    this.#set('waiting');
  }

  async #renewIfEnded() {
    try {
      // Asking renews a session that has run out, and leads to the login page where there is none.
      this.#know(await ask('/api/session'));
    } catch {
      // Away: the next attempt will see.
    }
  }

  #beat() {
    if (this.connection !== 'open') return;
    if (Date.now() - this.#heard > SILENCE_MS) this.#socket?.close();
    else this.send({ type: 'ping' });
  }

  /** @param {string} data */
  #hear(data) {
    this.#heard = Date.now();
    /** @type {ServerEvent} */
    const event = JSON.parse(data);
    switch (event.type) {
      case 'hello': return void this.#greet(event);
      case 'pong': return;
      case 'state':
        this.topics[event.topic ?? ''] = event.value;
        return this.#tell('topic', event.topic);
      case 'window':
        this.conversation.take(event);
        return this.#open(event);
      default: {
        if (event.type === 'user') this.#outbox.delete(event.id ?? '');
        if (event.type === 'error') this.#outbox.delete(event.in_reply_to ?? '');
        const item = this.conversation.take(event);
        if (item) this.#tell('item', item);
      }
    }
  }

  /** @param {ServerEvent} hello */
  async #greet(hello) {
    this.#greeted = true;
    this.#wait = FIRST_WAIT_MS;
    this.version = hello.version ?? '';
    this.#id = hello.conversation ?? '';
    this.#open(hello.window ?? { decision: 'none' });
    this.#set('open');
    if (this.#watched.length) this.send({ type: 'watch', topics: this.#watched });
    for (const [id, content] of this.#outbox) this.send({ type: 'message', id, content });
    if (!hello.resumed) {
      // What we have may have a gap, or be of a server that has forgotten: its history is what counts.
      this.conversation.clear();
      for (const [id, content] of this.#outbox) this.conversation.sent(id, content);
      await this.readEarlier().catch((error) => this.#tell('failed', error));
    }
  }

  /** @param {Partial<ServerEvent>} told */
  #open(told) {
    const seconds = told.decision ? undefined : told.seconds_left;
    // One that comes again after a lost connection may be long over.
    const since = told.timestamp ? Math.max(0, Date.now() - Date.parse(told.timestamp)) : 0;
    const left = (seconds ?? 0) * 1000 - since;
    this.window = left > 0 ? { until: Date.now() + left, ...(told.run && { run: told.run }) } : null;
    this.#tell('window', told.decision);
  }

  /** @param {Store['connection']} connection */
  #set(connection) {
    this.connection = connection;
    this.#tell('connection');
  }

  /**
   * @param {string} type
   * @param {unknown} [detail]
   */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

export const store = new Store();
