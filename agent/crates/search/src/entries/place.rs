//! The directory of the index: names, the lock, and the seal.
//!
//! The seal says how the files were when they were last written to: whoever finds them otherwise looks at every
//! byte before believing them. It is no signature. It finds accidents, not attackers, who find
//! nothing in here that the ledger would not show them to be wrong.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::embedder::ModelId;

const DATABASE: &str = "vector-index.db";
const LOCK: &str = "vector-index.lock";
const SEAL: &str = "vector-index.seal";

/// How long others may hold the lock.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);
/// How often it is looked whether they still do.
const LOOK: Duration = Duration::from_millis(5);

/// The directory of an index.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    dir: PathBuf,
}

impl Place {
    pub(crate) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.dir.join(DATABASE)
    }

    pub(crate) fn vectors(&self, model: &ModelId) -> PathBuf {
        self.dir.join(vectors_name(model))
    }

    /// Waits until nobody writes, and keeps writers out; `WouldBlock` where that takes too long.
    pub(crate) fn shared(&self) -> io::Result<File> {
        patiently(self.lock_file()?, File::try_lock_shared)
    }

    /// Waits until nobody reads or writes, and keeps everybody out; `WouldBlock` where that takes too long.
    pub(crate) fn exclusive(&self) -> io::Result<File> {
        patiently(self.lock_file()?, File::try_lock)
    }

    fn lock_file(&self) -> io::Result<File> {
        let path = self.dir.join(LOCK);
        match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o640)
                .open(&path),
            opened => opened,
        }
    }

    /// Whether the files are as they were when they were sealed.
    pub(crate) fn is_sealed(&self, models: &[String]) -> bool {
        let kept = fs::read_to_string(self.dir.join(SEAL));
        kept.is_ok_and(|kept| kept == self.stamps(models))
    }

    /// Seals the files as they are.
    pub(crate) fn seal(&self, models: &[String]) -> io::Result<()> {
        let path = self.dir.join(SEAL);
        let next = path.with_extension("seal.new");
        fs::write(&next, self.stamps(models))?;
        fs::rename(&next, &path)
    }

    /// Has the next one to open the files look at every byte.
    pub(crate) fn break_seal(&self) -> io::Result<()> {
        remove(&self.dir.join(SEAL))
    }

    fn stamps(&self, models: &[String]) -> String {
        let files = models.iter().map(|model| format!("{model}.vectors"));
        let mut out = String::new();
        for name in std::iter::once(DATABASE.to_owned()).chain(files) {
            let stamp = match fs::metadata(self.dir.join(&name)) {
                Ok(file) => format!(
                    "{} {} {}.{:09} {}.{:09}",
                    file.ino(),
                    file.size(),
                    file.mtime(),
                    file.mtime_nsec(),
                    file.ctime(),
                    file.ctime_nsec()
                ),
                Err(_) => "none".to_owned(),
            };
            // Writing to memory cannot fail.
            let _ = writeln!(out, "{name} {stamp}");
        }
        out
    }

    /// Takes the database away, with what SQLite left beside it.
    pub(crate) fn remove_database(&self) -> io::Result<()> {
        for suffix in ["", "-journal", "-wal", "-shm"] {
            remove(&self.dir.join(format!("{DATABASE}{suffix}")))?;
        }
        Ok(())
    }

    /// Takes the vectors of a model away.
    pub(crate) fn remove_vectors(&self, model: &str) -> io::Result<()> {
        match model.parse::<ModelId>() {
            Ok(model) => remove(&self.vectors(&model)),
            Err(_) => Ok(()),
        }
    }

    /// Takes the vectors of all models away.
    pub(crate) fn remove_all_vectors(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "vectors")
            {
                remove(&path)?;
            }
        }
        Ok(())
    }
}

/// Takes a lock, for which the kernel knows no deadline.
fn patiently(file: File, lock: fn(&File) -> Result<(), TryLockError>) -> io::Result<File> {
    let begun = Instant::now();
    loop {
        match lock(&file) {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if begun.elapsed() >= PATIENCE => {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOOK),
        }
    }
}

fn vectors_name(model: &ModelId) -> String {
    format!("{model}.vectors")
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
