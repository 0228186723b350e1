/**
 * A server that speaks the contract of the page with a made-up host, so that the page can be tried without the daemon:
 *
 *   node fixture.mjs [PORT]
 */
import { createServer } from 'node:http';
import { pathToFileURL } from 'node:url';
import { WebSocketServer } from 'ws';
import { serveFile } from './fixture/files.mjs';
import { rest } from './fixture/rest.mjs';
import { answer, decide, stop } from './fixture/talk.mjs';
import { World } from './fixture/world.mjs';

export class Fixture {
  /** @param {{hostile?: boolean, role?: string, loggedIn?: boolean, stepMs?: number}} [options] */
  constructor({ hostile = false, role = 'admin', loggedIn = true, stepMs = 120 } = {}) {
    this.world = new World({ hostile });
    this.role = role;
    this.loggedIn = loggedIn;
    this.stepMs = stepMs;
    this.stalePlans = 0;
    /** The plan of the declaration, if it is another than usual. */
    this.plan = undefined;
    /** What was told, in order; the place is `seq` less one. */
    this.told = [];
    this.plans = new Map();
    this.running = new Map();
    /** Every frame that came, for tests. */
    this.frames = [];
    this.seen = new Set();
    this.conversation = 'c1';
    this.sockets = new Map();
    this.refuses = false;
    this.window = null;
    this.tell = this.tell.bind(this);
    this.pass = this.pass.bind(this);
    this.later = this.later.bind(this);
    this.timers = new Set();
  }

  async start(port = 0) {
    this.http = createServer((request, response) => void this.#request(request, response));
    this.ws = new WebSocketServer({ noServer: true, maxPayload: 65_536 });
    this.http.on('upgrade', (request, socket, head) => {
      if (this.refuses || !this.loggedIn || !request.url.startsWith('/ws')) return socket.destroy();
      this.ws.handleUpgrade(request, socket, head, (client) => this.#greet(client, new URL(request.url, 'http://x')));
    });
    await new Promise((ready) => this.http.listen(port, '127.0.0.1', ready));
    this.url = `http://127.0.0.1:${this.http.address().port}/`;
    return this;
  }

  async stop() {
    for (const timer of this.timers) clearTimeout(timer);
    this.drop();
    this.http.closeAllConnections();
    await new Promise((done) => this.http.close(done));
  }

  /** Ends all connections; with `refuse`, no new ones until `accept`. */
  drop({ refuse = false, code } = {}) {
    this.refuses = refuse;
    for (const client of this.sockets.keys()) code ? client.close(code) : client.terminate();
  }

  accept() {
    this.refuses = false;
  }

  session() {
    return { user: 'anna', role: this.role, session: 's1', expires: Math.floor(Date.now() / 1000) + 600 };
  }

  logIn({ code, token }) {
    if (code !== 'GOOD' && token !== 'opdbus_good') return [401, { error: { code: 'unauthenticated', message: 'the code is not known' } }];
    this.loggedIn = true;
    return [200, this.session()];
  }

  history(before, limit) {
    const earlier = this.told.filter(({ seq }) => seq < before);
    return { events: earlier.slice(-limit), more: earlier.length > limit };
  }

  /** Tells all browsers, and keeps it. */
  tell(event) {
    const whole = { content: '', timestamp: new Date().toISOString(), tools_used: [], ...event, seq: this.told.length + 1 };
    this.told.push(whole);
    this.#send(whole);
  }

  /** Tells all browsers what is not kept. */
  pass(event) {
    this.#send({ content: '', timestamp: new Date().toISOString(), tools_used: [], ...event });
  }

  later(ms, what) {
    const timer = setTimeout(() => { this.timers.delete(timer); what(); }, ms);
    this.timers.add(timer);
  }

  openWindow(seconds) {
    this.window = { seconds_left: seconds, run: '20261121-120000-3f9a1c' };
    this.pass({ type: 'window', ...this.window });
  }

  /** Does what a tool does, and writes it down. */
  carryOut(tool, given) {
    const { world } = this;
    const container = world.containers.find(({ name }) => name === given.name);
    if (tool === 'container_create' && !container) world.containers.push({ name: given.name, state: 'running', network: given.network ?? 'socket', addresses: ['10.0.0.14/24'], template: given.template, memory: 2 * 1024 ** 3, declared: false, made_by: 'command' });
    if (tool === 'container_destroy') world.containers = world.containers.filter((each) => each !== container);
    if (container && ['container_start', 'container_restart'].includes(tool)) container.state = 'running';
    if (container && tool === 'container_stop') container.state = 'stopped';
    const entry = world.ledger.add(tool, given.name ?? '', { actor: { uid: 1000, name: 'anna', door: 'web' }, effect: tool.includes('destroy') ? 'destroy' : 'write', outcome: 'done', arguments: given, duration_ms: 840 });
    for (const [client, topics] of this.sockets) this.#topics(client, topics);
    return entry;
  }

  async #request(request, response) {
    const url = new URL(request.url, 'http://x');
    if (!url.pathname.startsWith('/api/')) {
      if (!await serveFile(url.pathname, response)) response.writeHead(404).end();
      return;
    }
    let body = '';
    for await (const piece of request) body += piece;
    const open = url.pathname === '/api/login';
    const [status, answered] = this.loggedIn || open ? await rest(this, request.method, url, body ? JSON.parse(body) : {}) : [401, { error: { code: 'unauthenticated', message: 'log in first' } }];
    response.writeHead(status, { 'Content-Type': 'application/json' });
    response.end(answered === null ? '' : JSON.stringify(answered));
  }

  #greet(client, url) {
    const after = Number(url.searchParams.get('after') ?? NaN);
    const resumed = after <= this.told.length && url.searchParams.get('conversation') === this.conversation;
    this.sockets.set(client, []);
    client.on('close', () => this.sockets.delete(client));
    client.on('message', (data) => this.#hear(client, String(data)));
    const hello = { type: 'hello', content: '', timestamp: new Date().toISOString(), tools_used: [], conversation: this.conversation, user: 'anna', role: this.role, version: '0.1.0', next_seq: this.told.length + 1, resumed, ...(this.window && { window: this.window }) };
    client.send(JSON.stringify(hello));
    if (resumed) for (const event of this.told.slice(after)) client.send(JSON.stringify(event));
  }

  #hear(client, data) {
    const frame = data.startsWith('{') ? JSON.parse(data) : { type: 'message', id: `plain-${this.frames.length}`, content: data };
    this.frames.push(frame);
    switch (frame.type) {
      case 'message':
        if (this.seen.has(frame.id)) return;
        this.seen.add(frame.id);
        this.tell({ type: 'user', id: frame.id, content: frame.content });
        return answer(this, frame.content, frame.id);
      case 'approve': case 'cancel': return decide(this, frame);
      case 'stop': return stop(this, frame.call);
      case 'watch': this.sockets.set(client, frame.topics); return this.#topics(client, frame.topics);
      case 'confirm': this.window = null; return this.pass({ type: 'window', decision: 'confirmed' });
      default: client.send(JSON.stringify({ type: 'pong', content: '', timestamp: new Date().toISOString(), tools_used: [] }));
    }
  }

  #topics(client, topics) {
    for (const topic of topics) client.send(JSON.stringify({ type: 'state', content: '', timestamp: new Date().toISOString(), tools_used: [], topic, value: this.world.topic(topic) }));
  }

  #send(event) {
    for (const client of this.sockets.keys()) client.send(JSON.stringify(event));
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const fixture = await new Fixture().start(Number(process.argv[2] ?? 8099));
  console.log(fixture.url);
}
