//! A bounded cache in memory and on disk, in front of where things come from.
//!
//! Three tiers, one question: [`Cache::get_or_make`] looks in memory, then on disk, and asks the source last. On disk
//! there is an SQLite index (`index.db`) and one file for each content, named by its SHA-256, below `embeddings/`,
//! `queries/` or `blocks/`. Nothing in it is needed: what is lost is made again.
//!
//! A file that is missing, cut or changed is a miss, and goes. An index that is damaged is made anew. Files appear by
//! renaming, under a lock that the index gives; several processes may use one directory.

mod disk;
mod index;
mod memory;
mod tally;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};

use disk::Disk;
use memory::Memory;
pub use tally::{Counts, Tally};

/// What is kept; each kind has a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Vectors of texts.
    Embeddings,
    /// Answers to questions.
    Queries,
    /// What is found out of things that do not change, such as the difference of two snapshots.
    Blocks,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Embeddings, Self::Queries, Self::Blocks];

    /// The name of its directory.
    pub fn name(self) -> &'static str {
        match self {
            Self::Embeddings => "embeddings",
            Self::Queries => "queries",
            Self::Blocks => "blocks",
        }
    }
}

/// What something is found by: the SHA-256 of all that it was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key([u8; 32]);

impl Key {
    /// The key of these parts; `["a", "b"]` and `["ab"]` differ.
    pub fn of<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> Self {
        let mut digest = Sha256::new();
        for part in parts {
            let part = part.as_ref();
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        Self(digest.finalize().into())
    }
}

/// How much is kept, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes on disk, all kinds together.
    pub disk: u64,
    /// Bytes in memory.
    pub memory: u64,
    /// How long something may go unused.
    pub age: Duration,
}

/// Where something was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// In memory.
    Memory,
    /// On disk.
    Disk,
    /// Nowhere: it was made.
    Source,
}

/// What a kind has on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stock {
    /// How many things are known.
    pub entries: u64,
    /// Bytes of their content. Content that several share counts for each.
    pub bytes: u64,
}

/// What was taken out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Things that are no longer known.
    pub entries: u64,
    /// Bytes of files that are no longer there.
    pub bytes: u64,
    /// Files that nothing referred to, left by a crash.
    pub orphans: u64,
    /// Files that were missing or not as they had been written.
    pub damaged: u64,
}

/// Why the disk could not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The index refused.
    #[error("the cache's index {}: {source}", .path.display())]
    Index {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
}

/// The cache. Clones of what it gives share the memory.
#[derive(Debug)]
pub struct Cache {
    bounds: Bounds,
    memory: Mutex<Memory>,
    disk: Option<Disk>,
    tally: Tally,
}

impl Cache {
    /// A cache in this directory, which is there; nothing in it is opened before it is used.
    pub fn new(directory: &Path, bounds: Bounds) -> Self {
        Self {
            disk: Some(Disk::at(directory, bounds)),
            ..Self::in_memory(bounds)
        }
    }

    /// A cache without a disk.
    pub fn in_memory(bounds: Bounds) -> Self {
        Self {
            bounds,
            memory: Mutex::new(Memory::new(bounds.memory)),
            disk: None,
            tally: Tally::default(),
        }
    }

    /// How much it keeps.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Something that is known, or else made. A disk that fails is no reason not to answer.
    pub fn get_or_make<E>(
        &self,
        kind: Kind,
        key: Key,
        make: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<(Arc<[u8]>, Tier), E> {
        if let Some((content, tier)) = self.get(kind, key) {
            return Ok((content, tier));
        }
        let content = make()?;
        Ok((self.put(kind, key, content), Tier::Source))
    }

    /// Something that is known.
    pub fn get(&self, kind: Kind, key: Key) -> Option<(Arc<[u8]>, Tier)> {
        if let Some(content) = self.memory().get(kind, key) {
            self.tally.count(kind, Tier::Memory);
            return Some((content, Tier::Memory));
        }
        let found = self.disk.as_ref().and_then(|disk| {
            let found = disk.get(kind, key);
            found.unwrap_or_else(|error| {
                log::warn!("the cache is passed by: {error}");
                None
            })
        });
        let Some(content) = found else {
            self.tally.count(kind, Tier::Source);
            return None;
        };
        let content: Arc<[u8]> = content.into();
        self.memory().put(kind, key, &content);
        self.tally.count(kind, Tier::Disk);
        Some((content, Tier::Disk))
    }

    /// Keeps something.
    pub fn put(&self, kind: Kind, key: Key, content: Vec<u8>) -> Arc<[u8]> {
        if let Some(disk) = &self.disk
            && let Err(error) = disk.put(kind, key, &content)
        {
            log::warn!("not kept in the cache: {error}");
        }
        let content: Arc<[u8]> = content.into();
        self.memory().put(kind, key, &content);
        content
    }

    /// How often what was found where, since this cache was made.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Bytes in memory.
    pub fn memory_bytes(&self) -> u64 {
        self.memory().bytes()
    }

    /// What is on disk, by kind.
    pub fn stock(&self) -> Result<Vec<(Kind, Stock)>, Error> {
        match &self.disk {
            Some(disk) => disk.stock(),
            None => Ok(Kind::ALL.map(|kind| (kind, Stock::default())).to_vec()),
        }
    }

    /// Takes out everything, or everything of a kind.
    pub fn clear(&self, kind: Option<Kind>) -> Result<Removed, Error> {
        self.memory().clear();
        match &self.disk {
            Some(disk) => disk.clear(kind),
            None => Ok(Removed::default()),
        }
    }

    /// Takes out what is too old, what is too much, what is damaged and what nothing refers to. Each file is read.
    pub fn clean(&self, age: Duration) -> Result<Removed, Error> {
        self.memory().clear();
        match &self.disk {
            Some(disk) => disk.clean(age),
            None => Ok(Removed::default()),
        }
    }

    /// Gives memory and open files back; they come again with the next question.
    pub fn rest(&self) {
        self.memory().clear();
        if let Some(disk) = &self.disk {
            disk.rest();
        }
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
