//! What a run is about to do and has done, on disk before and after each change.
//!
//! One JSON record a line, appended and synced. The file is made with a run's intent and removed when its
//! outcome has been written and the ledger has all of it. A file that is there when a run starts tells of
//! one that did not end, or of some that ended while the ledger was out of reach.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use durable::sync_entry;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::change::Change;
use crate::plan::PlanHash;

/// A step that was done, and how long it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timed {
    /// The change's place in the plan, from 0.
    pub step: usize,
    /// Milliseconds.
    pub duration_ms: u64,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// Everything was done and verified.
    Applied,
    /// Everything that had been done was undone.
    RolledBack,
    /// A later run found it interrupted, undid the changes in flight and kept the finished ones.
    Interrupted,
}

/// One record of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
pub enum Record {
    /// The run begins: what will be done, for whom.
    Intent {
        /// The run's id.
        run: String,
        /// Who asked, through which door: passed through to the ledger.
        actor: Value,
        /// Milliseconds since 1970-01-01 UTC.
        time_ms: u64,
        /// The plan's hash.
        plan_hash: PlanHash,
        /// The plan.
        changes: Vec<Change>,
        /// The confirm window in seconds, if the plan touches the management path.
        window_s: Option<u64>,
    },
    /// Steps are about to be done.
    Begin {
        /// Places in the plan.
        steps: Vec<usize>,
    },
    /// Steps are done.
    Done {
        /// Places in the plan, with durations.
        steps: Vec<Timed>,
    },
    /// Steps failed; they may be half done.
    Failed {
        /// Places in the plan.
        steps: Vec<usize>,
        /// Why.
        error: String,
    },
    /// The run is being undone.
    UndoBegin {
        /// Why.
        reason: String,
    },
    /// A step was taken back.
    Undone {
        /// Its place in the plan.
        step: usize,
    },
    /// A step could not be taken back.
    UndoFailed {
        /// Its place in the plan.
        step: usize,
        /// Why.
        error: String,
    },
    /// All is done and verified, and waits for a person to keep it.
    Awaiting {
        /// Milliseconds since 1970-01-01 UTC after which it is undone.
        deadline_ms: u64,
    },
    /// The run has ended.
    Outcome {
        /// How.
        ending: Ending,
        /// Milliseconds from the intent.
        duration_ms: u64,
        /// The failure that was undone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
}

/// Why the journal could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be used.
    #[error("journal {path}: {source}")]
    Io {
        /// The journal.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A line in the middle is not a record.
    #[error(
        "journal {path}, line {line}: not a record ({reason}). It tells of a run that did not end; \
         look at what it did, then move the file away"
    )]
    Garbage {
        /// The journal.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Length of the whole records, in bytes.
    length: u64,
}

impl Journal {
    /// Opens the journal to write a new run into it, making it if it is not there.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let open = || {
            let file = OpenOptions::new().append(true).create(true).open(path)?;
            sync_entry(path)?;
            let length = file.metadata()?.len();
            Ok((file, length))
        };
        let (file, length) = open().map_err(|source| io_error(path, source))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            length,
        })
    }

    /// Opens a journal that is there, to end what it tells of. A last line that was cut off by a
    /// crash is dropped: what it announced had not begun.
    pub fn load(path: &Path) -> Result<Option<(Self, Vec<Record>)>, JournalError> {
        let file = match OpenOptions::new().read(true).append(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(io_error(path, source)),
        };
        let (records, good) = whole_records(path, &file)?;
        file.set_len(good)
            .map_err(|source| io_error(path, source))?;
        let journal = Self {
            path: path.to_owned(),
            file,
            length: good,
        };
        if records.is_empty() {
            journal.remove()?;
            return Ok(None);
        }
        Ok(Some((journal, records)))
    }

    /// What a journal tells, without touching it; nothing if there is none.
    pub fn read(path: &Path) -> Result<Vec<Record>, JournalError> {
        match File::open(path) {
            Ok(file) => Ok(whole_records(path, &file)?.0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(source) => Err(io_error(path, source)),
        }
    }

    /// Appends a record, durably.
    pub fn append(&mut self, record: &Record) -> Result<(), JournalError> {
        let write = || {
            let mut line = serde_json::to_vec(record)?;
            line.push(b'\n');
            (&self.file).write_all(&line)?;
            self.file.sync_data()?;
            Ok(line.len() as u64)
        };
        let written = write().map_err(|source| {
            // Half a line must not stand before the next whole one.
            let _ = self.file.set_len(self.length);
            io_error(&self.path, source)
        })?;
        self.length += written;
        Ok(())
    }

    /// Ends the journal's life.
    pub fn remove(&self) -> Result<(), JournalError> {
        std::fs::remove_file(&self.path)
            .and_then(|()| sync_entry(&self.path))
            .map_err(|source| io_error(&self.path, source))
    }
}

/// The records up to the first half line, and their length in bytes.
fn whole_records(path: &Path, file: &File) -> Result<(Vec<Record>, u64), JournalError> {
    let mut records = Vec::new();
    let mut length = 0;
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reader
            .read_until(b'\n', &mut line)
            .map_err(|source| io_error(path, source))?;
        if read == 0 || line.last() != Some(&b'\n') {
            return Ok((records, length));
        }
        let record = serde_json::from_slice(&line).map_err(|error| JournalError::Garbage {
            path: path.to_owned(),
            line: records.len() + 1,
            reason: error.to_string(),
        })?;
        records.push(record);
        length += read as u64;
    }
}

fn io_error(path: &Path, source: io::Error) -> JournalError {
    JournalError::Io {
        path: path.to_owned(),
        source,
    }
}
