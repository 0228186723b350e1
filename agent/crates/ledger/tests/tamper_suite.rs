//! Every way to change a published ledger, with what the host finds out by itself and what a witness' head adds.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/published.rs"]
mod published;
mod support;

use std::fs;

use ledger::{Audit, Guarantee, Ledger};
use published::*;
use support::*;
use tempfile::TempDir;
use tlog::{Algorithm, Answer, Checkpoint};

/// Entries when the host was first published, and when it was last.
const EARLY: usize = 300;
const LATE: usize = 420;

struct Case {
    name: &'static str,
    /// What is done; the snapshot is of when the host had `EARLY` entries.
    tamper: fn(&Host, &TempDir),
    /// What is found without a witness: the chain's first bad entry and its reason, and other findings.
    alone: (Option<(i64, &'static str)>, &'static [&'static str]),
    /// The findings with the head that a witness cosigned last.
    witnessed: &'static [&'static str],
}

fn sql(host: &Host, sql: &str) {
    tamper(&host.path, sql);
}

const SUITE: &[Case] = &[
    Case {
        name: "nothing",
        tamper: |_, _| {},
        alone: (None, &[]),
        witnessed: &[],
    },
    Case {
        name: "a bit of the timestamp",
        tamper: |host, _| {
            sql(
                host,
                "UPDATE operations SET timestamp = timestamp + 4 WHERE id = 77",
            )
        },
        alone: (Some((77, "edited")), &["rewritten"]),
        witnessed: &["rewritten"],
    },
    Case {
        name: "a bit of the operation",
        tamper: |host, _| {
            sql(
                host,
                "UPDATE operations SET operation = 'cnntainer_create' WHERE id = 77",
            )
        },
        alone: (Some((77, "edited")), &["rewritten"]),
        witnessed: &["rewritten"],
    },
    Case {
        name: "a bit of the target",
        tamper: |host, _| {
            sql(
                host,
                "UPDATE operations SET target = 'veb-00' WHERE id = 77",
            )
        },
        alone: (Some((77, "edited")), &["rewritten"]),
        witnessed: &["rewritten"],
    },
    Case {
        name: "a bit of the metadata",
        tamper: |host, _| {
            sql(
                host,
                "UPDATE operations SET metadata = replace(metadata, 'run-', 'rtn-') WHERE id = 77",
            )
        },
        alone: (Some((77, "edited")), &["rewritten"]),
        witnessed: &["rewritten"],
    },
    Case {
        name: "a bit of the hash of the entry before",
        tamper: |host, _| {
            sql(
                host,
                "UPDATE operations SET previous_hash = replace(previous_hash, substr(previous_hash, 5, 1), 'x') WHERE id = 77",
            )
        },
        alone: (Some((77, "inserted")), &["rewritten"]),
        witnessed: &["rewritten"],
    },
    Case {
        name: "a bit of the hash",
        // It is no part of the leaf: the entry is the one that was published.
        tamper: |host, _| {
            sql(
                host,
                "UPDATE operations SET current_hash = replace(current_hash, 'a', 'b') WHERE id = 77",
            )
        },
        alone: (Some((77, "edited")), &[]),
        witnessed: &[],
    },
    Case {
        name: "an embedding, which models may change",
        tamper: |host, _| {
            sql(
                host,
                "UPDATE operations SET embedding = x'00112233' WHERE id = 77",
            )
        },
        alone: (None, &[]),
        witnessed: &[],
    },
    Case {
        name: "a deleted entry",
        tamper: |host, _| sql(host, "DELETE FROM operations WHERE id = 77"),
        alone: (Some((77, "deleted")), &[]),
        witnessed: &[],
    },
    Case {
        name: "an inserted entry",
        tamper: |host, _| {
            sql(host, "UPDATE operations SET id = -id WHERE id >= 77; UPDATE operations SET id = 1 - id WHERE id < 0;
            INSERT INTO operations SELECT 77, timestamp, operation, 'evil', previous_hash, current_hash, NULL, metadata FROM operations WHERE id = 78")
        },
        alone: (Some((77, "edited")), &["rewritten"]),
        witnessed: &["rewritten"],
    },
    Case {
        name: "two entries that changed places",
        tamper: |host, _| {
            sql(
                host,
                "UPDATE operations SET id = -77 WHERE id = 77; UPDATE operations SET id = 77 WHERE id = 78; UPDATE operations SET id = 78 WHERE id = -77",
            )
        },
        alone: (Some((77, "inserted")), &["rewritten"]),
        witnessed: &["rewritten"],
    },
    Case {
        name: "a tail that was cut off",
        tamper: |host, _| sql(host, "DELETE FROM operations WHERE id > 400"),
        alone: (None, &["rolled-back"]),
        witnessed: &["rolled-back"],
    },
    Case {
        name: "a tail that was written anew",
        tamper: |host, _| {
            sql(
                host,
                "UPDATE operations SET target = 'elsewhere' WHERE id = 270",
            );
            rechain(&host.path, 270);
        },
        alone: (None, &["rewritten", "root"]),
        witnessed: &["rewritten", "root"],
    },
    Case {
        name: "a tail that was written anew, without anything published",
        tamper: |host, _| {
            sql(
                host,
                "UPDATE operations SET target = 'elsewhere' WHERE id = 270",
            );
            rechain(&host.path, 270);
            host.forget();
        },
        // Only the chain is left, and says so.
        alone: (None, &[]),
        witnessed: &["root"],
    },
    Case {
        name: "a tail that was written anew and signed by whoever is root",
        tamper: |host, _| {
            sql(
                host,
                "UPDATE operations SET target = 'elsewhere' WHERE id = 270",
            );
            rechain(&host.path, 270);
            host.forget();
            publish(&host.path).unwrap();
        },
        alone: (None, &[]),
        witnessed: &["root"],
    },
    Case {
        name: "the database of an older snapshot",
        tamper: |host, old| {
            host.remove_database();
            fs::copy(old.path().join("blockchain.db"), &host.path).unwrap();
        },
        alone: (None, &["rolled-back"]),
        witnessed: &["rolled-back"],
    },
    Case {
        name: "all of an older snapshot",
        tamper: |host, old| host.restore(old),
        alone: (None, &[]),
        witnessed: &["rolled-back"],
    },
    Case {
        name: "a fork",
        tamper: |host, old| {
            host.restore(old);
            host.grow(1000..1000 + LATE - EARLY + 7);
        },
        alone: (None, &[]),
        witnessed: &["root"],
    },
    Case {
        name: "a checkpoint forged with another key",
        tamper: |host, _| {
            let forger = new_key("PeterNeumann", Algorithm::Ed25519);
            let head = Checkpoint::new("PeterNeumann".parse().unwrap(), 9, tlog::leaf_hash(b"x"));
            fs::write(
                host.file("checkpoint"),
                head.sign(&forger).unwrap().to_string(),
            )
            .unwrap();
        },
        alone: (None, &["checkpoint", "root"]),
        witnessed: &["checkpoint", "root"],
    },
    Case {
        name: "a checkpoint of another log",
        tamper: |host, _| {
            let other = new_key("other.example", Algorithm::Ed25519);
            let head = Checkpoint::new("other.example".parse().unwrap(), 9, tlog::leaf_hash(b"x"));
            fs::write(
                host.file("checkpoint"),
                head.sign(&other).unwrap().to_string(),
            )
            .unwrap();
        },
        alone: (None, &["checkpoint", "root"]),
        witnessed: &["checkpoint", "root"],
    },
    Case {
        name: "a checkpoint whose size was changed",
        tamper: |host, _| {
            let text = fs::read_to_string(host.file("checkpoint")).unwrap();
            fs::write(host.file("checkpoint"), text.replace("\n421\n", "\n420\n")).unwrap();
        },
        alone: (None, &["checkpoint", "root"]),
        witnessed: &["checkpoint", "root"],
    },
    Case {
        name: "a checkpoint that cannot be read",
        tamper: |host, _| fs::write(host.file("checkpoint"), "nonsense").unwrap(),
        alone: (None, &["checkpoint"]),
        witnessed: &["checkpoint"],
    },
    Case {
        name: "a forged cosignature",
        tamper: |host, _| {
            let text = fs::read_to_string(host.file("checkpoint.cosigned")).unwrap();
            let at = text.len() - 20;
            let letter = if &text[at..=at] == "A" { "B" } else { "A" };
            fs::write(
                host.file("checkpoint.cosigned"),
                format!("{}{letter}{}", &text[..at], &text[at + 1..]),
            )
            .unwrap();
        },
        alone: (None, &[]),
        witnessed: &["cosignature"],
    },
    Case {
        name: "an edited tile",
        tamper: |host, _| {
            let path = host.file("tiles/tile/0/000");
            let mut bytes = fs::read(&path).unwrap();
            bytes[77 * 32] ^= 1;
            fs::write(path, bytes).unwrap();
        },
        alone: (None, &["tile"]),
        witnessed: &["tile"],
    },
    Case {
        name: "removed tiles, which are made again",
        tamper: |host, _| fs::remove_dir_all(host.file("tiles")).unwrap(),
        alone: (None, &[]),
        witnessed: &[],
    },
    Case {
        name: "an edited index, which is made again",
        tamper: |host, _| {
            let rename = |from, to| {
                sql(
                    host,
                    &format!(
                        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, '({from})', '({to})') WHERE name = 'idx_target';"
                    ),
                );
            };
            rename("target", "operation");
            sql(host, "REINDEX idx_target");
            rename("operation", "target");
        },
        alone: (Some((420, "index")), &[]),
        witnessed: &[],
    },
];

/// The kinds of what was found beside the chain.
fn codes(audit: &Audit) -> Vec<&str> {
    let mut codes: Vec<_> = audit.findings.iter().map(|finding| finding.code).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

fn first_bad(audit: &Audit) -> Option<(i64, String)> {
    let shown = serde_json::to_value(audit).unwrap();
    let bad = &shown["first_bad"];
    Some((bad["id"].as_i64()?, bad["reason"].as_str()?.to_owned()))
}

#[test]
fn each_manipulation_has_its_verdict() {
    // Making a host takes longer than spoiling it: all cases begin with copies of one.
    let mut whole = Host::new(EARLY);
    publish(&whole.path).unwrap();
    assert!(matches!(whole.submit(), Answer::Cosigned(_)));
    let early = whole.snapshot();
    whole.grow(EARLY + 1..LATE + 1);
    assert!(matches!(whole.submit(), Answer::Cosigned(_)));
    let late = whole.snapshot();
    for case in SUITE {
        whole.restore(&late);
        (case.tamper)(&whole, &early);
        let (alone, witnessed) = (whole.alone(), whole.witnessed());
        let name = case.name;
        println!("{name}: {:?} / {:?}", alone.wrong(), witnessed.wrong());
        let chain = case.alone.0.map(|(id, reason)| (id, reason.to_owned()));
        assert_eq!(first_bad(&alone), chain, "{name}");
        assert_eq!(first_bad(&witnessed), chain, "{name}");
        assert_eq!(codes(&alone), case.alone.1, "{name}: {alone:#?}");
        assert_eq!(codes(&witnessed), case.witnessed, "{name}: {witnessed:#?}");
        assert_eq!(
            alone.valid,
            chain.is_none() && case.alone.1.is_empty(),
            "{name}"
        );
        assert_eq!(
            witnessed.valid,
            chain.is_none() && case.witnessed.is_empty(),
            "{name}"
        );
        match witnessed.valid {
            true => assert!(
                matches!(&witnessed.guarantee, Guarantee::Witnessed { entries: 421, by, .. } if by == &["w.example"]),
                "{name}: {witnessed:?}"
            ),
            false => assert_eq!(witnessed.guarantee, Guarantee::None, "{name}"),
        }
        // What a rewritten history makes of a witness: it does not cosign.
        if case.witnessed.contains(&"root") || case.witnessed.contains(&"rolled-back") {
            let answer = whole.submit();
            assert!(!matches!(answer, Answer::Cosigned(_)), "{name}: {answer:?}");
        }
    }
}

#[test]
fn without_a_witness_the_guarantee_is_said_to_be_less() {
    let mut host = Host::new(50);
    assert_eq!(host.alone().guarantee, Guarantee::Chain);
    publish(&host.path).unwrap();
    assert_eq!(host.alone().guarantee, Guarantee::Signed { entries: 51 });
    assert!(
        host.alone()
            .guarantee
            .to_string()
            .contains("only a witness")
    );
    host.submit();
    host.grow(51..60);
    match host.witnessed().guarantee {
        Guarantee::Witnessed {
            entries: 51,
            time: 1_700_000_000,
            ..
        } => {}
        other => panic!("{other:?}"),
    }
    // Without trust in the witness its cosignature says nothing.
    assert_eq!(host.alone().guarantee, Guarantee::Signed { entries: 60 });
    drop(Ledger::open(&host.path).unwrap());
}
