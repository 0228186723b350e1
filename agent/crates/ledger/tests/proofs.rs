//! Proofs that need neither the database nor the host, and what a tree costs to keep.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/published.rs"]
mod published;
mod support;

use std::fs;

use ledger::{Guarantee, Ledger, ProofError, Published, Publisher};
use published::*;
use support::*;
use tlog::{Answer, Proof, leaf_hash};

#[test]
fn every_entry_is_proved_with_the_public_key_alone() {
    let mut host = Host::new(600);
    publish(&host.path).unwrap();
    assert!(matches!(host.submit(), Answer::Cosigned(_)));
    let ledger = Ledger::open_read_only(&host.path).unwrap();
    let published = Published::of(&host.path).unwrap();
    for id in [0, 1, 255, 256, 257, 511, 512, 599, 600] {
        let written = published.prove(&ledger, id).unwrap().to_string();
        // From here on the file is all there is.
        let proof = Proof::parse(written.as_bytes()).unwrap();
        let entry = proof.extra.clone().unwrap();
        let head = proof.verify(leaf_hash(&entry), key().verifier()).unwrap();
        assert_eq!((head.size, proof.index), (601, id as u64));
        assert_eq!(proof.checkpoint.cosigned(&host.trusted()).unwrap().len(), 1);
        let said: serde_json::Value = serde_json::from_slice(&entry).unwrap();
        let known = ledger.get(id).unwrap().unwrap();
        assert_eq!(
            (said["id"].as_i64(), said["operation"].as_str()),
            (Some(id), Some(&*known.operation))
        );
        let mut other = proof.clone();
        other.index += 1;
        assert!(other.verify(leaf_hash(&entry), key().verifier()).is_err());
        let mut forged = entry.clone();
        forged[10] ^= 1;
        assert!(proof.verify(leaf_hash(&forged), key().verifier()).is_err());
    }
    assert!(matches!(
        published.prove(&ledger, 601),
        Err(ProofError::NotCovered { id: 601, size: 601 })
    ));
    // What comes later is proved by the host's word until it is cosigned.
    host.grow(600..620);
    let published = Published::of(&host.path).unwrap();
    let sizes = [5, 610].map(|id| {
        published
            .prove(&ledger, id)
            .unwrap()
            .checkpoint
            .unverified()
            .size
    });
    assert_eq!(sizes, [601, 621]);
    let shown = published.consistency(601, 621).unwrap();
    assert_eq!(
        (shown.old_size, shown.new_size, shown.proof.is_empty()),
        (601, 621, false)
    );
    assert!(matches!(
        published.consistency(601, 622),
        Err(ProofError::NotCovered { .. })
    ));
    assert!(published.consistency(621, 601).is_err());
}

#[test]
fn nothing_is_proved_before_it_is_published() {
    let (_dir, path) = filled(3);
    let ledger = Ledger::open_read_only(&path).unwrap();
    let published = Published::of(&path).unwrap();
    assert!(matches!(
        published.prove(&ledger, 1),
        Err(ProofError::NoCheckpoint)
    ));
    let audit = ledger.audit(&ledger::Expectations::default()).unwrap();
    assert_eq!((audit.valid, &audit.guarantee), (true, &Guarantee::Chain));
    assert_eq!(audit.notes.len(), 1);
}

#[test]
fn a_cosignature_counts_only_with_the_key_of_the_ledger() {
    let mut host = Host::new(5);
    publish(&host.path).unwrap();
    assert!(matches!(host.submit(), Answer::Cosigned(_)));
    let known = ledger::Expectations {
        witnesses: host.trusted(),
        ..ledger::Expectations::default()
    };
    // It may be of any other ledger that the witness watches over, put in the place of this one.
    let ledger = Ledger::open_read_only(&host.path).unwrap();
    let audit = ledger.audit(&known).unwrap();
    assert_eq!((audit.valid, &audit.guarantee), (true, &Guarantee::Chain));
    let with_key = ledger::Expectations {
        key: Some(key().verifier().clone()),
        ..known
    };
    let audit = ledger.audit(&with_key).unwrap();
    assert!(matches!(audit.guarantee, Guarantee::Witnessed { .. }));
}

#[test]
fn one_process_publishes_and_a_second_is_refused() {
    let (_dir, path) = filled(3);
    let ledger = Ledger::open_read_only(&path).unwrap();
    let mut publisher = Publisher::open(&ledger, key()).unwrap();
    assert!(publisher.publish(&ledger).unwrap());
    assert!(!publisher.publish(&ledger).unwrap());
    assert!(matches!(
        Publisher::open(&ledger, key()),
        Err(ProofError::Busy)
    ));
    drop(publisher);
    let again = Publisher::open(&ledger, key()).unwrap();
    assert_eq!(again.checkpoint().unwrap().unverified().size, 4);
}

#[test]
fn lost_tiles_are_made_again_and_lost_checkpoints_too() {
    let host = Host::new(700);
    let first = publish(&host.path).unwrap();
    let snapshot = host.snapshot();
    fs::remove_dir_all(host.file("tiles")).unwrap();
    assert_eq!(publish(&host.path).unwrap(), first);
    assert!(host.alone().notes.is_empty());
    fs::remove_file(host.file("checkpoint")).unwrap();
    assert_eq!(
        publish(&host.path).unwrap().unverified(),
        first.unverified()
    );
    let tile = "tile/0/002.p/189";
    fs::remove_file(host.file("tiles").join(tile)).unwrap();
    let audit = host.alone();
    assert!(
        audit.valid && audit.notes[0].contains("1 tiles are missing"),
        "{audit:?}"
    );
    publish(&host.path).unwrap();
    let old = snapshot.path().join("tiles").join(tile);
    assert_eq!(
        fs::read(host.file("tiles").join(tile)).unwrap(),
        fs::read(old).unwrap()
    );
}

#[test]
fn a_stranger_s_key_publishes_nothing() {
    let host = Host::new(20);
    let before = publish(&host.path).unwrap();
    let stranger = new_key("PeterNeumann", tlog::Algorithm::Ed25519);
    let error = publish_as(&host.path, stranger).unwrap_err();
    assert!(error.is_finding(), "{error}");
    assert_eq!(publish(&host.path).unwrap(), before);
}

#[test]
fn a_chain_that_was_begun_anew_has_another_name() {
    let (_dir, path) = filled(20);
    let base = "host.example/ledger".parse().unwrap();
    let origin = |path| {
        Ledger::open_read_only(path)
            .unwrap()
            .origin(&base)
            .unwrap()
            .to_string()
    };
    assert_eq!(origin(&path), "host.example/ledger");
    tamper(&path, "UPDATE operations SET operation = 'x' WHERE id = 7");
    let recovery = ledger::Recovery::examine(&path, 0).unwrap();
    recovery.carry_out(&serde_json::Map::new()).unwrap();
    let anew = origin(&path);
    assert!(
        anew.starts_with("host.example/ledger/") && anew.len() == 28,
        "{anew}"
    );
}
