//! Making and opening a ledger, and refusing what is none.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use ledger::{Error, Hash, Head, Ledger};
use rusqlite::Connection;
use serde_json::json;
use support::*;

#[test]
fn a_new_ledger_has_the_table_and_the_genesis_row() {
    let (_dir, path) = place();
    let ledger = Ledger::open(&path).unwrap();
    assert_eq!(
        ledger.head().unwrap(),
        Head {
            id: 0,
            hash: Hash::ZERO
        }
    );
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o640
    );
    let genesis = ledger.get(0).unwrap().unwrap();
    assert_eq!(
        (genesis.operation.as_str(), genesis.target.as_str()),
        ("genesis", "system")
    );
    assert_eq!(
        (genesis.previous_hash, genesis.current_hash),
        (None, Hash::ZERO)
    );
    assert_eq!(
        genesis.metadata,
        json!({ "version": "1.0", "deployment": "operation-dbus" })
    );

    let witness = Connection::open(&path).unwrap();
    let mut select = witness
        .prepare("SELECT name, type, \"notnull\", pk FROM pragma_table_info('operations')")
        .unwrap();
    let columns: Vec<(String, String, bool, bool)> = select
        .query_map([], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let expected = [
        ("id", "INTEGER", false, true),
        ("timestamp", "INTEGER", true, false),
        ("operation", "TEXT", true, false),
        ("target", "TEXT", true, false),
        ("previous_hash", "TEXT", false, false),
        ("current_hash", "TEXT", true, false),
        ("embedding", "BLOB", false, false),
        ("metadata", "JSON", false, false),
    ];
    let columns: Vec<_> = columns
        .iter()
        .map(|(name, kind, filled, key)| (&name[..], &kind[..], *filled, *key))
        .collect();
    assert_eq!(columns, expected);
    let names =
        "SELECT group_concat(name, ' ') FROM (SELECT name FROM sqlite_schema ORDER BY rowid)";
    let names: String = witness.query_row(names, [], |row| row.get(0)).unwrap();
    assert_eq!(names, "operations idx_timestamp idx_operation idx_target");
    let mode: String = witness
        .pragma_query_value(None, "journal_mode", |row| row.get(0))
        .unwrap();
    assert_eq!(mode, "wal");
}

#[test]
fn an_empty_file_becomes_a_ledger_and_an_old_one_stays() {
    let (_dir, path) = place();
    fs::write(&path, b"").unwrap();
    let entry = Ledger::open(&path).unwrap().append(&sample(1)).unwrap();
    assert_eq!(entry.id, 1);
    let ledger = Ledger::open(&path).unwrap();
    assert_eq!(ledger.get(1).unwrap(), Some(entry));
    assert!(ledger.verify(None).unwrap().valid);
}

/// The statements of the documentation, run by another program.
const BY_HAND: &str = "
    CREATE TABLE IF NOT EXISTS operations (
        id INTEGER PRIMARY KEY,
        timestamp INTEGER NOT NULL,      -- Unix timestamp
        operation TEXT NOT NULL,         -- what
        target TEXT NOT NULL,
        previous_hash TEXT,
        current_hash TEXT NOT NULL,
        embedding BLOB,                  -- a vector
        metadata JSON
    );
    CREATE INDEX idx_timestamp ON operations(timestamp);
    CREATE INDEX idx_operation ON operations(operation);
    CREATE INDEX idx_target ON operations(target);
    INSERT INTO operations VALUES (0, strftime('%s', 'now'), 'genesis', 'system', NULL,
        '0000000000000000000000000000000000000000000000000000000000000000', NULL,
        '{\"version\": \"1.0\", \"deployment\": \"operation-dbus\"}');
";

#[test]
fn a_ledger_made_by_hand_is_taken() {
    let (_dir, path) = place();
    tamper(&path, BY_HAND);
    let ledger = Ledger::open(&path).unwrap();
    assert!(ledger.verify(None).unwrap().valid);
    ledger.append(&sample(1)).unwrap();
    assert!(ledger.verify(None).unwrap().valid);
}

/// What is wrong with a file, and how it becomes so.
type Case<'a> = (&'a str, &'a dyn Fn(&Path));

#[test]
fn what_is_no_ledger_is_refused_and_left_as_it_is() {
    let garbage =
        |path: &Path| fs::write(path, "this is no database, whatever anybody says of it").unwrap();
    let zeros = |path: &Path| fs::write(path, [0; 8192]).unwrap();
    let other = |path: &Path| {
        tamper(
            path,
            "CREATE TABLE songs(name); INSERT INTO songs VALUES ('x')",
        )
    };
    let with_trigger = |path: &Path| {
        tamper(path, BY_HAND);
        tamper(
            path,
            "CREATE TRIGGER t AFTER INSERT ON operations BEGIN DELETE FROM operations; END",
        );
    };
    let without_index = |path: &Path| {
        tamper(path, BY_HAND);
        tamper(path, "DROP INDEX idx_target");
    };
    let others: [Case; 5] = [
        ("garbage", &garbage),
        ("zeros", &zeros),
        ("another database", &other),
        ("a trigger", &with_trigger),
        ("a lost index", &without_index),
    ];
    for (what, make) in others {
        let (dir, path) = place();
        make(&path);
        assert_refused(what, dir.path(), &path, |error| {
            matches!(error, Error::Foreign { .. })
        });
    }
}

#[test]
fn a_damaged_ledger_is_refused_and_left_as_it_is() {
    let spoil = |path: &Path, at: usize, with: &[u8]| {
        let mut bytes = fs::read(path).unwrap();
        let end = (at + with.len()).min(bytes.len());
        bytes[at..end].copy_from_slice(&with[..end - at]);
        fs::write(path, bytes).unwrap();
    };
    let cut = |path: &Path, length: u64| {
        fs::File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_len(length)
            .unwrap();
    };
    let others: [Case; 6] = [
        ("a header of something else", &|path| {
            spoil(path, 0, b"not a database")
        }),
        ("garbage in a page of the table", &|path| {
            spoil(path, 4096, &[0xa5; 4096])
        }),
        ("garbage in a later page", &|path| {
            spoil(path, 5 * 4096, &[0x5a; 2000])
        }),
        ("cut to half a page", &|path| cut(path, 2000)),
        ("cut to one page", &|path| cut(path, 4096)),
        ("cut to five pages", &|path| cut(path, 5 * 4096)),
    ];
    for (what, damage) in others {
        let (dir, path) = filled(200);
        damage(&path);
        assert_refused(what, dir.path(), &path, |error| {
            matches!(error, Error::Foreign { .. } | Error::Corrupt { .. })
        });
    }
}

#[track_caller]
fn assert_refused(what: &str, dir: &Path, path: &Path, expected: impl Fn(&Error) -> bool) {
    let before = (
        fs::read(path).unwrap(),
        fs::metadata(path).unwrap().mtime_nsec(),
    );
    let error = Ledger::open(path)
        .err()
        .unwrap_or_else(|| panic!("{what}: was opened"));
    assert!(expected(&error), "{what}: {error:?}");
    let said = error.to_string();
    assert!(
        said.contains(path.to_str().unwrap()) && said.contains("move it aside"),
        "{what}: {said}"
    );
    let after = (
        fs::read(path).unwrap(),
        fs::metadata(path).unwrap().mtime_nsec(),
    );
    assert!(before == after, "{what}: the file was changed");
    let log = dir.join("blockchain.db-wal");
    assert!(
        fs::metadata(log).map_or(0, |meta| meta.len()) == 0,
        "{what}: something was written"
    );
}

#[test]
fn a_lost_file_whose_log_is_left_is_not_begun_anew() {
    let (dir, path) = place();
    let ledger = Ledger::open(&path).unwrap();
    ledger.append(&sample(1)).unwrap();
    let log = dir.path().join("blockchain.db-wal");
    let kept = dir.path().join("kept");
    fs::copy(&log, &kept).unwrap();
    drop(ledger);
    fs::remove_file(&path).unwrap();
    fs::rename(&kept, &log).unwrap();
    let error = Ledger::open(&path).unwrap_err();
    assert!(
        matches!(&error, Error::Corrupt { detail, .. } if detail.contains("-wal")),
        "{error}"
    );
    assert!(!path.exists());
}

#[test]
fn what_is_missing_is_named() {
    let (dir, path) = place();
    assert!(matches!(
        Ledger::open_read_only(&path),
        Err(Error::Missing { .. })
    ));
    assert!(!path.exists());
    let error = Ledger::open(dir.path().join("nowhere/blockchain.db")).unwrap_err();
    assert!(
        error.to_string().contains("nowhere does not exist"),
        "{error}"
    );
    assert!(matches!(
        Ledger::open(dir.path()),
        Err(Error::Foreign { .. })
    ));
    fs::write(&path, b"").unwrap();
    assert!(matches!(
        Ledger::open_read_only(&path),
        Err(Error::Foreign { .. })
    ));
    assert_eq!(fs::read(&path).unwrap(), b"");
}

#[test]
fn any_path_will_do() {
    let (dir, _) = place();
    for name in ["a b?c#d%41.db", "ä\u{1f600}.db", "-x'\";.db"] {
        let path = dir.path().join(name);
        Ledger::open(&path).unwrap().append(&sample(1)).unwrap();
        assert!(path.exists());
        let doubled = format!("/{}", path.display());
        assert_eq!(all(&Ledger::open_read_only(doubled).unwrap()).len(), 2);
    }
    std::env::set_current_dir(dir.path()).unwrap();
    assert_eq!(
        Ledger::open("near.db")
            .unwrap()
            .append(&sample(1))
            .unwrap()
            .id,
        1
    );
    assert!(dir.path().join("near.db").exists());
}

#[test]
fn a_ledger_opened_for_reading_takes_no_entries() {
    let (_dir, path) = filled(3);
    let ledger = Ledger::open_read_only(&path).unwrap();
    assert_eq!(
        ledger.append(&sample(4)),
        Err(Error::ReadOnly { path: path.clone() })
    );
    assert_eq!(ledger.head().unwrap().id, 3);
    assert!(ledger.verify(None).unwrap().valid);
}

#[test]
fn a_ledger_in_a_read_only_snapshot_can_be_read() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let btrfs = machine.btrfs(128);
    let volume = btrfs.join("@timing # 100%?");
    lab::run("btrfs", &["subvolume", "create", volume.to_str().unwrap()]);
    let ledger = Ledger::open(volume.join("blockchain.db")).unwrap();
    ledger.append_all(&[sample(1), sample(2)]).unwrap();
    assert_eq!(all(&ledger).len(), 3);
    let snapshot = |name: &str| {
        let target = btrfs.join(name);
        lab::run(
            "btrfs",
            &[
                "subvolume",
                "snapshot",
                "-r",
                volume.to_str().unwrap(),
                target.to_str().unwrap(),
            ],
        );
        target.join("blockchain.db")
    };
    let live = snapshot("live");
    drop(ledger);
    let closed = snapshot("closed # 100%?");
    assert!(!closed.with_file_name("blockchain.db-wal").exists());
    for path in [live, closed] {
        let ledger = Ledger::open_read_only(&path).unwrap();
        assert_eq!(all(&ledger).len(), 3, "{}", path.display());
        assert!(ledger.verify(None).unwrap().valid);
        assert_eq!(Ledger::open(&path).err(), Some(Error::ReadOnly { path }));
    }
}

#[test]
fn a_ledger_that_was_moved_away_takes_no_entries() {
    let (dir, path) = filled(3);
    let ledger = Ledger::open(&path).unwrap();
    let aside = dir.path().join("aside.db");
    fs::rename(&path, &aside).unwrap();
    assert_eq!(
        ledger.append(&sample(4)),
        Err(Error::Replaced { path: path.clone() })
    );
    fs::write(&path, b"").unwrap();
    assert_eq!(
        ledger.append(&sample(4)),
        Err(Error::Replaced { path: path.clone() })
    );
    fs::rename(&aside, &path).unwrap();
    assert_eq!(ledger.append(&sample(4)).unwrap().id, 4);
}
