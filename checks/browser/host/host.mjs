/** The demo's host, on which the page is tried: its login links, its program, and restarts of what runs. */
import { execFileSync, spawn } from 'node:child_process';
import { chownSync, existsSync, openSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

/** The demo's programs by the names of their pid files. */
const DAEMON = 'op-dbusd';
const WEB = 'op-dbus-web';
const LONGEST_MS = 15_000;

export class Host {
  /** @param {string | undefined} base where the demo is; checks/browser/demo.sh says it */
  constructor(base = process.env.DEMO_BASE) {
    if (!base) throw new Error('DEMO_BASE is not set: run this by scripts/browser.sh');
    this.base = base;
    this.program = readlinkSync(`/proc/${this.#pid(DAEMON)}/exe`);
    this.url = `http://127.0.0.1:${readFileSync(this.#of(WEB, 'port'), 'utf8').trim()}/`;
  }

  /** What the program of the demo prints. @param {string[]} words */
  agent(...words) {
    return execFileSync(this.program, ['--yes', '--file', join(this.base, 'demo.yaml'), ...words], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  }

  /** A link that logs in once. @param {'viewer' | 'operator' | 'admin'} [role] */
  link(role = 'admin') {
    return JSON.parse(this.agent('--json', 'web', 'login', '--role', role)).url;
  }

  /** Makes a container that is not declared, so that the daemon leaves it as it is. @param {string} name */
  make(name) {
    this.agent('container', 'create', name, '--template', 'busybox');
  }

  /** @param {string} name of a container that is not declared; it may be gone already */
  remove(name) {
    if (existsSync(join(this.base, 'base/@containers', name))) this.agent('container', 'destroy', name);
  }

  /** The names of the containers that run, asked of LXC itself. */
  running() {
    return execFileSync('lxc-ls', ['--lxcpath', join(this.base, 'base/@containers'), '--running', '-1'], { encoding: 'utf8' }).split('\n').filter(Boolean);
  }

  /** Writes into the journal, as of a container's unit. @param {string} container @param {string} line */
  log(container, line) {
    const input = `MESSAGE=${line}\nSYSLOG_IDENTIFIER=lxc\nOBJECT_SYSTEMD_UNIT=op-dbus-container@${container}.service\n`;
    execFileSync('logger', ['--journald'], { input });
    return until(() => {
      if (!execFileSync('journalctl', ['--quiet', '--output=cat'], { encoding: 'utf8' }).includes(line)) throw new Error(`the journal does not have ${line}`);
    });
  }

  stopDaemon() {
    return this.#stop(DAEMON);
  }

  /** Its socket is given to the web server, as `demo/up.sh` gives it. */
  async startDaemon(words) {
    this.#start(DAEMON, words);
    await until(() => chownSync(join(this.base, 'ovs/jsonrpc.sock'), 0, Number(userOf(this.#pid(WEB)).gid)));
    await until(() => this.agent('--json', 'status'));
  }

  stopWeb() {
    return this.#stop(WEB);
  }

  /** As `demo/up.sh` starts it: as a user without rights. */
  async startWeb(words) {
    const { uid, gid } = this.user;
    this.#start(WEB, ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--no-new-privs', ...words]);
    await until(() => fetch(`${this.url}healthz`));
  }

  /** Ends a program as a service manager does, and gives the words that start it again. */
  async #stop(name) {
    const pid = this.#pid(name);
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
    if (name === WEB) this.user = userOf(pid);
    process.kill(pid, 'SIGTERM');
    await until(() => { if (existsSync(`/proc/${pid}`)) throw new Error(`${name} goes on`); });
    return words;
  }

  #start(name, [program, ...words]) {
    const log = openSync(this.#of(name, 'log'), 'a');
    const child = spawn(program, words, { detached: true, stdio: ['ignore', log, log] });
    child.unref();
    writeFileSync(this.#of(name, 'pid'), `${child.pid}\n`);
  }

  #pid(name) {
    return Number(readFileSync(this.#of(name, 'pid'), 'utf8'));
  }

  #of(name, kind) {
    return join(this.base, 'ovs', `${name}.${kind}`);
  }
}

/** @param {number} pid */
function userOf(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const id = (key) => status.match(new RegExp(`^${key}:\\s+(\\d+)`, 'm'))?.[1];
  return { uid: id('Uid'), gid: id('Gid') };
}

/** Waits until something can be done, and gives what it gave. */
async function until(what) {
  const end = Date.now() + LONGEST_MS;
  for (;;) {
    try {
      return await what();
    } catch (error) {
      if (Date.now() > end) throw error;
    }
    await pause(50);
  }
}
