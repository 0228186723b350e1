//! Where snapshots are: what is there, whose it is, and the lock on it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};

use crate::class::Class;
use crate::error::{Error, Result, failed};
use crate::name::{SnapshotName, is_subvolume_name};
use crate::record::{Record, Taken, VERSION};
use crate::restore::{Recovered, recover};

/// The subvolume that holds the snapshots; never part of one itself.
pub(crate) const SNAPSHOTS: &str = "@snapshots";
pub(crate) const RECORD: &str = "snapshot.json";
/// Longer ones are not ours.
const LARGEST_RECORD: u64 = 1 << 20;
/// What is being made, and what is being removed.
pub(crate) const UNFINISHED: &str = ".new-";
pub(crate) const TRASH: &str = ".trash-";
/// What exported plugins begin with, which lie beside the snapshots.
pub(crate) const PLUGIN: &str = "plugin-";

/// How the host tells what is its own.
pub trait Ownership: Send + Sync {
    /// Whether the subvolume at `path` is the host's own `name`.
    fn is_ours(&self, path: &Path, name: &str) -> btrfs::Result<bool>;
    /// Makes the subvolume at `path` the host's own `name`, wherever it is now.
    fn sign(&self, path: &Path, name: &str) -> btrfs::Result<()>;
    /// What the directory at `path` is marked with.
    fn mark_of(&self, path: &Path) -> std::io::Result<Option<String>>;
    /// Marks the directory at `path`.
    fn mark(&self, path: &Path, mark: &str) -> std::io::Result<()>;
}

/// The snapshots of one base.
#[derive(Clone)]
pub struct Store<'a> {
    pub(crate) base: PathBuf,
    pub(crate) ownership: &'a dyn Ownership,
}

/// A snapshot that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// What it is.
    pub record: Record,
    /// What is wrong with it.
    pub damage: Vec<String>,
}

/// Something among the snapshots that is none of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// Its name.
    pub name: String,
    /// What it is, in a word or a few.
    pub what: &'static str,
}

/// Everything in `@snapshots`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Ours, the oldest first.
    pub snapshots: Vec<Snapshot>,
    /// The rest, by name.
    pub foreign: Vec<Foreign>,
}

/// A snapshot to be made.
#[derive(Debug, Clone)]
pub struct NewSnapshot {
    /// Its name.
    pub name: SnapshotName,
    /// Why it is made.
    pub class: Class,
    /// What it is to have.
    pub subvolumes: BTreeSet<String>,
    /// What for, in words.
    pub reason: Option<String>,
    /// The time.
    pub now: Timestamp,
}

/// The store while nobody else changes it.
pub struct Locked<'a> {
    pub(crate) store: &'a Store<'a>,
    /// What an interrupted restore had left, and what became of it.
    pub recovered: Option<Recovered>,
    _lock: OwnedFd,
}

impl<'a> Store<'a> {
    /// The snapshots of the base at `base`.
    pub fn new(base: &Path, ownership: &'a dyn Ownership) -> Self {
        Self {
            base: base.to_owned(),
            ownership,
        }
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.base.join(SNAPSHOTS)
    }

    /// The place of one subvolume of a snapshot.
    pub fn place(&self, name: &SnapshotName, subvolume: &str) -> PathBuf {
        self.directory().join(name.as_str()).join(subvolume)
    }

    /// Whether there is a place for snapshots, and it is ours.
    pub fn is_there(&self) -> Result<bool> {
        let directory = self.directory();
        match btrfs::is_subvolume(&directory) {
            Ok(true) => Ok(self.ownership.is_ours(&directory, SNAPSHOTS)?),
            Ok(false) | Err(btrfs::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps others out, and puts in order what a crash left.
    pub fn lock(&'a self) -> Result<Locked<'a>> {
        let directory = self.directory();
        if !self.is_there()? {
            return Err(Error::Refused {
                what: directory.display().to_string(),
                why: "it is not there, or not ours: `op-dbus apply` makes it".to_owned(),
            });
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let lock =
            open(&directory, flags, Mode::empty()).map_err(failed("open directory", &directory))?;
        flock(&lock, FlockOperation::LockExclusive).map_err(failed("lock", &directory))?;
        let recovered = recover(self)?;
        self.sweep()?;
        Ok(Locked {
            store: self,
            recovered,
            _lock: lock,
        })
    }

    /// Everything among the snapshots.
    pub fn list(&self) -> Result<Found> {
        let mut found = Found::default();
        for name in self.names()? {
            let parsed = name.to_str().and_then(|name| name.parse().ok());
            let ours = match &parsed {
                Some(name) => self.read(name)?,
                None => None,
            };
            match ours {
                Some(snapshot) => found.snapshots.push(snapshot),
                None if is_ours_in_between(&name) => {}
                None => found.foreign.push(Foreign {
                    what: self.kind(&name),
                    name: name.to_string_lossy().into_owned(),
                }),
            }
        }
        found.snapshots.sort_by(|one, other| {
            let key = |snapshot: &Snapshot| (snapshot.record.created, snapshot.record.name.clone());
            key(one).cmp(&key(other))
        });
        found
            .foreign
            .sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    /// One snapshot.
    pub fn show(&self, name: &SnapshotName) -> Result<Snapshot> {
        match self.read(name)? {
            Some(snapshot) => Ok(snapshot),
            None if self
                .directory()
                .join(name.as_str())
                .symlink_metadata()
                .is_ok() =>
            {
                Err(Error::Foreign(format!("{SNAPSHOTS}/{name}")))
            }
            None => Err(Error::NoSnapshot(name.clone())),
        }
    }

    /// A snapshot without damage.
    pub(crate) fn sound(&self, name: &SnapshotName) -> Result<Record> {
        let snapshot = self.show(name)?;
        match snapshot.damage.is_empty() {
            true => Ok(snapshot.record),
            false => Err(Error::Damaged {
                name: name.clone(),
                damage: snapshot.damage.join("; "),
            }),
        }
    }

    fn names(&self) -> Result<Vec<std::ffi::OsString>> {
        let directory = self.directory();
        let listed = match fs::read_dir(&directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            listed => listed.map_err(failed("list", &directory))?,
        };
        listed
            .map(|entry| Ok(entry.map_err(failed("list", &directory))?.file_name()))
            .collect()
    }

    /// What is written down of a snapshot, and what is wrong with it; `None` if it is not there or none of ours.
    fn read(&self, name: &SnapshotName) -> Result<Option<Snapshot>> {
        let directory = self.directory().join(name.as_str());
        match directory.symlink_metadata() {
            Ok(found) if found.is_dir() => {}
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(failed("look at", &directory)(error));
            }
            _ => return Ok(None),
        }
        let mark = self.ownership.mark_of(&directory);
        if mark.map_err(failed("read the mark of", &directory))? != Some(mark_of(name)) {
            return Ok(None);
        }
        let path = directory.join(RECORD);
        let Ok(text) = read_bounded(&path) else {
            return Ok(None);
        };
        let Ok(record) = serde_json::from_slice::<Record>(&text) else {
            return Ok(None);
        };
        let sound = record.version == VERSION
            && record.name == *name
            && record.subvolumes.keys().all(|name| is_subvolume_name(name));
        if !sound {
            return Ok(None);
        }
        let damage = record
            .subvolumes
            .iter()
            .filter_map(|(subvolume, taken)| damage(&directory.join(subvolume), subvolume, taken))
            .collect();
        Ok(Some(Snapshot { record, damage }))
    }

    fn kind(&self, name: &OsStr) -> &'static str {
        let path = self.directory().join(name);
        let exported = name.to_str().is_some_and(|name| name.starts_with(PLUGIN));
        match path.symlink_metadata() {
            Ok(found) if found.is_symlink() => "symbolic link",
            Ok(found) if !found.is_dir() => "file",
            _ if !btrfs::is_subvolume(&path).unwrap_or(false) => "directory",
            _ if exported => "exported plugin",
            _ => "subvolume",
        }
    }

    /// Removes what was being made or removed when the machine stopped. What cannot go now, such as what somebody
    /// sends, is no reason to keep everybody from their work: the next one tries again.
    fn sweep(&self) -> Result<()> {
        for name in self.names()? {
            let path = self.directory().join(&name);
            if is_ours_in_between(&name)
                && let Err(error) = remove(&path)
            {
                log::warn!("{} is left for now: {error}", path.display());
            }
        }
        Ok(())
    }
}

/// The mark of a snapshot's directory: a copy under another name is not ours.
pub(crate) fn mark_of(name: &SnapshotName) -> String {
    format!("snapshot {name}")
}

/// Whether a name is one of those that things have while they are made or removed.
fn is_ours_in_between(name: &OsStr) -> bool {
    let name = name.to_str();
    let rest = name.and_then(|name| {
        name.strip_prefix(UNFINISHED)
            .or_else(|| name.strip_prefix(TRASH))
    });
    rest.is_some_and(|rest| rest.parse::<SnapshotName>().is_ok())
}

fn damage(path: &Path, name: &str, taken: &Taken) -> Option<String> {
    match btrfs::info(path) {
        Err(error) => Some(format!("{name}: {error}")),
        Ok(info) if info.uuid.map(|uuid| uuid.to_string()).as_ref() != Some(&taken.uuid) => {
            Some(format!("{name} is another subvolume than was made"))
        }
        Ok(info) if !info.read_only => Some(format!("{name} was made writable")),
        Ok(_) => None,
    }
}

fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(open(path, flags, Mode::empty())?);
    let mut bytes = Vec::new();
    file.take(LARGEST_RECORD).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Removes a directory of ours with the subvolumes and files directly in it.
pub(crate) fn remove(directory: &Path) -> Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed("list", directory))?,
    };
    for entry in entries {
        let path = entry.map_err(failed("list", directory))?.path();
        match btrfs::is_subvolume(&path)? {
            true => btrfs::delete_recursive(&path)?,
            false => fs::remove_file(&path).map_err(failed("remove", &path))?,
        }
    }
    fs::remove_dir(directory).map_err(failed("remove", directory))
}
