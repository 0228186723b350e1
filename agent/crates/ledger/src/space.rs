//! Room on the file system, which btrfs needs in a way of its own.
//!
//! SQLite maps its `-shm` file into memory. btrfs writes every changed page to a new place, and when
//! there is none left, a change of that memory ends the process (`SIGBUS`). Where this can happen,
//! the last few MiB are therefore not used at all.

use std::path::{Path, PathBuf};

use rustix::fs::{statfs, statvfs};

use crate::error::{Error, Result};

/// `BTRFS_SUPER_MAGIC` of `linux/magic.h`.
const BTRFS: u32 = 0x9123_683e;
/// Bytes that must be free for a write: several times what a transaction and a checkpoint take.
const WRITE: u64 = 4 << 20;
/// Bytes below which a disk is taken for full.
const SHORT: u64 = 1 << 20;

/// The room where a ledger is.
#[derive(Debug)]
pub(crate) struct Space {
    path: PathBuf,
    on_btrfs: bool,
}

impl Space {
    pub(crate) fn new(path: &Path) -> Self {
        let on_btrfs = statfs(path).is_ok_and(|fs| fs.f_type as u32 == BTRFS);
        Self {
            path: path.to_owned(),
            on_btrfs,
        }
    }

    /// Whether there is so little room that a failing write is no wonder.
    pub(crate) fn is_short(&self) -> bool {
        self.free() < SHORT
    }

    /// Fails when a write could end the process.
    pub(crate) fn to_write(&self) -> Result<()> {
        self.room(WRITE)
    }

    /// Fails when a read could end the process: readers leave a mark in the memory.
    pub(crate) fn to_read(&self) -> Result<()> {
        self.room(SHORT)
    }

    fn room(&self, reserve: u64) -> Result<()> {
        match self.on_btrfs && self.free() < reserve {
            true => Err(Error::DiskFull {
                path: self.path.clone(),
            }),
            false => Ok(()),
        }
    }

    /// Bytes that are free; many if nobody knows.
    fn free(&self) -> u64 {
        statvfs(&self.path).map_or(u64::MAX, |fs| fs.f_bavail.saturating_mul(fs.f_frsize))
    }
}
