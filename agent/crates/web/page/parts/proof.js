/**
 * Checks a ledger proof in the browser, without asking the host to vouch for itself: C2SP `tlog-proof`,
 * RFC 6962 §2.1 hashes, and the signed note's Ed25519 signature.
 */

/** @typedef {{holds: boolean, entry: any, index: number, size: number, root: string, signed: 'yes' | 'no' | 'unchecked', why: string}} Checked */

/**
 * @param {string} text the proof
 * @param {string | null} key the ledger's public key, as `ledger_checkpoint` gives it
 * @returns {Promise<Checked>}
 */
export async function check(text, key) {
  const at = text.indexOf('\n\n');
  const lines = text.slice(0, at).split('\n');
  const note = text.slice(at + 2);
  if (at < 0 || lines.shift() !== 'c2sp.org/tlog-proof@v1') throw new Error('This is no proof of the form c2sp.org/tlog-proof@v1.');
  const extra = lines[0]?.startsWith('extra ') ? bytesOf(/** @type {string} */ (lines.shift()).slice(6)) : null;
  const index = Number(lines.shift()?.replace(/^index /, ''));
  const [, sizeText = '', root = ''] = note.split('\n');
  const size = Number(sizeText);
  if (!extra || !Number.isSafeInteger(index) || !Number.isSafeInteger(size)) throw new Error('The proof has no entry, position or size.');
  const leaf = await hash([0], extra);
  const found = await rootOf(leaf, index, size, lines.map(bytesOf));
  const holds = found !== null && base64(found) === root;
  const signed = await signature(note, key);
  return {
    holds, index, size, root, signed, entry: JSON.parse(new TextDecoder().decode(extra)),
    why: holds ? 'The entry and the path give the root that was signed.' : 'The entry and the path do not give the root that was signed.',
  };
}

/**
 * The root that a leaf and its path give (RFC 9162 §2.1.3.2).
 * @param {Uint8Array<ArrayBuffer>} leaf @param {number} index @param {number} size @param {Uint8Array<ArrayBuffer>[]} path
 */
async function rootOf(leaf, index, size, path) {
  if (index >= size) return null;
  let [node, last, sum] = [index, size - 1, leaf];
  for (const sibling of path) {
    if (last === 0) return null;
    if (node % 2 === 1 || node === last) {
      sum = await hash([1], sibling, sum);
      while (node % 2 === 0 && node !== 0) [node, last] = [Math.floor(node / 2), Math.floor(last / 2)];
    } else {
      sum = await hash([1], sum, sibling);
    }
    [node, last] = [Math.floor(node / 2), Math.floor(last / 2)];
  }
  return last === 0 ? sum : null;
}

/**
 * Whether the ledger's key signed the note; `unchecked` where this browser has no Ed25519 or there is no key.
 * @param {string} note @param {string | null} key `name+hash+base64`
 * @returns {Promise<'yes' | 'no' | 'unchecked'>}
 */
async function signature(note, key) {
  if (!key) return 'unchecked';
  const name = key.slice(0, key.indexOf('+'));
  const raw = bytesOf(key.slice(key.indexOf('+', name.length + 1) + 1));
  const end = note.indexOf('\n\n') + 1;
  const line = note.slice(end).split('\n').find((each) => each.startsWith(`— ${name} `));
  if (raw[0] !== 1 || !line) return 'no';
  try {
    const imported = await crypto.subtle.importKey('raw', raw.slice(1), 'Ed25519', false, ['verify']);
    const signed = bytesOf(line.slice(name.length + 3)).slice(4);
    return await crypto.subtle.verify('Ed25519', imported, signed, new TextEncoder().encode(note.slice(0, end))) ? 'yes' : 'no';
  } catch {
    return 'unchecked';
  }
}

/** @param {number[]} prefix @param {...Uint8Array<ArrayBuffer>} parts */
async function hash(prefix, ...parts) {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', await new Blob([Uint8Array.from(prefix), ...parts]).arrayBuffer()));
}

/** @param {string} text Base64 */
function bytesOf(text) {
  return Uint8Array.from(atob(text.trim()), (each) => each.charCodeAt(0));
}

/** @param {Uint8Array} bytes */
function base64(bytes) {
  return btoa(String.fromCharCode(...bytes));
}
