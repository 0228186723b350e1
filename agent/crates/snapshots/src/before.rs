//! The state before a restore, which is a snapshot too.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::Timestamp;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::change::write_record;
use crate::class::Class;
use crate::error::{Error, Result, failed};
use crate::name::SnapshotName;
use crate::restore::{Exchange, Kind, Restored, drop_subvolume, finish, uuid};
use crate::store::{Locked, NewSnapshot, Store};

impl Locked<'_> {
    /// Makes it from what is there.
    pub(crate) fn snapshot_before(
        &self,
        name: &SnapshotName,
        subvolumes: &BTreeSet<String>,
        now: Timestamp,
    ) -> Result<SnapshotName> {
        let class = Class::Restore;
        let prefix = class.prefix().unwrap_or_default();
        let before = format!("{prefix}{}", now.strftime("%Y%m%dT%H%M%S.%3fZ")).parse()?;
        let new = NewSnapshot {
            name: before,
            class,
            subvolumes: subvolumes.clone(),
            reason: Some(format!("before {name} was restored")),
            now,
        };
        Ok(self.create(&new)?.name)
    }
}

impl Store<'_> {
    /// After all exchanges: makes them last, keeps the old ones as the snapshot of the state before, and says that it
    /// is over unless it is to be told.
    pub(crate) fn end_exchange(&self, restored: &Restored) -> Result<()> {
        let Kind::Subvolumes(exchanges) = &restored.kind else {
            return finish(self);
        };
        btrfs::sync(&self.base)?;
        // Who has removed it by hand does not want it.
        if self.directory().join(restored.before.as_str()).is_dir() {
            for (subvolume, exchange) in exchanges {
                self.keep_old(&restored.before, subvolume, &exchange.old)?;
            }
            self.record_old(&restored.before, exchanges)?;
            btrfs::sync(&self.base)?;
        }
        for subvolume in exchanges.keys() {
            drop_subvolume(&self.coming(subvolume))?;
        }
        match restored.note {
            Some(_) => Ok(()),
            None => finish(self),
        }
    }

    /// Puts what was exchanged out in the place of the copy that was made of it before: it has all that was written
    /// until its name was another's, and the copy has not.
    fn keep_old(&self, before: &SnapshotName, subvolume: &str, old: &str) -> Result<()> {
        let out = self.coming(subvolume);
        let place = self.place(before, subvolume);
        let is_old = |path: &Path| match uuid(path) {
            Ok(found) => Ok(found == old),
            Err(Error::Btrfs(btrfs::Error::NotFound { .. })) => Ok(false),
            Err(error) => Err(error),
        };
        if is_old(&out)? {
            drop_subvolume(&place)?;
            renameat_with(CWD, &out, CWD, &place, RenameFlags::NOREPLACE)
                .map_err(failed("put in place", &place))?;
        }
        // Only now: a read-only subvolume cannot change its directory.
        match is_old(&place)? {
            true => Ok(btrfs::set_read_only(&place, true)?),
            false => Ok(()),
        }
    }

    /// Writes down that the snapshot of the state before has the old subvolumes themselves.
    fn record_old(
        &self,
        before: &SnapshotName,
        exchanges: &BTreeMap<String, Exchange>,
    ) -> Result<()> {
        let mut record = self.show(before)?.record;
        for (subvolume, exchange) in exchanges {
            let info = btrfs::info(self.place(before, subvolume))?;
            if let Some(taken) = record.subvolumes.get_mut(subvolume) {
                taken.uuid.clone_from(&exchange.old);
                taken.generation = info.generation;
            }
        }
        write_record(&self.directory().join(before.as_str()), &record)
    }
}
