//! A published ledger, and a witness that saw it.
#![allow(dead_code, clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use ledger::{Audit, Expectations, Ledger, ProofError, Published, Publisher};
use tempfile::TempDir;
use tlog::{
    AddCheckpoint, Algorithm, Answer, Prover, SignedCheckpoint, SigningKey, VerifierKey, Witness,
};

use super::*;

/// The text of a log's key, the same every time.
pub(crate) const KEY: &str =
    "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";

pub(crate) fn key() -> SigningKey {
    KEY.parse().unwrap()
}

pub(crate) fn new_key(name: &str, algorithm: Algorithm) -> SigningKey {
    let text = SigningKey::generate(&name.parse().unwrap(), algorithm).unwrap();
    text.parse().unwrap()
}

/// Publishes what there is.
pub(crate) fn publish(path: &Path) -> Result<SignedCheckpoint, ProofError> {
    publish_as(path, key())
}

pub(crate) fn publish_as(path: &Path, key: SigningKey) -> Result<SignedCheckpoint, ProofError> {
    let ledger = Ledger::open_read_only(path)?;
    let mut publisher = Publisher::open(&ledger, key)?;
    publisher.publish(&ledger)?;
    Ok(publisher.checkpoint().unwrap().clone())
}

/// A ledger that was published, and cosigned.
pub(crate) struct Host {
    pub(crate) dir: TempDir,
    pub(crate) path: PathBuf,
    pub(crate) witness: Witness,
    /// What the witness saw last, as it is kept there.
    pub(crate) seen: Option<SignedCheckpoint>,
}

impl Host {
    pub(crate) fn new(entries: usize) -> Self {
        let (dir, path) = filled(entries);
        let memory = dir.path().join("elsewhere");
        let cosigner = new_key("w.example", Algorithm::Cosignature);
        let log = key().verifier().clone();
        Self {
            witness: Witness::open(cosigner, memory, [log]).unwrap(),
            seen: None,
            dir,
            path,
        }
    }

    /// Records more entries and publishes them.
    pub(crate) fn grow(&self, entries: std::ops::Range<usize>) {
        let samples: Vec<_> = entries.map(sample).collect();
        Ledger::open(&self.path)
            .unwrap()
            .append_all(&samples)
            .unwrap();
        publish(&self.path).unwrap();
    }

    /// Asks the witness for its cosignature over the newest checkpoint.
    pub(crate) fn submit(&mut self) -> Answer {
        let published = Published::of(&self.path).unwrap();
        let Some(checkpoint) = published.checkpoint().cloned() else {
            return Answer::Other(0);
        };
        let old = self.witness.logs().next().unwrap().1;
        // A host that finds the contradiction itself does not even ask.
        let ledger = Ledger::open_read_only(&self.path).unwrap();
        if Publisher::open(&ledger, key()).is_err() {
            return Answer::Other(0);
        }
        let tiles = tlog::Tiles::at(self.file("tiles"));
        let size = checkpoint.unverified().size;
        let proof = Prover::new(&tiles).consistency(old, size);
        let request = AddCheckpoint {
            old_size: old,
            proof: proof.unwrap_or_default(),
            checkpoint: checkpoint.clone(),
        };
        let request = request.to_string();
        let answer = self
            .witness
            .add_checkpoint(request.as_bytes(), 1_700_000_000);
        let answer = answer.unwrap();
        if let Answer::Cosigned(signatures) = &answer {
            let mut seen = checkpoint.clone();
            for signature in signatures {
                assert!(seen.add(signature.clone(), &self.trusted()).unwrap());
            }
            fs::write(self.file("checkpoint.cosigned"), seen.to_string()).unwrap();
            self.seen = Some(seen);
        }
        answer
    }

    pub(crate) fn trusted(&self) -> Vec<VerifierKey> {
        vec![self.witness.verifier().clone()]
    }

    /// What the host can find out by itself.
    pub(crate) fn alone(&self) -> Audit {
        self.audit(Expectations {
            key: Some(key().verifier().clone()),
            ..Expectations::default()
        })
    }

    /// The same with what the witness saw.
    pub(crate) fn witnessed(&self) -> Audit {
        self.audit(Expectations {
            key: Some(key().verifier().clone()),
            witnesses: self.trusted(),
            checkpoint: self.seen.clone(),
            ..Expectations::default()
        })
    }

    fn audit(&self, known: Expectations) -> Audit {
        Ledger::open_read_only(&self.path)
            .unwrap()
            .audit(&known)
            .unwrap()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Everything that lies on the host, as a snapshot has it.
    pub(crate) fn snapshot(&self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        copy_all(self.dir.path(), copy.path());
        copy
    }

    /// Puts a snapshot back.
    pub(crate) fn restore(&self, snapshot: &TempDir) {
        self.forget();
        self.remove_database();
        copy_all(snapshot.path(), self.dir.path());
    }

    /// Removes the database and what SQLite keeps beside it.
    pub(crate) fn remove_database(&self) {
        for name in ["blockchain.db", "blockchain.db-wal", "blockchain.db-shm"] {
            let _ = fs::remove_file(self.file(name));
        }
    }

    /// Removes all that was published.
    pub(crate) fn forget(&self) {
        let _ = fs::remove_dir_all(self.file("tiles"));
        let _ = fs::remove_file(self.file("checkpoint"));
        let _ = fs::remove_file(self.file("checkpoint.cosigned"));
    }
}

fn copy_all(from: &Path, to: &Path) {
    for name in [
        "blockchain.db",
        "blockchain.db-wal",
        "checkpoint",
        "checkpoint.cosigned",
        "tiles",
    ] {
        let there = from.join(name);
        if there.exists() {
            lab::run(
                "cp",
                &[
                    "-a",
                    there.to_str().unwrap(),
                    to.join(name).to_str().unwrap(),
                ],
            );
        }
    }
}
