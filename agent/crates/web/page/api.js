/** The daemon by way of REST. A session that ran out is renewed once; one that is gone leads to the login page. */

/** What the server said against it, in its words. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} code
   * @param {string} message
   * @param {Record<string, any>} details
   */
  constructor(status, code, message, details) {
    super(message);
    this.status = status;
    this.code = code;
    this.details = details;
  }
}

/** @type {Promise<Session | null> | null} */
let renewing = null;

/**
 * Renews the session; `null` where there is none to renew. Calls at the same time share one renewal.
 * @returns {Promise<Session | null>}
 */
export function renew() {
  renewing ??= send('/api/session', 'POST', {})
    .then((response) => (response.ok ? response.json() : null))
    .finally(() => { renewing = null; });
  return /** @type {Promise<Session | null>} */ (renewing);
}

/** Goes to the login page, and comes back to this view afterwards. */
export function toLogin() {
  sessionStorage.setItem('next', location.hash);
  location.replace('login.html');
}

/**
 * @param {string} path
 * @param {{method?: string, body?: unknown, signal?: AbortSignal}} [options]
 * @returns {Promise<any>}
 */
export async function ask(path, { method = 'GET', body, signal } = {}) {
  let response = await send(path, method, body, signal);
  if (response.status === 401) {
    if (!await renew()) {
      toLogin();
      throw new ApiError(401, 'unauthenticated', 'The session has ended: log in again.', {});
    }
    response = await send(path, method, body, signal);
  }
  if (response.status === 204) return null;
  const answer = await response.json().catch(() => null);
  if (!response.ok) {
    const error = answer?.error ?? {};
    throw new ApiError(response.status, error.code ?? 'failed', error.message ?? `The server answered ${response.status}.`, error);
  }
  return answer;
}

/**
 * @param {string} path
 * @param {string} method
 * @param {unknown} body
 * @param {AbortSignal} [signal]
 */
async function send(path, method, body, signal) {
  /** @type {RequestInit} */
  const request = { method, credentials: 'same-origin', cache: 'no-store', headers: { Accept: 'application/json' } };
  if (signal) request.signal = signal;
  if (body !== undefined) {
    request.headers = { ...request.headers, 'Content-Type': 'application/json' };
    request.body = JSON.stringify(body);
  }
  try {
    return await fetch(path, request);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, 'offline', 'The server cannot be reached. Is op-dbus web running, and this machine connected?', {});
  }
}

/**
 * @param {string} name
 * @param {Record<string, unknown>} given
 * @param {{dry_run?: boolean, plan?: string, signal?: AbortSignal}} [options]
 */
export function callTool(name, given, { dry_run, plan, signal } = {}) {
  /** @type {Record<string, unknown>} */
  const body = { arguments: given };
  if (dry_run) body.dry_run = true;
  if (plan) body.plan = plan;
  return ask(`/api/tools/${encodeURIComponent(name)}`, { method: 'POST', body, ...(signal && { signal }) });
}

/** @type {Promise<Tool[]> | null} */
let listed = null;

/**
 * The tools, asked for once.
 * @returns {Promise<Tool[]>}
 */
export function tools() {
  listed ??= ask('/api/tools').then((answer) => answer.tools).catch((error) => {
    listed = null;
    throw error;
  });
  return /** @type {Promise<Tool[]>} */ (listed);
}
