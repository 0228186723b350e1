//! Making, pinning and deleting snapshots, while nobody else does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use durable::sync_directory;
use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};
use rustix::io::Errno;

use crate::class::Class;
use crate::error::{Error, Result, failed};
use crate::name::{SnapshotName, is_subvolume_name};
use crate::record::{Record, Taken, VERSION};
use crate::store::{
    Locked, NewSnapshot, PLUGIN, RECORD, SNAPSHOTS, TRASH, UNFINISHED, mark_of, remove,
};
use crate::tree;

impl Locked<'_> {
    /// Makes a snapshot: whole, or not at all.
    ///
    /// Of `@timing` and `@vectors` each brings the other along, if that is there: an index of a ledger is of no
    /// use without it. `@vectors` is taken first, so that it never knows of more than the ledger that it is with.
    pub fn create(&self, new: &NewSnapshot) -> Result<Record> {
        let wanted = self.with_pairs(&new.subvolumes)?;
        check_name(&new.name, new.class)?;
        for name in &wanted {
            self.must_be_ours(name)?;
        }
        let directory = self.store.directory();
        let place = directory.join(new.name.as_str());
        if place.symlink_metadata().is_ok() {
            return Err(Error::Taken(new.name.clone()));
        }
        let unfinished = directory.join(format!("{UNFINISHED}{}", new.name));
        let made = self.fill(&unfinished, &wanted, new).and_then(|record| {
            renameat_with(CWD, &unfinished, CWD, &place, RenameFlags::NOREPLACE).map_err(
                |errno| match errno {
                    Errno::EXIST => Error::Taken(new.name.clone()),
                    errno => failed("put in place", &place)(errno),
                },
            )?;
            sync_directory(&directory).map_err(failed("write to disk", &directory))?;
            Ok(record)
        });
        if made.is_err()
            && let Err(error) = remove(&unfinished)
        {
            log::warn!(
                "{} is left until the next snapshot: {error}",
                unfinished.display()
            );
        }
        made
    }

    fn with_pairs(&self, wanted: &BTreeSet<String>) -> Result<BTreeSet<String>> {
        let mut all = wanted.clone();
        for (one, other) in [("@timing", "@vectors"), ("@vectors", "@timing")] {
            let path = self.store.base.join(other);
            if wanted.contains(one) && path.symlink_metadata().is_ok() {
                all.insert(other.to_owned());
            }
        }
        match all.is_empty() {
            true => Err(Error::Refused {
                what: "a snapshot of nothing".to_owned(),
                why: "name one subvolume or more".to_owned(),
            }),
            false => Ok(all),
        }
    }

    pub(crate) fn must_be_ours(&self, name: &str) -> Result<()> {
        if !is_subvolume_name(name) {
            return Err(Error::NoSubvolume(name.to_owned()));
        }
        if name == SNAPSHOTS {
            return Err(Error::Refused {
                what: SNAPSHOTS.to_owned(),
                why: "it holds the snapshots, and is not part of one".to_owned(),
            });
        }
        let path = self.store.base.join(name);
        match btrfs::is_subvolume(&path) {
            Ok(true) => {}
            Ok(false) | Err(btrfs::Error::NotFound { .. }) => {
                return Err(Error::NoSubvolume(name.to_owned()));
            }
            Err(error) => return Err(error.into()),
        }
        match self.store.ownership.is_ours(&path, name)? {
            true => Ok(()),
            false => Err(Error::Foreign(name.to_owned())),
        }
    }

    fn fill(&self, at: &Path, wanted: &BTreeSet<String>, new: &NewSnapshot) -> Result<Record> {
        fs::create_dir(at).map_err(failed("make", at))?;
        fs::set_permissions(at, Permissions::from_mode(0o700))
            .map_err(failed("set the permissions of", at))?;
        let mut subvolumes = BTreeMap::new();
        // Backwards by name: `@vectors` comes before `@timing`.
        for name in wanted.iter().rev() {
            let source = self.store.base.join(name);
            let before = btrfs::info(&source)?;
            let without = btrfs::children(&source)?;
            let copy = at.join(name);
            // The kernel writes out what is in memory of it first, and is done when it is on disk.
            btrfs::snapshot(&source, &copy, true)?;
            let uuid = |uuid: Option<btrfs::Uuid>| uuid.map_or_else(String::new, |u| u.to_string());
            let inside = |path: &PathBuf| {
                let inside = path.strip_prefix(&source).unwrap_or(path);
                inside.to_string_lossy().into_owned()
            };
            let taken = Taken {
                uuid: uuid(btrfs::info(&copy)?.uuid),
                source: uuid(before.uuid),
                generation: before.generation,
                without: without.iter().map(inside).collect(),
            };
            subvolumes.insert(name.clone(), taken);
        }
        let record = Record {
            version: VERSION,
            name: new.name.clone(),
            class: new.class,
            created: new.now,
            pinned: false,
            reason: new.reason.clone(),
            subvolumes,
        };
        write_record(at, &record)?;
        let mark = self.store.ownership.mark(at, &mark_of(&new.name));
        mark.map_err(failed("mark", at))?;
        Ok(record)
    }

    /// Pins a snapshot, or unpins it; whether that was a change.
    pub fn pin(&self, name: &SnapshotName, pinned: bool) -> Result<bool> {
        let mut record = self.store.show(name)?.record;
        if record.pinned == pinned {
            return Ok(false);
        }
        record.pinned = pinned;
        write_record(&self.store.directory().join(name.as_str()), &record)?;
        Ok(true)
    }

    /// Deletes a snapshot that is not pinned. What else was put into its directory makes it stay.
    pub fn delete(&self, name: &SnapshotName) -> Result<()> {
        let record = self.store.show(name)?.record;
        if record.pinned {
            return Err(Error::Pinned(name.clone()));
        }
        let place = self.store.directory().join(name.as_str());
        for entry in fs::read_dir(&place).map_err(failed("list", &place))? {
            let entry = entry.map_err(failed("list", &place))?.file_name();
            let known = entry.to_str().is_some_and(|entry| {
                let taken = record.subvolumes.get(entry);
                entry == RECORD
                    || durable::beside(&place.join(RECORD)).is_ok_and(|it| it == place.join(entry))
                    || taken.is_some_and(|taken| is_it(&place.join(entry), taken))
            });
            if !known {
                return Err(Error::Foreign(format!(
                    "{SNAPSHOTS}/{name}/{}",
                    entry.to_string_lossy()
                )));
            }
        }
        let _alone = alone(&place, name)?;
        let trash = self.store.directory().join(format!("{TRASH}{name}"));
        renameat_with(CWD, &place, CWD, &trash, RenameFlags::NOREPLACE)
            .map_err(failed("remove", &place))?;
        remove(&trash)?;
        // After this a power cut does not bring it back.
        Ok(btrfs::sync(self.store.directory())?)
    }
}

fn check_name(name: &SnapshotName, class: Class) -> Result<()> {
    if name.as_str().starts_with(PLUGIN) {
        return Err(Error::Claimed {
            name: name.clone(),
            prefix: PLUGIN.to_owned(),
            owner: "the export of plugins",
        });
    }
    match Class::claiming(name) {
        Some(claiming) if claiming != class => Err(Error::Claimed {
            name: name.clone(),
            prefix: claiming.prefix().unwrap_or_default().to_owned(),
            owner: "the host itself",
        }),
        _ => Ok(()),
    }
}

/// Whether the subvolume at `path` is the one that was made, whatever its flags.
fn is_it(path: &Path, taken: &Taken) -> bool {
    let uuid = btrfs::info(path).ok().and_then(|info| info.uuid);
    uuid.map(|uuid| uuid.to_string()).as_ref() == Some(&taken.uuid)
}

/// Takes the lock on a snapshot's directory, which whoever reads the snapshot for longer shares with others.
fn alone(place: &Path, name: &SnapshotName) -> Result<OwnedFd> {
    let directory = tree::root(place)?;
    match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(directory),
        Err(Errno::WOULDBLOCK) => Err(Error::InUse(name.clone())),
        Err(errno) => Err(failed("lock", place)(errno)),
    }
}

pub(crate) fn write_record(directory: &Path, record: &Record) -> Result<()> {
    let path = directory.join(RECORD);
    let text = serde_json::to_vec_pretty(record).map_err(|error| Error::Io {
        doing: "write",
        path: path.clone(),
        source: error.into(),
    })?;
    durable::replace(&path, &text, 0o600).map_err(failed("write", &path))
}
