//! What a witness cosigns, and what it refuses.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;
use std::sync::Barrier;

use tlog::{
    AddCheckpoint, Algorithm, Answer, Checkpoint, Hash, Prover, SignedCheckpoint, SigningKey,
    Tiles, Tree, VerifierKey, Witness, WitnessError, leaf_hash,
};

const NOW: u64 = 1_780_000_000;

fn key(name: &str, algorithm: Algorithm) -> SigningKey {
    SigningKey::generate(&name.parse().unwrap(), algorithm)
        .unwrap()
        .parse()
        .unwrap()
}

/// A log whose entries are numbers, from `fork` on other ones.
struct Log {
    key: SigningKey,
    fork: u64,
}

impl Log {
    fn tree(&self, size: u64) -> Tree {
        let mut tree = Tree::new();
        for number in 0..size {
            let text = if number < self.fork {
                format!("{number}")
            } else {
                format!("fork {number}")
            };
            tree.append(leaf_hash(text.as_bytes()));
        }
        tree
    }

    fn head(&self, size: u64) -> SignedCheckpoint {
        let head = Checkpoint::new(
            self.key.verifier().name().clone(),
            size,
            self.tree(size).root(),
        );
        head.sign(&self.key).unwrap()
    }

    fn proof(&self, old: u64, new: u64) -> Vec<Hash> {
        let nowhere = tempfile::tempdir().unwrap();
        let (tiles, tree) = (Tiles::at(nowhere.path()), self.tree(new));
        Prover::with_recent(&tiles, &tree)
            .consistency(old, new)
            .unwrap()
    }

    fn request(&self, old: u64, new: u64) -> AddCheckpoint {
        AddCheckpoint {
            old_size: old,
            proof: self.proof(old, new),
            checkpoint: self.head(new),
        }
    }

    fn ask(&self, witness: &Witness, old: u64, new: u64) -> Answer {
        let request = self.request(old, new).to_string();
        let answer = witness.add_checkpoint(request.as_bytes(), NOW).unwrap();
        // What is sent is read again as it was meant.
        let read = Answer::read(
            answer.status(),
            Some(answer.content_type()),
            answer.body().as_bytes(),
        );
        assert_eq!(read.status(), answer.status());
        read
    }
}

/// A log of the same name with another key.
fn impostor() -> Log {
    Log {
        key: key("example.org/log", Algorithm::Ed25519),
        fork: u64::MAX,
    }
}

thread_local! {
    static TEXT: String = SigningKey::generate(&"example.org/log".parse().unwrap(), Algorithm::Ed25519).unwrap();
}

/// The log, with another history from an entry on.
fn forked(fork: u64) -> Log {
    Log {
        key: TEXT.with(|text| text.parse().unwrap()),
        fork,
    }
}

fn log() -> Log {
    forked(u64::MAX)
}

fn witness(directory: &Path, log: &VerifierKey) -> Witness {
    let file = tlog::KeyFile::at(directory.join("witness.key"));
    let key = file
        .open_or_create(
            &"example.org/witness".parse().unwrap(),
            Algorithm::Cosignature,
        )
        .unwrap();
    Witness::open(key, directory.join("heads"), [log.clone()]).unwrap()
}

fn is_cosigned(answer: &Answer) -> bool {
    matches!(answer, Answer::Cosigned(_))
}

#[test]
fn what_continues_is_cosigned_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let log = log();
    let witness = witness(directory.path(), log.key.verifier());
    let Answer::Cosigned(signatures) = log.ask(&witness, 0, 3) else {
        panic!("not cosigned")
    };
    let mut head = log.head(3);
    let keys = [witness.verifier().clone()];
    assert!(head.add(signatures[0].clone(), &keys).unwrap());
    assert_eq!(head.cosigned(&keys).unwrap()[0].time, NOW);
    // The same head again, and a larger one.
    assert!(is_cosigned(&log.ask(&witness, 3, 3)));
    assert!(is_cosigned(&log.ask(&witness, 3, 700)));
    // Not from what was cosigned last.
    assert_eq!(log.ask(&witness, 3, 701), Answer::Conflict(700));
    assert_eq!(log.ask(&witness, 0, 800), Answer::Conflict(700));
    // A rollback: the witness has seen more.
    assert_eq!(log.ask(&witness, 3, 5), Answer::Conflict(700));
    // Forks, of the same and of a larger size.
    let fork = forked(600);
    assert_eq!(fork.ask(&witness, 700, 700), Answer::Conflict(700));
    assert_eq!(fork.ask(&witness, 700, 900), Answer::Unproven);
    // It goes on where it was.
    assert!(is_cosigned(&log.ask(&witness, 700, 701)));
}

#[test]
fn strangers_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let log = log();
    let witness = witness(directory.path(), log.key.verifier());
    assert_eq!(impostor().ask(&witness, 0, 3), Answer::Forbidden);
    let other = Log {
        key: key("example.org/other", Algorithm::Ed25519),
        fork: u64::MAX,
    };
    assert_eq!(other.ask(&witness, 0, 3), Answer::Unknown);
    assert!(matches!(
        witness.add_checkpoint(b"old 3", NOW).unwrap(),
        Answer::Bad(_)
    ));
    let shrinks = AddCheckpoint {
        old_size: 5,
        ..log.request(0, 3)
    }
    .to_string();
    assert_eq!(
        witness
            .add_checkpoint(shrinks.as_bytes(), NOW)
            .unwrap()
            .status(),
        400
    );
    let with_proof = AddCheckpoint {
        proof: vec![Hash([0; 32])],
        ..log.request(0, 3)
    }
    .to_string();
    assert_eq!(
        witness.add_checkpoint(with_proof.as_bytes(), NOW).unwrap(),
        Answer::Unproven
    );
    assert_eq!(
        witness.logs().map(|(_, size)| size).collect::<Vec<_>>(),
        [0]
    );
}

#[test]
fn a_witness_remembers_after_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let log = log();
    assert!(is_cosigned(&log.ask(
        &witness(directory.path(), log.key.verifier()),
        0,
        300
    )));
    let restarted = witness(directory.path(), log.key.verifier());
    assert_eq!(
        restarted.logs().map(|(_, size)| size).collect::<Vec<_>>(),
        [300]
    );
    assert_eq!(log.ask(&restarted, 0, 200), Answer::Conflict(300));
    assert_eq!(forked(100).ask(&restarted, 300, 300), Answer::Conflict(300));
    assert!(is_cosigned(&log.ask(&restarted, 300, 301)));
    // Two at once would not know of each other.
    let open = || {
        let key = key("w", Algorithm::Cosignature);
        let heads = directory.path().join("heads");
        Witness::open(key, heads, [log.key.verifier().clone()])
    };
    assert!(matches!(open(), Err(WitnessError::Busy(_))));
    drop(restarted);
    // What cannot be read is not taken for nothing.
    let heads = fs::read_dir(directory.path().join("heads")).unwrap();
    let heads: Vec<_> = heads.map(|it| it.unwrap().path()).collect();
    assert_eq!(heads.len(), 1);
    fs::write(&heads[0], b"garbage").unwrap();
    assert!(matches!(open(), Err(WitnessError::Memory { .. })));
}

#[test]
fn what_cannot_be_remembered_is_not_cosigned() {
    let directory = tempfile::tempdir().unwrap();
    let log = log();
    let witness = witness(directory.path(), log.key.verifier());
    fs::remove_dir_all(directory.path().join("heads")).unwrap();
    let request = log.request(0, 3).to_string();
    assert!(witness.add_checkpoint(request.as_bytes(), NOW).is_err());
    assert_eq!(
        witness.logs().map(|(_, size)| size).collect::<Vec<_>>(),
        [0]
    );
}

#[test]
fn of_requests_at_once_one_history_is_cosigned() {
    let directory = tempfile::tempdir().unwrap();
    let log = log();
    let witness = witness(directory.path(), log.key.verifier());
    let requests: Vec<String> = (0..16_u64)
        .map(|number| forked(number).request(0, 40).to_string())
        .collect();
    let barrier = Barrier::new(requests.len());
    let cosigned: Vec<bool> = std::thread::scope(|scope| {
        let ask = |request: String| {
            let (witness, barrier) = (&witness, &barrier);
            scope.spawn(move || {
                barrier.wait();
                is_cosigned(&witness.add_checkpoint(request.as_bytes(), NOW).unwrap())
            })
        };
        let asked: Vec<_> = requests.into_iter().map(ask).collect();
        asked.into_iter().map(|it| it.join().unwrap()).collect()
    });
    assert_eq!(cosigned.iter().filter(|it| **it).count(), 1);
}

#[test]
fn answers_of_strangers_are_read_with_care() {
    let read = |status, kind, body: &str| Answer::read(status, kind, body.as_bytes());
    assert_eq!(
        read(409, Some("text/x.tlog.size"), "12\n"),
        Answer::Conflict(12)
    );
    assert_eq!(
        read(409, Some("text/x.tlog.size; charset=utf-8"), "12\n"),
        Answer::Conflict(12)
    );
    for (kind, body) in [
        (None, "12\n"),
        (Some("text/plain"), "12\n"),
        (Some("text/x.tlog.size"), "12"),
        (Some("text/x.tlog.size"), "-1\n"),
    ] {
        assert_eq!(read(409, kind, body), Answer::Other(409));
    }
    assert_eq!(read(200, None, "nothing\n"), Answer::Other(200));
    assert_eq!(read(200, None, ""), Answer::Other(200));
    assert_eq!(read(503, None, ""), Answer::Other(503));
    assert_eq!(
        read(400, None, "a\x1b[31mb"),
        Answer::Bad("a[31mb".to_owned())
    );
}
