//! Brings a snapshot back: whole subvolumes by exchanging names, single paths by renaming.
//!
//! What is to come is made beside its place first. Then `@snapshots/.restore.json` says what is going to be
//! exchanged, and is on disk before the first name changes. Whoever finds that file goes on: until it is gone the
//! restore has not ended.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result, failed};
use crate::name::{SnapshotName, is_subvolume_name};
use crate::paths;
use crate::store::{Locked, Store};

/// What is to come has this before its name, beside its place.
pub(crate) const COMING: &str = ".restore-";
const JOURNAL: &str = ".restore.json";
const LARGEST_JOURNAL: u64 = 1 << 20;

/// What was brought back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// The snapshot that it came from.
    pub snapshot: SnapshotName,
    /// The snapshot of the state before.
    pub before: SnapshotName,
    /// What it was.
    #[serde(flatten)]
    pub kind: Kind,
    /// What has to be told of it elsewhere before it has ended; see [`Locked::restore_noting`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Value>,
}

/// What a restore brings back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Subvolumes, by name: the UUIDs of the one that was there and of the one that is to come.
    Subvolumes(BTreeMap<String, Exchange>),
    /// One path.
    Path {
        /// The subvolume and the path within.
        path: String,
        /// The number of the file or directory that is to come.
        inode: u64,
    },
}

/// Two subvolumes that change places.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// The UUID of the one that was there.
    pub old: String,
    /// The UUID of the one that is to come.
    pub new: String,
}

/// What became of a restore that did not end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The restore.
    pub restore: Restored,
    /// It was carried out; if not, everything is as before.
    pub done: bool,
}

impl Locked<'_> {
    /// Puts subvolumes of a snapshot in the place of those that are there, which become the snapshot of the state
    /// before: whatever was written until then is in it.
    ///
    /// All of them, or none if something fails. Files that somebody has open stay those of the old subvolumes.
    pub fn restore(
        &self,
        name: &SnapshotName,
        subvolumes: &BTreeSet<String>,
        now: Timestamp,
    ) -> Result<Restored> {
        self.restore_noting(name, subvolumes, now, None)
    }

    /// The same for what has to be told of elsewhere, such as in a ledger that is itself brought back: until
    /// [`Locked::settle`] says that it was, whoever takes the lock finds this restore with its note.
    pub fn restore_noting(
        &self,
        name: &SnapshotName,
        subvolumes: &BTreeSet<String>,
        now: Timestamp,
        note: Option<Value>,
    ) -> Result<Restored> {
        let record = self.store.sound(name)?;
        for subvolume in subvolumes {
            if !record.subvolumes.contains_key(subvolume) {
                return Err(Error::NotInSnapshot {
                    snapshot: name.clone(),
                    what: subvolume.clone(),
                });
            }
            self.must_be_ours(subvolume)?;
            self.must_be_plain(subvolume)?;
        }
        // Where there is no room for it, that is known before anything changes.
        let before = self.snapshot_before(name, subvolumes, now)?;
        let prepared = self.prepare(name, subvolumes);
        let exchanges = prepared.inspect_err(|_| self.drop_coming(subvolumes))?;
        let restored = Restored {
            snapshot: name.clone(),
            before,
            kind: Kind::Subvolumes(exchanges),
            note,
        };
        let journal = self.store.journal();
        if let Err(error) = write_journal(&journal, &restored) {
            self.drop_coming(subvolumes);
            return Err(error);
        }
        let mut done = Vec::new();
        for subvolume in subvolumes {
            match exchange(self.store, subvolume) {
                Ok(()) => done.push(subvolume),
                Err(error) => {
                    // Each exchange is its own inverse.
                    for subvolume in done.into_iter().rev() {
                        exchange(self.store, subvolume)?;
                    }
                    // The journal first: it cannot be followed once what was to come is gone.
                    btrfs::sync(&self.store.base)?;
                    finish(self.store)?;
                    self.drop_coming(subvolumes);
                    return Err(error);
                }
            }
        }
        self.store.end_exchange(&restored)?;
        Ok(restored)
    }

    /// What there was to tell of a restore was told.
    pub fn settle(&self) -> Result<()> {
        finish(self.store)
    }

    /// Puts one file or directory of a snapshot in the place of the one that is there, if any. The state before is
    /// kept as a snapshot of its subvolume; what is written to the path after that and until it is replaced is lost.
    pub fn restore_path(
        &self,
        name: &SnapshotName,
        path: &str,
        now: Timestamp,
    ) -> Result<Restored> {
        let record = self.store.sound(name)?;
        let (subvolume, rest) = crate::tree::split(path)?;
        if !record.subvolumes.contains_key(&subvolume) {
            return Err(Error::NotInSnapshot {
                snapshot: name.clone(),
                what: subvolume,
            });
        }
        self.must_be_ours(&subvolume)?;
        let from = self.store.place(name, &subvolume);
        let to = self.store.base.join(&subvolume);
        if !paths::is_there(&from, rest)? {
            return Err(Error::NotInSnapshot {
                snapshot: name.clone(),
                what: path.to_owned(),
            });
        }
        paths::may_be_replaced(&to, rest)?;
        let before = self.snapshot_before(name, &BTreeSet::from([subvolume]), now)?;
        let mut restored = Restored {
            snapshot: name.clone(),
            before,
            kind: Kind::Path {
                path: path.to_owned(),
                inode: 0,
            },
            note: None,
        };
        // Written before there is anything to be removed; again once it is known what is to come.
        let journal = self.store.journal();
        write_journal(&journal, &restored)?;
        let placed = paths::copy(&from, &to, rest).and_then(|inode| {
            restored.kind = Kind::Path {
                path: path.to_owned(),
                inode,
            };
            write_journal(&journal, &restored)?;
            paths::put_in_place(&to, rest)
        });
        let cleared = paths::clear(&to, rest);
        finish(self.store)?;
        placed.and(cleared)?;
        Ok(restored)
    }

    /// What holds other subvolumes cannot be exchanged: they would go with the old one.
    fn must_be_plain(&self, subvolume: &str) -> Result<()> {
        let inner = btrfs::children(self.store.base.join(subvolume))?;
        match inner.first() {
            None => Ok(()),
            Some(first) => Err(Error::Refused {
                what: subvolume.to_owned(),
                why: format!(
                    "it has other subvolumes in it ({}), which no snapshot of it has: restore single paths with --path",
                    first.display()
                ),
            }),
        }
    }

    /// Makes what is to come, beside its place.
    fn prepare(
        &self,
        name: &SnapshotName,
        subvolumes: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Exchange>> {
        let mut exchanges = BTreeMap::new();
        for subvolume in subvolumes {
            let coming = self.store.coming(subvolume);
            drop_subvolume(&coming)?;
            btrfs::snapshot(self.store.place(name, subvolume), &coming, false)?;
            self.store.ownership.sign(&coming, subvolume)?;
            let exchange = Exchange {
                old: uuid(&self.store.base.join(subvolume))?,
                new: uuid(&coming)?,
            };
            exchanges.insert(subvolume.clone(), exchange);
        }
        btrfs::sync(&self.store.base)?;
        Ok(exchanges)
    }

    fn drop_coming(&self, subvolumes: &BTreeSet<String>) {
        for subvolume in subvolumes {
            let coming = self.store.coming(subvolume);
            if let Err(error) = drop_subvolume(&coming) {
                log::warn!(
                    "{} is left until the next restore: {error}",
                    coming.display()
                );
            }
        }
    }
}

impl Store<'_> {
    pub(crate) fn coming(&self, subvolume: &str) -> PathBuf {
        self.base.join(format!("{COMING}{subvolume}"))
    }

    fn journal(&self) -> PathBuf {
        self.directory().join(JOURNAL)
    }
}

/// Goes on with a restore that did not end. To be called by who holds the lock.
pub(crate) fn recover(store: &Store<'_>) -> Result<Option<Recovered>> {
    let path = store.journal();
    let Some(restore) = read_journal(&path)? else {
        sweep(store)?;
        return Ok(None);
    };
    let done = match &restore.kind {
        Kind::Subvolumes(exchanges) => {
            for (subvolume, exchange) in exchanges {
                go_on(store, subvolume, exchange, &path)?;
            }
            store.end_exchange(&restore)?;
            true
        }
        Kind::Path { path, inode } => {
            let (subvolume, rest) = crate::tree::split(path)?;
            let to = store.base.join(subvolume);
            let done = match paths::is_in_place(&to, rest, *inode) {
                // With the directory that it lies in went what was beside it.
                Err(Error::Refused { .. }) => false,
                done => {
                    paths::clear(&to, rest)?;
                    done?
                }
            };
            finish(store)?;
            done
        }
    };
    sweep(store)?;
    Ok(Some(Recovered { restore, done }))
}

fn go_on(store: &Store<'_>, subvolume: &str, is: &Exchange, journal: &Path) -> Result<()> {
    let unclear = |reason: String| Error::Journal {
        path: journal.to_owned(),
        reason: format!("{subvolume} {reason}; put it in order by hand, then remove the file"),
    };
    if !is_subvolume_name(subvolume) {
        return Err(unclear("is no name of a subvolume".to_owned()));
    }
    let there = uuid(&store.base.join(subvolume))?;
    if there == is.new {
        return Ok(());
    }
    let coming = uuid(&store.coming(subvolume))?;
    match there == is.old && coming == is.new {
        true => exchange(store, subvolume),
        false => Err(unclear(format!(
            "is {there}, neither what it was nor what was to come"
        ))),
    }
}

/// Removes what was made for a restore that never began.
fn sweep(store: &Store<'_>) -> Result<()> {
    // A journal that was being written says nothing: what it was for had not begun, or goes by the older one.
    let unwritten = durable::beside(&store.journal()).map_err(failed("name", &store.journal()))?;
    match fs::remove_file(&unwritten) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(failed("remove", &unwritten)(error));
        }
        _ => {}
    }
    for entry in fs::read_dir(&store.base).map_err(failed("list", &store.base))? {
        let entry = entry.map_err(failed("list", &store.base))?;
        let name = entry.file_name();
        let of = name.to_str().and_then(|name| name.strip_prefix(COMING));
        if of.is_some_and(is_subvolume_name)
            && let Err(error) = drop_subvolume(&entry.path())
        {
            log::warn!("{} is left for now: {error}", entry.path().display());
        }
    }
    Ok(())
}

fn exchange(store: &Store<'_>, subvolume: &str) -> Result<()> {
    let there = store.base.join(subvolume);
    let coming = store.coming(subvolume);
    renameat_with(CWD, &coming, CWD, &there, RenameFlags::EXCHANGE)
        .map_err(failed("exchange", &there))
}

pub(crate) fn uuid(path: &Path) -> Result<String> {
    let uuid = btrfs::info(path)?.uuid;
    Ok(uuid.map_or_else(String::new, |uuid| uuid.to_string()))
}

pub(crate) fn drop_subvolume(path: &Path) -> Result<()> {
    match btrfs::delete_recursive(path) {
        Err(btrfs::Error::NotFound { .. }) => Ok(()),
        done => Ok(done?),
    }
}

fn write_journal(path: &Path, restore: &Restored) -> Result<()> {
    let text = serde_json::to_vec(restore).map_err(|error| Error::Journal {
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    durable::replace(path, &text, 0o600).map_err(failed("write", path))
}

fn read_journal(path: &Path) -> Result<Option<Restored>> {
    use std::io::Read;
    let file = match fs::File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.map_err(failed("read", path))?,
    };
    let mut text = Vec::new();
    file.take(LARGEST_JOURNAL)
        .read_to_end(&mut text)
        .map_err(failed("read", path))?;
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|error| Error::Journal {
            path: path.to_owned(),
            reason: error.to_string(),
        })
}

/// Says that the restore has ended.
pub(crate) fn finish(store: &Store<'_>) -> Result<()> {
    let path = store.journal();
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("remove", &path)(error)),
        _ => durable::sync_entry(&path).map_err(failed("write to disk", &path)),
    }
}
