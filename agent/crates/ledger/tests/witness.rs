//! Another language, another SQLite and another JSON find the same hashes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use ledger::Ledger;
use support::*;

/// What the documentation says of the hash, in Python: for keys of ASCII and whole numbers its
/// compact sorted JSON is RFC 8785.
const PROGRAM: &str = r#"
import hashlib, json, sqlite3, sys
previous = None
rows = sqlite3.connect(sys.argv[1]).execute(
    "SELECT id, timestamp, operation, target, metadata, previous_hash, current_hash FROM operations ORDER BY id")
for place, (id, timestamp, operation, target, metadata, before, current) in enumerate(rows):
    assert id == place and before == previous, id
    previous = current
    record = dict(id=id, timestamp=timestamp, operation=operation, target=target,
                  metadata=json.loads(metadata), previous_hash=before)
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    found = hashlib.sha256(text.encode()).hexdigest()
    assert current == (found if id else "0" * 64), id
    if id == 0: genesis = found
    if id == 1: assert json.loads(metadata)["genesis_hash"] == genesis
print(place, previous)
"#;

#[test]
fn python_finds_the_same_hashes() {
    if !lab::has("python3") {
        return lab::skip("needs python3");
    }
    let (_dir, path) = filled(300);
    let ledger = Ledger::open(&path).unwrap();
    ledger
        .append(&new(
            "quo\"te",
            "t\u{e9}\u{1f600}\\ \u{1}\n",
            serde_json::json!({ "ü": "\u{7f}\t" }),
        ))
        .unwrap();
    let head = ledger.head().unwrap();
    let said = lab::run("python3", &["-c", PROGRAM, path.to_str().unwrap()]);
    assert_eq!(said.trim(), format!("{} {}", head.id, head.hash));
}
