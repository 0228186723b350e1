//! Proofs in one file (C2SP `tlog-proof`): an entry's place, its path to the root, and the signed root.

use std::fmt;

use tlog_tiles::Hash;

use crate::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
use crate::encode;
use crate::key::VerifierKey;
use crate::note::MAX_NOTE;
use crate::prover::check_inclusion;

/// The longest proof that is read, in bytes. The extra data is most of it.
pub const MAX_PROOF: usize = 32 * 1024 * 1024;

/// How a proof begins.
const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// A proof cannot be read, or proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// It is longer than [`MAX_PROOF`].
    #[error("the proof is longer than {MAX_PROOF} bytes")]
    TooLong,
    /// A line is not what it has to be.
    #[error("line {line} of the proof is not {wanted}")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wanted there.
        wanted: &'static str,
    },
    /// Its checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The path does not lead from the entry to the root that was signed.
    #[error(
        "the entry is not the one that the log has at position {index}: the entry, the position or the path was changed"
    )]
    NotIncluded {
        /// The position that the proof names.
        index: u64,
    },
}

/// A proof that an entry is in a log.
#[derive(Debug, Clone, PartialEq)]
pub struct Proof {
    /// Whatever goes with it, such as the entry itself. Nobody signed it: it counts once its hash was verified.
    pub extra: Option<Vec<u8>>,
    /// The entry's position, from 0.
    pub index: u64,
    /// The path to the root, from the leaf's sibling on.
    pub path: Vec<Hash>,
    /// The log's head, with signatures.
    pub checkpoint: SignedCheckpoint,
}

impl Proof {
    /// Reads a proof. Nothing is verified yet.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProofError> {
        if bytes.len() > MAX_PROOF {
            return Err(ProofError::TooLong);
        }
        let wrong = |line, wanted| ProofError::Line { line, wanted };
        let text = std::str::from_utf8(bytes).map_err(|_| wrong(1, "plain text"))?;
        let (head, checkpoint) = text
            .split_once("\n\n")
            .ok_or(wrong(1, "followed by an empty line and a checkpoint"))?;
        let mut lines = (1..).zip(head.split('\n')).peekable();
        lines
            .next_if(|(_, line)| *line == HEADER)
            .ok_or(wrong(1, HEADER))?;
        let extra = match lines.next_if(|(_, line)| line.starts_with("extra ")) {
            Some((line, text)) => Some(
                encode::bytes(&text["extra ".len()..]).ok_or(wrong(line, "`extra` and Base64"))?,
            ),
            None => None,
        };
        let at = lines.peek().map_or(2, |(line, _)| *line);
        let index = lines
            .next()
            .and_then(|(_, line)| line.strip_prefix("index "))
            .and_then(encode::number);
        let index = index.ok_or(wrong(at, "`index` and a number"))?;
        let mut path = Vec::new();
        for (line, text) in lines {
            match encode::hash(text) {
                Some(hash) if path.len() < 63 => path.push(hash),
                _ => return Err(wrong(line, "one of at most 63 hashes")),
            }
        }
        // A note is bounded by itself; this is before it is copied.
        let checkpoint = checkpoint
            .as_bytes()
            .get(..=MAX_NOTE)
            .unwrap_or(checkpoint.as_bytes());
        Ok(Self {
            extra,
            index,
            path,
            checkpoint: SignedCheckpoint::parse(checkpoint)?,
        })
    }

    /// The head of the log, if the log with this key signed it and has the leaf with this hash at the proof's index.
    pub fn verify(&self, leaf: Hash, log: &VerifierKey) -> Result<&Checkpoint, ProofError> {
        let head = self.checkpoint.verify(log)?;
        match check_inclusion(&self.path, self.index, leaf, head.size, head.root) {
            true => Ok(head),
            false => Err(ProofError::NotIncluded { index: self.index }),
        }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", encode::base64(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.path
            .iter()
            .try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}
