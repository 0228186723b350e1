//! Putting the new file in the place of the damaged one, so that being killed at any point does no harm.
//!
//! ```text
//! PATH.recovery-partial/   being made: of no meaning, thrown away
//! PATH.recovery/           decided: the rest is only renaming, and is done again until it is done
//! recovered-TIME/          over: what was kept as evidence
//! ```

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use durable::sync_entry;
use serde_json::json;

use super::Outcome;
use crate::database::{beside, file_error};
use crate::error::{Error, Result};

/// Files in the directory of a recovery.
pub(super) const NEW: &str = "new.db";
pub(super) const DAMAGED: &str = "damaged.db";
pub(super) const NAME: &str = "name";
pub(super) const REPORT: &str = "report.json";
/// What lies beside a ledger and speaks of the very chain in it: it goes with a chain that ends.
const OF_THE_CHAIN: [&str; 3] = ["checkpoint", "checkpoint.cosigned", "tiles"];

/// What tells whether a ledger was written to: number, length and time of its two files.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stamp([Option<(u64, u64, i64, i64)>; 2]);

impl Stamp {
    pub(super) fn of(path: &Path) -> Self {
        Self([path.to_owned(), beside(path, "-wal")].map(|path| {
            // Readers make and remove an empty log.
            let file = fs::metadata(path).ok().filter(|file| file.len() > 0)?;
            Some((file.ino(), file.size(), file.mtime(), file.mtime_nsec()))
        }))
    }
}

/// Where a recovery is made.
pub(super) fn partial(path: &Path) -> PathBuf {
    beside(path, ".recovery-partial")
}

fn decided(path: &Path) -> PathBuf {
    beside(path, ".recovery")
}

/// Fails while a recovery was decided and not finished: what is written now would be lost.
pub(crate) fn is_over(path: &Path) -> Result<()> {
    match decided(path).symlink_metadata() {
        Err(_) => Ok(()),
        Ok(_) => Err(Error::Corrupt {
            path: path.to_owned(),
            detail: "its recovery was begun, and is finished when it is run again".to_owned(),
        }),
    }
}

/// Throws away what was not decided.
pub(super) fn discard(path: &Path) -> Result<()> {
    match fs::remove_dir_all(partial(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file_error(path, &error)),
        _ => Ok(()),
    }
}

/// Keeps the damaged files under a second name, and says that the rest is to be done.
pub(super) fn decide(path: &Path) -> Result<()> {
    let partial = partial(path);
    let steps = || {
        link(path, &partial.join(DAMAGED))?;
        link(
            &beside(path, "-wal"),
            &beside(&partial.join(DAMAGED), "-wal"),
        )?;
        File::open(&partial)?.sync_all()?;
        fs::rename(&partial, decided(path))?;
        sync_entry(path)
    };
    steps().map_err(|error| file_error(path, &error))
}

/// Does what is left of the renaming; gives where the evidence is.
pub(super) fn finish(path: &Path) -> Result<PathBuf> {
    let dir = decided(path);
    let steps = || {
        let beside_it = path.parent().unwrap_or(Path::new("."));
        let ends = !goes_on(&dir);
        for name in OF_THE_CHAIN.into_iter().filter(|_| ends) {
            // What is in the archive already was moved by the time before.
            if !dir.join(name).exists() {
                ignore_missing(fs::rename(beside_it.join(name), dir.join(name)))?;
            }
        }
        let new = dir.join(NEW);
        if new.exists() {
            // The log of the damaged file must never be read into the new one.
            ignore_missing(fs::remove_file(beside(path, "-wal")))?;
            ignore_missing(fs::remove_file(beside(path, "-shm")))?;
            sync_entry(path)?;
            fs::rename(&new, path)?;
            sync_entry(path)?;
        }
        let name = fs::read_to_string(dir.join(NAME))?;
        let mut archive = path.with_file_name(name.trim());
        let mut more = 1;
        while archive.exists() {
            more += 1;
            archive = path.with_file_name(format!("{}-{more}", name.trim()));
        }
        fs::rename(&dir, &archive)?;
        sync_entry(path)?;
        Ok(archive)
    };
    steps().map_err(|error| file_error(path, &error))
}

/// Whether the chain goes on: what was published of it has to agree with it as before.
fn goes_on(dir: &Path) -> bool {
    let report = fs::read(dir.join(REPORT)).ok();
    let report = report.and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok());
    report.is_some_and(|report| report["findings"]["outcome"] == json!(Outcome::Mended))
}

fn link(from: &Path, to: &Path) -> io::Result<()> {
    ignore_missing(fs::hard_link(from, to))
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
