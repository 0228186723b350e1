//! Witnessing (C2SP `tlog-witness`): remember the last head of a log, and cosign the next if it continues it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};
use tlog_tiles::{EMPTY_HASH, Hash};

use crate::checkpoint::{CheckpointError, SignedCheckpoint};
use crate::encode;
use crate::key::{Algorithm, KeyError, KeyName, SigningKey, VerifierKey};
use crate::note::{MAX_NOTE, Signature, signature_lines};
use crate::prover::check_consistency;

/// The longest request that is read, in bytes: a note, 63 hashes and a number.
pub const MAX_REQUEST: usize = MAX_NOTE + 4096;

/// A request cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// It is longer than [`MAX_REQUEST`].
    #[error("the request is longer than {MAX_REQUEST} bytes")]
    TooLong,
    /// A line is not what it has to be.
    #[error("line {line} of the request is not {wanted}")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wanted there.
        wanted: &'static str,
    },
    /// Its checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The old tree is larger than the new one.
    #[error("the old size is {old}, and the checkpoint's {new}: a log does not shrink")]
    Shrinks {
        /// The size that was said to be cosigned.
        old: u64,
        /// The size of the checkpoint.
        new: u64,
    },
}

/// A request for a cosignature.
#[derive(Debug, Clone, PartialEq)]
pub struct AddCheckpoint {
    /// The size that the witness cosigned last, as the log believes; 0 if never.
    pub old_size: u64,
    /// What shows that the old tree is the beginning of the new one.
    pub proof: Vec<Hash>,
    /// The head to be cosigned.
    pub checkpoint: SignedCheckpoint,
}

impl AddCheckpoint {
    /// Reads the body of a request.
    pub fn parse(bytes: &[u8]) -> Result<Self, RequestError> {
        if bytes.len() > MAX_REQUEST {
            return Err(RequestError::TooLong);
        }
        let wrong = |line, wanted| RequestError::Line { line, wanted };
        let text = std::str::from_utf8(bytes).map_err(|_| wrong(1, "plain text"))?;
        let parts = text.split_once("\n\n");
        let (head, checkpoint) =
            parts.ok_or(wrong(1, "followed by an empty line and a checkpoint"))?;
        let mut lines = head.split('\n');
        let old_size = lines
            .next()
            .and_then(|line| line.strip_prefix("old "))
            .and_then(encode::number);
        let old_size = old_size.ok_or(wrong(1, "`old` and a number"))?;
        let mut proof = Vec::new();
        for (position, line) in lines.enumerate() {
            match encode::hash(line) {
                Some(hash) if proof.len() < 63 => proof.push(hash),
                _ => return Err(wrong(2 + position, "one of at most 63 hashes")),
            }
        }
        let checkpoint = SignedCheckpoint::parse(checkpoint.as_bytes())?;
        let new = checkpoint.unverified().size;
        match old_size <= new {
            true => Ok(Self {
                old_size,
                proof,
                checkpoint,
            }),
            false => Err(RequestError::Shrinks { old: old_size, new }),
        }
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old_size)?;
        self.proof
            .iter()
            .try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

/// What a witness answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// 200: it has cosigned.
    Cosigned(Vec<Signature>),
    /// 400: the request cannot be read, and why.
    Bad(String),
    /// 403: the checkpoint is not signed by the log's key.
    Forbidden,
    /// 404: the witness does not know this log.
    Unknown,
    /// 409: the size that it cosigned last is this one. If it is the size that was asked with, the roots differ: a fork.
    Conflict(u64),
    /// 422: the proof does not show that the old tree is the beginning of the new one.
    Unproven,
    /// Anything else, by its HTTP status.
    Other(u16),
}

/// The content type of an answer that is a size.
const SIZE_TYPE: &str = "text/x.tlog.size";

impl Answer {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::Cosigned(_) => 200,
            Self::Bad(_) => 400,
            Self::Forbidden => 403,
            Self::Unknown => 404,
            Self::Conflict(_) => 409,
            Self::Unproven => 422,
            Self::Other(status) => *status,
        }
    }

    /// The content type.
    pub fn content_type(&self) -> &'static str {
        match self {
            Self::Conflict(_) => SIZE_TYPE,
            _ => "text/plain; charset=utf-8",
        }
    }

    /// The body.
    pub fn body(&self) -> String {
        match self {
            Self::Cosigned(signatures) => signatures
                .iter()
                .map(|signature| format!("{signature}\n"))
                .collect(),
            Self::Conflict(size) => format!("{size}\n"),
            Self::Bad(why) => format!("{why}\n"),
            Self::Forbidden => {
                "the checkpoint is not signed by the key that this witness has for the log\n"
                    .to_owned()
            }
            Self::Unknown => "this witness does not know the log\n".to_owned(),
            Self::Unproven => {
                "the proof does not lead from the tree that was cosigned last to this one\n"
                    .to_owned()
            }
            Self::Other(_) => "the witness cannot do this now\n".to_owned(),
        }
    }

    /// Reads an answer. What cannot be read is [`Answer::Other`].
    pub fn read(status: u16, content_type: Option<&str>, body: &[u8]) -> Self {
        let text = std::str::from_utf8(body)
            .ok()
            .filter(|text| text.len() <= MAX_NOTE);
        let read = match status {
            200 => text
                .and_then(encode::lines)
                .and_then(|lines| signature_lines(lines, 1).ok())
                .map(Self::Cosigned),
            400 => text.map(|text| {
                Self::Bad(text.chars().filter(|c| !c.is_control()).take(200).collect())
            }),
            403 => Some(Self::Forbidden),
            404 => Some(Self::Unknown),
            409 if content_type
                .is_some_and(|it| it.split(';').next().map(str::trim) == Some(SIZE_TYPE)) =>
            {
                text.and_then(|text| text.strip_suffix('\n'))
                    .and_then(encode::number)
                    .map(Self::Conflict)
            }
            422 => Some(Self::Unproven),
            _ => None,
        };
        read.unwrap_or(Self::Other(status))
    }
}

/// A witness cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// The key is for something else.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// What it remembers cannot be read or written.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another process uses the same directory. The two would not know what the other has cosigned.
    #[error("another witness uses {path}: stop it first", path = .0.display())]
    Busy(PathBuf),
    /// What it remembers of a log cannot be read. Without it a fork could not be told, so it is not replaced.
    #[error("{path} is not what a witness wrote: {source}", path = .path.display())]
    Memory {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: CheckpointError,
    },
}

/// A witness: it remembers the last head of each log that it knows, in a directory of its own, and cosigns what
/// continues it.
#[derive(Debug)]
pub struct Witness {
    key: SigningKey,
    directory: PathBuf,
    logs: BTreeMap<KeyName, Log>,
    /// Held until it ends.
    _lock: File,
}

#[derive(Debug)]
struct Log {
    key: VerifierKey,
    /// The head that was cosigned last. It is locked from the check to the answer, so that no two requests cross.
    last: Mutex<(u64, Hash)>,
}

impl Witness {
    /// A witness for logs with these keys. What it cosigned before is read from the directory.
    ///
    /// # Errors
    /// If what it remembers cannot be read: it would forget what it has seen.
    pub fn open(
        key: SigningKey,
        directory: impl Into<PathBuf>,
        logs: impl IntoIterator<Item = VerifierKey>,
    ) -> Result<Self, WitnessError> {
        let key = key.for_purpose(Algorithm::Cosignature)?;
        let directory = directory.into();
        let failed = |source| WitnessError::Io {
            path: directory.clone(),
            source,
        };
        durable::create_directories(&directory).map_err(failed)?;
        let lock = File::open(&directory).map_err(failed)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(WitnessError::Busy(directory)),
            other => other.map_err(|error| failed(error.into()))?,
        }
        let mut witness = Self {
            key,
            directory,
            logs: BTreeMap::new(),
            _lock: lock,
        };
        for key in logs {
            let key = key.for_purpose(Algorithm::Ed25519)?;
            let last = Mutex::new(witness.remembered(&key)?);
            witness.logs.insert(key.name().clone(), Log { key, last });
        }
        Ok(witness)
    }

    /// The key that its cosignatures are checked by.
    pub fn verifier(&self) -> &VerifierKey {
        self.key.verifier()
    }

    /// The logs that it knows, each with the size that it cosigned last.
    pub fn logs(&self) -> impl Iterator<Item = (&KeyName, u64)> {
        let size = |log: &Log| log.last.lock().unwrap_or_else(PoisonError::into_inner).0;
        self.logs.iter().map(move |(name, log)| (name, size(log)))
    }

    /// Answers a request, at a time in seconds since 1970. A head that is cosigned is durable before this returns.
    ///
    /// # Errors
    /// If it cannot be remembered: then there is no cosignature.
    pub fn add_checkpoint(&self, body: &[u8], time: u64) -> Result<Answer, WitnessError> {
        let request = match AddCheckpoint::parse(body) {
            Ok(request) => request,
            Err(error) => return Ok(Answer::Bad(error.to_string())),
        };
        let Some(log) = self.logs.get(&request.checkpoint.unverified().origin) else {
            return Ok(Answer::Unknown);
        };
        let Ok(head) = request.checkpoint.verify(&log.key) else {
            return Ok(Answer::Forbidden);
        };
        let mut last = log.last.lock().unwrap_or_else(PoisonError::into_inner);
        let forked = head.size == last.0 && head.root != last.1;
        if request.old_size != last.0 || forked {
            return Ok(Answer::Conflict(last.0));
        }
        if !check_consistency(&request.proof, *last, (head.size, head.root)) {
            return Ok(Answer::Unproven);
        }
        let Ok(signature) = request.checkpoint.cosign(&self.key, time) else {
            return Ok(Answer::Other(500));
        };
        if head.size != last.0 {
            self.remember(&log.key, &request.checkpoint)?;
            *last = (head.size, head.root);
        }
        Ok(Answer::Cosigned(vec![signature]))
    }

    fn file(&self, log: &KeyName) -> PathBuf {
        // A digest, since an origin may be longer than a file's name or have `/` in it.
        self.directory
            .join(hex::encode(Sha256::digest(log.as_str())))
    }

    fn remember(
        &self,
        log: &VerifierKey,
        checkpoint: &SignedCheckpoint,
    ) -> Result<(), WitnessError> {
        let path = self.file(log.name());
        durable::replace(&path, checkpoint.to_string().as_bytes(), 0o600)
            .map_err(|source| WitnessError::Io { path, source })
    }

    fn remembered(&self, log: &VerifierKey) -> Result<(u64, Hash), WitnessError> {
        let path = self.file(log.name());
        let bytes = match std::fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((0, EMPTY_HASH)),
            Err(source) => return Err(WitnessError::Io { path, source }),
            Ok(bytes) => bytes,
        };
        let read = SignedCheckpoint::parse(&bytes);
        // With a new key for the same origin, the old head is still what was seen.
        let head = read.map(|signed| signed.unverified().clone());
        match head {
            Ok(head) if &head.origin == log.name() => Ok((head.size, head.root)),
            Ok(head) => {
                let (found, expected) = (head.origin, log.name().clone());
                Err(WitnessError::Memory {
                    path,
                    source: CheckpointError::Origin { found, expected },
                })
            }
            Err(source) => Err(WitnessError::Memory { path, source }),
        }
    }
}
