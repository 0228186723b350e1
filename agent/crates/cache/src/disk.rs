//! The tier on disk: an index, and a file for each content.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};

use crate::index::{self, Change, Index};
use crate::{Bounds, Error, Key, Kind, Removed, Stock};

/// How many uses are noted in memory before the index hears of them.
const TOUCHES: usize = 256;

/// What names of files that are being written end with.
const UNFINISHED: &str = ".new";

#[derive(Debug)]
pub(crate) struct Disk {
    directory: PathBuf,
    bounds: Bounds,
    open: Mutex<Open>,
    next: AtomicU64,
}

#[derive(Debug, Default)]
struct Open {
    index: Option<Index>,
    /// What was used, and when, and the index has not heard of.
    touched: Vec<(Kind, Key, i64)>,
}

impl Disk {
    pub(crate) fn at(directory: &Path, bounds: Bounds) -> Self {
        Self {
            directory: directory.to_owned(),
            bounds,
            open: Mutex::default(),
            next: AtomicU64::new(0),
        }
    }

    pub(crate) fn get(&self, kind: Kind, key: Key) -> Result<Option<Vec<u8>>, Error> {
        let known = self.with(|index, _| index.find(kind, key))?;
        let Some(known) = known else {
            return Ok(None);
        };
        match self.read(kind, &known.name) {
            Some(content) => {
                let mut open = self.open();
                open.touched.push((kind, key, now()));
                let many = open.touched.len() >= TOUCHES;
                drop(open);
                if many {
                    self.note_uses()?;
                }
                Ok(Some(content))
            }
            None => {
                self.with(|index, touched| {
                    let change = begin(index, touched)?;
                    // Somebody may have mended it meanwhile.
                    if self.read(kind, &known.name).is_none() {
                        change.forget(kind, &known.name)?;
                        remove(&self.file(kind, &known.name));
                    }
                    change.commit()
                })?;
                Ok(None)
            }
        }
    }

    pub(crate) fn put(&self, kind: Kind, key: Key, content: &[u8]) -> Result<(), Error> {
        let size = content.len() as u64;
        // One thing must not drive out all others.
        if size > self.bounds.disk / 4 {
            return Ok(());
        }
        let name = name(content);
        let file = self.file(kind, &name);
        let new = self.write_aside(kind, content)?;
        let mut placed = false;
        let put = self.with(|index, touched| {
            let change = begin(index, touched)?;
            // Under the index's lock nobody takes the file away before it is known.
            if !placed && let Err(error) = fs::rename(&new, &file) {
                return Ok(Err(io_error(&file, error)));
            }
            placed = true;
            change.put(kind, key, &name, size, now())?;
            self.make_room(&change, self.bounds.age)?;
            change.commit().map(Ok)
        });
        put.and_then(|put| put).inspect_err(|_| {
            let _ = fs::remove_file(&new);
        })
    }

    pub(crate) fn stock(&self) -> Result<Vec<(Kind, Stock)>, Error> {
        let stock = |index: &mut Index, _: &mut Vec<_>| {
            let kinds = Kind::ALL.into_iter();
            kinds.map(|kind| Ok((kind, index.stock(kind)?))).collect()
        };
        self.with(stock)
    }

    pub(crate) fn clear(&self, kind: Option<Kind>) -> Result<Removed, Error> {
        self.with(|index, touched| {
            let change = begin(index, touched)?;
            let mut removed = Removed::default();
            for kind in Kind::ALL
                .into_iter()
                .filter(|it| kind.is_none_or(|kind| kind == *it))
            {
                removed.entries += change.forget_all(kind)?;
                for file in self.files(kind) {
                    if !self.is_being_written(&file) {
                        removed.bytes += remove(&file);
                    }
                }
            }
            change.commit()?;
            Ok(removed)
        })
    }

    pub(crate) fn clean(&self, age: Duration) -> Result<Removed, Error> {
        // Damage that no question has met yet.
        let sound = self.with(|index, _| index.is_sound())?;
        if !sound {
            self.renew()?;
        }
        self.with(|index, touched| {
            let change = begin(index, touched)?;
            let mut removed = self.make_room(&change, age)?;
            for kind in Kind::ALL {
                let known = change.names(kind)?;
                for name in &known {
                    if self.read(kind, name).is_none() {
                        removed.damaged += 1;
                        removed.entries += change.forget(kind, name)?;
                        removed.bytes += remove(&self.file(kind, name));
                    }
                }
                for file in self.files(kind) {
                    let name = file.file_name().unwrap_or_default().to_string_lossy();
                    if known.iter().all(|known| *known != name) && !self.is_being_written(&file) {
                        removed.orphans += 1;
                        removed.bytes += remove(&file);
                    }
                }
            }
            change.commit()?;
            Ok(removed)
        })
    }

    /// Closes the index, which hears of the last uses first.
    pub(crate) fn rest(&self) {
        if let Err(error) = self.note_uses() {
            log::warn!("the cache does not know what was used last: {error}");
        }
        self.open().index = None;
    }

    fn note_uses(&self) -> Result<(), Error> {
        if self.open().touched.is_empty() {
            return Ok(());
        }
        self.with(|index, touched| begin(index, touched)?.commit())
    }

    /// Takes out what is too old and what is too much, the longest unused first.
    fn make_room(&self, change: &Change<'_>, age: Duration) -> rusqlite::Result<Removed> {
        let mut removed = Removed::default();
        let age = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        let oldest = now().saturating_sub(age);
        let mut bytes = change.bytes()?;
        loop {
            let before = match bytes > self.bounds.disk {
                true => i64::MAX,
                false => oldest,
            };
            let Some(known) = change.oldest(before)? else {
                return Ok(removed);
            };
            let gone = change.forget(known.kind, &known.name)?;
            // Only a row that nobody here wrote stays, and it would be the oldest for ever.
            if gone == 0 {
                return Err(rusqlite::Error::IntegralValueOutOfRange(
                    0,
                    known.kind as i64,
                ));
            }
            bytes = bytes.saturating_sub(known.size.saturating_mul(gone));
            removed.entries += gone;
            removed.bytes += remove(&self.file(known.kind, &known.name));
        }
    }

    /// Works with the index; one that is damaged is made anew, and the work is done again.
    fn with<T>(
        &self,
        mut work: impl FnMut(&mut Index, &mut Vec<(Kind, Key, i64)>) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        for attempt in 0.. {
            let mut open = self.open();
            let path = self.index();
            if open.index.as_ref().is_some_and(|index| !index.is_at(&path)) {
                open.index = None;
            }
            let Open { index, touched } = &mut *open;
            let opened = match index {
                Some(index) => Ok(index),
                None => self.open_index().map(|opened| index.insert(opened)),
            };
            let done = opened.and_then(|index| work(index, touched));
            match done {
                Ok(done) => return Ok(done),
                Err(source) if attempt == 0 && index::is_damage(&source) => {
                    log::warn!("the cache's index is damaged and made anew: {source}");
                    open.index = None;
                    drop(open);
                    self.renew()?;
                }
                Err(source) => return Err(Error::Index { path, source }),
            }
        }
        unreachable!("the loop ends by returning")
    }

    fn open_index(&self) -> rusqlite::Result<Index> {
        for kind in Kind::ALL {
            let mut builder = fs::DirBuilder::new();
            // Whoever may not make them is told when something is written.
            let _ = builder.mode(0o700).create(self.directory.join(kind.name()));
        }
        Index::open(&self.index())
    }

    /// Takes a damaged index away, unless another process did meanwhile.
    fn renew(&self) -> Result<(), Error> {
        let path = self.directory.join(".lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|source| io_error(&path, source))?;
        flock(&lock, FlockOperation::LockExclusive)
            .map_err(|errno| io_error(&path, errno.into()))?;
        self.open().index = None;
        let sound = Index::open(&self.index()).and_then(|index| index.is_sound());
        if sound.is_ok_and(|sound| sound) {
            return Ok(());
        }
        for file in index::files(&self.index()) {
            match fs::remove_file(&file) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(io_error(&file, error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A file's content, if it is what its name says.
    fn read(&self, kind: Kind, known: &str) -> Option<Vec<u8>> {
        // A name comes from the index, which may be damaged.
        let is_name = known.len() == 64 && known.bytes().all(|byte| byte.is_ascii_hexdigit());
        let content = fs::read(self.file(kind, known)).ok().filter(|_| is_name)?;
        (name(&content) == known).then_some(content)
    }

    /// Writes a content under a name of its own.
    fn write_aside(&self, kind: Kind, content: &[u8]) -> Result<PathBuf, Error> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let unique = format!("{}-{number}{UNFINISHED}", std::process::id());
        let path = self.directory.join(kind.name()).join(unique);
        if self.open().index.is_none() {
            self.with(|_, _| Ok(()))?;
        }
        let written = File::options()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(content));
        written.map_err(|source| {
            let _ = fs::remove_file(&path);
            io_error(&path, source)
        })?;
        Ok(path)
    }

    /// Whether a process that lives is writing a file.
    fn is_being_written(&self, file: &Path) -> bool {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let process = name.strip_suffix(UNFINISHED).and_then(|name| {
            let (process, _) = name.split_once('-')?;
            process.parse::<u32>().ok()
        });
        process.is_some_and(|process| Path::new(&format!("/proc/{process}")).exists())
    }

    fn files(&self, kind: Kind) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.directory.join(kind.name()));
        let entries = entries.into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }

    fn file(&self, kind: Kind, name: &str) -> PathBuf {
        self.directory.join(kind.name()).join(name)
    }

    fn index(&self) -> PathBuf {
        self.directory.join("index.db")
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.rest();
    }
}

/// Begins a change with the uses that the index has not heard of.
fn begin<'a>(
    index: &'a mut Index,
    touched: &mut Vec<(Kind, Key, i64)>,
) -> rusqlite::Result<Change<'a>> {
    let change = index.change()?;
    for (kind, key, used) in touched.drain(..) {
        change.touch(kind, key, used)?;
    }
    Ok(change)
}

fn name(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

/// Removes a file; how many bytes it had.
fn remove(file: &Path) -> u64 {
    let size = fs::symlink_metadata(file).map_or(0, |file| file.len());
    match fs::remove_file(file) {
        Ok(()) => size,
        Err(_) => 0,
    }
}

/// Microseconds since 1970-01-01 UTC.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    })
}

fn io_error(path: &Path, source: io::Error) -> Error {
    Error::Io {
        path: path.to_owned(),
        source,
    }
}
