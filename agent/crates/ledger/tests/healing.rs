//! What a publisher makes again of the files beside a ledger, and what it refuses to sign.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/published.rs"]
mod published;
mod support;

use std::fs;

use ledger::{Ledger, ProofError, Publisher};
use published::*;
use support::*;

/// A host of 300 further entries whose head of 301 is cosigned.
fn cosigned() -> Host {
    let mut host = Host::new(300);
    publish(&host.path).unwrap();
    host.submit();
    assert!(host.seen.is_some());
    host
}

/// Removes all that was published, but for what the witness saw.
fn forget_all_but_cosigned(host: &Host) {
    fs::remove_dir_all(host.file("tiles")).unwrap();
    fs::remove_file(host.file("checkpoint")).unwrap();
}

#[test]
fn what_a_witness_saw_binds_although_checkpoint_and_tiles_are_gone() {
    let host = cosigned();
    forget_all_but_cosigned(&host);
    tamper(
        &host.path,
        "UPDATE operations SET target = 'elsewhere' WHERE id = 270",
    );
    rechain(&host.path, 270);
    let error = publish(&host.path).unwrap_err();
    assert!(
        matches!(error, ProofError::Root { size: 301 }) && error.is_finding(),
        "{error:?}"
    );
    assert!(!host.file("checkpoint").exists());

    tamper(&host.path, "DELETE FROM operations WHERE id > 290");
    let error = publish(&host.path).unwrap_err();
    assert!(
        matches!(
            error,
            ProofError::RolledBack {
                entries: 291,
                size: 301
            }
        ),
        "{error:?}"
    );
    assert!(!host.file("checkpoint").exists());
}

#[test]
fn what_agrees_with_the_witness_is_signed_again() {
    let host = cosigned();
    forget_all_but_cosigned(&host);
    host.grow(300..320);
    assert!(host.witnessed().valid);
}

#[test]
fn an_older_checkpoint_is_not_gone_on_from_to_something_else_than_the_witness_saw() {
    let mut host = Host::new(300);
    publish(&host.path).unwrap();
    let older = fs::read(host.file("checkpoint")).unwrap();
    host.grow(300..320);
    host.submit();
    fs::write(host.file("checkpoint"), older).unwrap();
    tamper(
        &host.path,
        "UPDATE operations SET target = 'elsewhere' WHERE id = 310",
    );
    rechain(&host.path, 310);
    for name in ["tiles/tile/0/001.p", "tiles/tile/1/000.p"] {
        let _ = fs::remove_dir_all(host.file(name));
    }
    let error = publish(&host.path).unwrap_err();
    assert!(matches!(error, ProofError::Root { size: 321 }), "{error:?}");
}

#[test]
fn a_witness_of_another_key_s_log_is_a_finding() {
    let host = cosigned();
    forget_all_but_cosigned(&host);
    let stranger = new_key("PeterNeumann", tlog::Algorithm::Ed25519);
    let error = publish_as(&host.path, stranger).unwrap_err();
    assert!(error.is_finding(), "{error:?}");
    assert!(!host.file("checkpoint").exists());
}

#[test]
fn tiles_that_were_cut_off_are_made_anew_if_the_entries_are_those_that_were_signed() {
    let host = Host::new(600);
    publish(&host.path).unwrap();
    let whole = |name: &str| fs::read(host.file(name)).unwrap();
    for name in [
        "tiles/tile/0/002.p/89",
        "tiles/tile/1/000.p/2",
        "tiles/tile/0/000",
    ] {
        let before = whole(name);
        fs::write(host.file(name), &before[..before.len() / 2]).unwrap();
        let audit = host.alone();
        assert!(
            audit.valid && audit.notes[0].contains("cut off"),
            "{name}: {audit:?}"
        );
        let ledger = Ledger::open_read_only(&host.path).unwrap();
        let mut publisher = Publisher::open(&ledger, key()).unwrap();
        publisher.make_whole(&ledger).unwrap();
        assert_eq!(whole(name), before, "{name}");
        assert!(host.alone().notes.is_empty());
        assert!(!publisher.make_whole(&ledger).unwrap());
    }

    // Entries that are others now are no ground to make tiles from.
    let name = "tiles/tile/0/002.p/89";
    fs::write(host.file(name), "short").unwrap();
    tamper(
        &host.path,
        "UPDATE operations SET target = 'elsewhere' WHERE id = 590",
    );
    rechain(&host.path, 590);
    let error = publish(&host.path).unwrap_err();
    assert!(matches!(error, ProofError::Root { size: 601 }), "{error:?}");
    assert_eq!(whole(name), b"short");
}
