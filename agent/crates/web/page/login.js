/** The login page: a one-time code from the address' fragment, or a token that is typed. */

const form = /** @type {HTMLFormElement} */ (document.getElementById('form'));
const token = /** @type {HTMLInputElement} */ (document.getElementById('token'));
const wrong = /** @type {HTMLElement} */ (document.getElementById('wrong'));
const text = /** @type {HTMLElement} */ (document.getElementById('text'));

/** @type {Record<string, string>} */
const REMEDIES = {
  unauthenticated: 'The code or token is not known. Codes are valid for five minutes and once: run “op-dbus web login” again.',
  'rate-limited': 'There were too many wrong attempts. Wait a minute, then try again.',
};

/** @param {Record<string, string>} credential */
async function logIn(credential) {
  wrong.replaceChildren();
  form.inert = true;
  try {
    const response = await fetch('api/login', {
      method: 'POST', credentials: 'same-origin', headers: { 'Content-Type': 'application/json', Accept: 'application/json' }, body: JSON.stringify(credential),
    });
    if (response.ok) return goOn();
    const { error = {} } = await response.json().catch(() => ({}));
    say(REMEDIES[error.code] ?? error.message ?? `The server answered ${response.status}.`);
  } catch {
    say('The server cannot be reached. Is op-dbus web running?');
  }
  form.inert = false;
  token.focus();
}

/** @param {string} what */
function say(what) {
  const line = document.createElement('p');
  line.className = 'problem';
  line.textContent = what;
  wrong.replaceChildren(line);
}

/** To the view that one came from. Only a fragment of this page is ever gone to. */
function goOn() {
  const next = sessionStorage.getItem('next') ?? '';
  sessionStorage.removeItem('next');
  location.replace(`chat.html${next.startsWith('#/') ? next : ''}`);
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  const given = token.value.trim();
  token.value = '';
  if (given) void logIn(given.startsWith('opdbus_') ? { token: given } : { code: given });
});

/** Who is logged in here already, if anybody. */
async function before() {
  const response = await fetch('api/session', { credentials: 'same-origin', headers: { Accept: 'application/json' } }).catch(() => null);
  return response?.ok ? response.json() : null;
}

/** @param {string} code */
async function useLink(code) {
  const usual = text.textContent;
  text.textContent = 'Logging in…';
  const session = await before();
  if (session) {
    // Somebody else's link must not put who is logged in into that other conversation unasked.
    text.textContent = `You are logged in as ${session.user} (${session.role}). Press the button to log in by this link instead.`;
    token.value = code;
    token.focus();
    return;
  }
  await logIn({ code });
  text.textContent = usual;
}

const code = location.hash.slice(1);
if (code) {
  // The code is not to stay in the history, nor to be copied with the address.
  history.replaceState(null, '', location.pathname);
  void useLink(code);
}
