//! Every way to change history behind the ledger's back is found, and named.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use ledger::{Bad, Ledger, Reason, Verification};
use support::*;

const ENTRIES: usize = 50;

/// What verification says of a ledger that was tampered with by SQL.
fn after(sql: &str) -> Verification {
    let (_dir, path) = filled(ENTRIES);
    tamper(&path, sql);
    verify(&path, None)
}

fn verify(path: &std::path::Path, expected: Option<&str>) -> Verification {
    let ledger = Ledger::open_read_only(path).unwrap();
    let found = ledger.verify(expected).unwrap();
    let chain = ledger.verify_chain(expected).unwrap();
    // Both tell the same of the chain.
    if !matches!(
        &found.first_bad,
        Some(Bad {
            reason: Reason::Index(_) | Reason::Pages(_),
            ..
        })
    ) {
        assert_eq!(found, chain);
    }
    assert_eq!(found.valid, found.first_bad.is_none());
    found
}

#[track_caller]
fn assert_bad(found: &Verification, id: i64, reason: &Reason) {
    assert_eq!(
        found.first_bad,
        Some(Bad {
            id,
            reason: reason.clone()
        }),
        "{found:?}"
    );
    assert_eq!(found.entries, id.unsigned_abs());
    assert_eq!(found.head.id, (id - 1).max(0));
}

#[test]
fn an_untouched_ledger_is_valid() {
    let (_dir, path) = filled(ENTRIES);
    let found = verify(&path, None);
    assert!(found.valid);
    assert_eq!((found.entries, found.head.id), (51, 50));
    let entries = all(&Ledger::open_read_only(&path).unwrap());
    assert_eq!(found.head.hash, entries[50].current_hash);
    assert!(
        entries[1..]
            .iter()
            .all(|entry| entry.current_hash.to_string() == hash(entry))
    );
}

#[test]
fn edits_of_every_column_are_found() {
    for id in [1, 2, 27, 50] {
        let edits = [
            "timestamp = timestamp + 1",
            "timestamp = timestamp - 1000000",
            "operation = 'nothing'",
            "operation = operation || ' '",
            "target = upper(target)",
            "metadata = replace(metadata, '\"n\":', '\"n\": ')",
            "metadata = json_set(metadata, '$.actor.name', 'mallory')",
            "metadata = '{}'",
            "current_hash = upper(current_hash)",
            "current_hash = replace(current_hash, substr(current_hash, 9, 1), 'x')",
        ];
        for edit in edits {
            assert_bad(
                &after(&format!("UPDATE operations SET {edit} WHERE id = {id}")),
                id,
                &Reason::Edited,
            );
        }
        let unlinked = [
            "NULL",
            "upper(previous_hash) || ' '",
            "current_hash",
            "''",
            "substr(previous_hash, 2)",
        ];
        for hash in unlinked {
            let found = after(&format!(
                "UPDATE operations SET previous_hash = {hash} WHERE id = {id}"
            ));
            assert_bad(&found, id, &Reason::Inserted);
        }
        let foreign = [
            "target = x'00'",
            "metadata = 7",
            "metadata = NULL",
            "timestamp = 'now'",
            "current_hash = x'61'",
            "operation = x''",
        ];
        for edit in foreign {
            let found = after(&format!("UPDATE operations SET {edit} WHERE id = {id}"));
            let Some(Bad {
                id: found,
                reason: Reason::Unreadable(_),
            }) = found.first_bad
            else {
                panic!("{edit}: {found:?}")
            };
            assert_eq!(found, id, "{edit}");
        }
    }
}

#[test]
fn edits_of_the_genesis_row_are_found() {
    let edits = [
        "timestamp = timestamp + 1",
        "operation = 'begin'",
        "target = 'host'",
        "previous_hash = current_hash",
        "current_hash = replace(current_hash, '0', '1')",
        "metadata = json_set(metadata, '$.version', '2.0')",
        "metadata = '{\"version\": \"1.0\", \"deployment\": \"operation-dbus\"}'",
    ];
    for edit in edits {
        let found = after(&format!("UPDATE operations SET {edit} WHERE id = 0"));
        assert_bad(&found, 0, &Reason::Genesis);
    }
}

#[test]
fn the_embedding_may_change() {
    assert!(after("UPDATE operations SET embedding = randomblob(1536)").valid);
}

#[test]
fn deletions_are_found() {
    for id in [0, 1, 2, 27, 49] {
        assert_bad(
            &after(&format!("DELETE FROM operations WHERE id = {id}")),
            id,
            &Reason::Deleted,
        );
    }
    assert_bad(
        &after("DELETE FROM operations WHERE id BETWEEN 10 AND 40"),
        10,
        &Reason::Deleted,
    );
    assert_bad(&after("DELETE FROM operations"), 0, &Reason::Deleted);
    let closed =
        "DELETE FROM operations WHERE id = 27; UPDATE operations SET id = id - 1 WHERE id > 27";
    assert_bad(&after(closed), 27, &Reason::Inserted);
}

#[test]
fn insertions_are_found() {
    let moved = "UPDATE operations SET id = -id WHERE id > 27; UPDATE operations SET id = 1 - id WHERE id < 0;";
    let copy = |id| {
        format!(
            "INSERT INTO operations SELECT {id}, timestamp, operation, target, previous_hash, current_hash, embedding, metadata FROM operations WHERE id = 27"
        )
    };
    assert_bad(
        &after(&format!("{moved} {}", copy(28))),
        28,
        &Reason::Inserted,
    );
    assert_bad(&after(&copy(51)), 51, &Reason::Inserted);
    assert_bad(&after(&copy(99)), 51, &Reason::Deleted);
    assert_bad(&after(&copy(i64::MAX)), 51, &Reason::Deleted);
    let found = after(&copy(-3));
    assert_eq!(
        found.first_bad,
        Some(Bad {
            id: -3,
            reason: Reason::Inserted
        })
    );
}

#[test]
fn reorderings_are_found() {
    let swap = "UPDATE operations SET id = -1 WHERE id = 27; UPDATE operations SET id = 27 WHERE id = 28; UPDATE operations SET id = 28 WHERE id = -1";
    assert_bad(&after(swap), 27, &Reason::Inserted);
    // Contents swapped, hashes left in place.
    let swap = "UPDATE operations AS o SET (timestamp, operation, target, metadata) = (SELECT timestamp, operation, target, metadata FROM operations WHERE id = 55 - o.id) WHERE id IN (27, 28)";
    assert_bad(&after(swap), 27, &Reason::Edited);
}

#[test]
fn a_cut_tail_is_found_by_whoever_knows_a_later_head() {
    let (_dir, path) = filled(ENTRIES);
    let entries = all(&Ledger::open_read_only(&path).unwrap());
    let hash = |id: usize| entries[id].current_hash.to_string();
    for id in [0, 1, 27, 50] {
        assert!(verify(&path, Some(&hash(id))).valid);
        assert!(verify(&path, Some(&format!("{id}:{}", hash(id)))).valid);
    }
    tamper(&path, "DELETE FROM operations WHERE id > 40");
    assert!(verify(&path, None).valid);
    assert!(verify(&path, Some(&hash(40))).valid);
    assert_bad(&verify(&path, Some(&hash(41))), 41, &Reason::HeadMissing);
    let found = verify(&path, Some(&format!("50:{}", hash(50))));
    assert_eq!(
        found.first_bad,
        Some(Bad {
            id: 50,
            reason: Reason::HeadMissing
        })
    );
    assert_eq!(found.head.id, 40);
    // A hash that is there, but at another place.
    assert!(!verify(&path, Some(&format!("39:{}", hash(40)))).valid);
}

#[test]
fn history_that_was_written_anew_is_found_by_whoever_knows_a_head() {
    let (_dir, path) = filled(ENTRIES);
    let head = Ledger::open_read_only(&path).unwrap().head().unwrap();
    tamper(
        &path,
        "UPDATE operations SET target = 'nothing' WHERE id = 30",
    );
    rechain(&path, 30);
    assert!(verify(&path, None).valid);
    assert!(!verify(&path, Some(&head.hash.to_string())).valid);
    let found = verify(&path, Some(&format!("50:{}", head.hash)));
    assert_eq!(
        found.first_bad,
        Some(Bad {
            id: 50,
            reason: Reason::HeadMissing
        })
    );
}

#[test]
fn an_index_that_hides_entries_is_found() {
    let (_dir, path) = filled(ENTRIES);
    // The index is filled from rows that change behind its back.
    tamper(
        &path,
        "PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = replace(sql, '(target)', '(operation)') WHERE name = 'idx_target';",
    );
    tamper(&path, "REINDEX idx_target");
    tamper(
        &path,
        "PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = replace(sql, '(operation)', '(target)') WHERE name = 'idx_target';",
    );
    let found = verify(&path, None);
    assert_eq!(
        found.first_bad,
        Some(Bad {
            id: 50,
            reason: Reason::Index("idx_target".into())
        })
    );
    tamper(&path, "REINDEX idx_target");
    assert!(verify(&path, None).valid);
}

#[test]
fn a_broken_chain_can_still_be_written_and_read() {
    let (_dir, path) = filled(ENTRIES);
    tamper(
        &path,
        "UPDATE operations SET target = 'nothing' WHERE id = 30; UPDATE operations SET metadata = 'x' WHERE id = 20",
    );
    let ledger = Ledger::open(&path).unwrap();
    assert_eq!(ledger.append(&sample(51)).unwrap().id, 51);
    assert_eq!(ledger.get(30).unwrap().unwrap().target, "nothing");
    let error = ledger.get(20).unwrap_err().to_string();
    assert!(
        error.contains("entry 20") && error.contains("metadata is no JSON"),
        "{error}"
    );
    assert_bad(&ledger.verify(None).unwrap(), 20, &Reason::Edited);
}

#[test]
fn long_ledgers_are_walked_in_parts_that_fit_together() {
    let (_dir, path) = filled(10_000);
    assert_eq!(verify(&path, None).entries, 10_001);
    // Around the ends of the parts, and in the middle.
    for id in [4095, 4096, 4097, 8191, 8192, 9999, 6000] {
        tamper(
            &path,
            &format!("UPDATE operations SET target = target || '!' WHERE id = {id}"),
        );
        assert_bad(&verify(&path, None), id, &Reason::Edited);
        tamper(
            &path,
            &format!("UPDATE operations SET target = rtrim(target, '!') WHERE id = {id}"),
        );
        tamper(
            &path,
            &format!("UPDATE operations SET previous_hash = previous_hash || '!' WHERE id = {id}"),
        );
        assert_bad(&verify(&path, None), id, &Reason::Inserted);
        tamper(
            &path,
            &format!(
                "UPDATE operations SET previous_hash = rtrim(previous_hash, '!') WHERE id = {id}"
            ),
        );
    }
    assert!(verify(&path, None).valid);
    tamper(&path, "DELETE FROM operations WHERE id IN (4095, 8192)");
    assert_bad(&verify(&path, None), 4095, &Reason::Deleted);
}
