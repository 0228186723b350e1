//! Proofs from what was published: they need tiles and checkpoints, and the entry itself.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::Serialize;
use tlog::{MAX_NOTE, Proof, Prover, SignedCheckpoint, check_consistency, check_inclusion};

use super::publisher::id;
use super::{Files, ProofError};
use crate::ledger::Ledger;

/// What was published of a ledger, for readers.
#[derive(Debug)]
pub struct Published {
    files: Files,
    newest: Option<SignedCheckpoint>,
    cosigned: Option<SignedCheckpoint>,
}

/// That a tree is the beginning of a later one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Consistency {
    /// Leaves of the old tree.
    pub old_size: u64,
    /// Its root, in Base64.
    pub old_root: String,
    /// Leaves of the new tree.
    pub new_size: u64,
    /// Its root, in Base64.
    pub new_root: String,
    /// The proof (RFC 6962 §2.1.2), in Base64.
    pub proof: Vec<String>,
}

impl Published {
    /// What was published of the ledger at a path.
    ///
    /// # Errors
    ///
    /// If a checkpoint is there that cannot be read.
    pub fn of(ledger: &Path) -> Result<Self, ProofError> {
        let files = Files::beside(ledger);
        Ok(Self {
            newest: read_checkpoint(&files.checkpoint())?,
            cosigned: read_checkpoint(&files.cosigned())?,
            files,
        })
    }

    /// The newest checkpoint.
    pub fn checkpoint(&self) -> Option<&SignedCheckpoint> {
        self.newest.as_ref()
    }

    /// The newest checkpoint that was cosigned.
    pub fn cosigned(&self) -> Option<&SignedCheckpoint> {
        self.cosigned.as_ref()
    }

    /// A proof of an entry that needs nothing else: its canonical JSON, the path, and a checkpoint. The cosigned one
    /// is taken if it covers the entry.
    ///
    /// # Errors
    ///
    /// [`ProofError::NoCheckpoint`], [`ProofError::NotCovered`]; [`ProofError::Rewritten`] if the entry is not the
    /// one that was published.
    pub fn prove(&self, ledger: &Ledger, entry: i64) -> Result<Proof, ProofError> {
        let newest = self.newest.as_ref().ok_or(ProofError::NoCheckpoint)?;
        let covers = |signed: &&SignedCheckpoint| id(signed.unverified().size) > entry;
        let Some(checkpoint) = self
            .cosigned
            .as_ref()
            .filter(covers)
            .or(Some(newest).filter(covers))
        else {
            return Err(ProofError::NotCovered {
                id: entry,
                size: newest.unverified().size,
            });
        };
        let data = ledger
            .leaf_data(entry)?
            .ok_or(ProofError::Rewritten { id: entry })?;
        let head = checkpoint.unverified();
        let index = entry.unsigned_abs();
        let tiles = self.files.tiles();
        let path = Prover::new(&tiles).inclusion(index, head.size)?;
        match check_inclusion(&path, index, tlog::leaf_hash(&data), head.size, head.root) {
            true => Ok(Proof {
                extra: Some(data),
                index,
                path,
                checkpoint: checkpoint.clone(),
            }),
            false => Err(ProofError::Rewritten { id: entry }),
        }
    }

    /// Shows that the tree of one size is the beginning of that of another.
    ///
    /// # Errors
    ///
    /// If there were no such trees; [`ProofError::Root`] if the tiles do not make what was signed.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Consistency, ProofError> {
        let newest = self.newest.as_ref().ok_or(ProofError::NoCheckpoint)?;
        let head = newest.unverified();
        if new > head.size {
            return Err(ProofError::NotCovered {
                id: id(new) - 1,
                size: head.size,
            });
        }
        let tiles = self.files.tiles();
        let prover = Prover::new(&tiles);
        let (old_root, new_root) = (prover.root(old)?, prover.root(new)?);
        let proof = prover.consistency(old, new)?;
        let whole = prover.consistency(new, head.size)?;
        let true_ones = check_consistency(&proof, (old, old_root), (new, new_root))
            && check_consistency(&whole, (new, new_root), (head.size, head.root));
        match true_ones {
            true => Ok(Consistency {
                old_size: old,
                old_root: old_root.to_string(),
                new_size: new,
                new_root: new_root.to_string(),
                proof: proof.iter().map(ToString::to_string).collect(),
            }),
            false => Err(ProofError::Root { size: head.size }),
        }
    }
}

/// A checkpoint in a file, if there is one.
pub(super) fn read_checkpoint(path: &Path) -> Result<Option<SignedCheckpoint>, ProofError> {
    let failed = |source| ProofError::Io {
        path: path.to_owned(),
        source,
    };
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(failed)?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_NOTE as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    let signed = SignedCheckpoint::parse(&bytes).map_err(|source| ProofError::Checkpoint {
        what: path.display().to_string(),
        source,
    })?;
    Ok(Some(signed))
}
