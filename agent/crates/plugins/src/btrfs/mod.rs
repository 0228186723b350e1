//! Plugin `btrfs`: the base directory, the image that may hold it, and the subvolumes in it.
//!
//! Resources are `base`, with state `{path, image, size}` (size in bytes), and one `@NAME` for each
//! subvolume, with state `{compression}`. The base is made and grown but never deleted.

mod base;
mod subvolume;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use declaration::{Declaration, SubvolumeName};
use reconcile::{
    Change, Context, Desired, Direction, Effects, Key, Observed, Owner, Plugin, PluginError,
    Transition, Verb,
};
use serde_json::Value;

use base::Base;
use subvolume::Place;

const NAME: &str = "btrfs";
const BASE: &str = "base";
/// Holds the ledger, which must outlive the failure that it tells of.
const LEDGER: &str = "@timing";

/// Keeps the base and its subvolumes as declared.
#[derive(Debug)]
pub struct BtrfsPlugin {
    base: Base,
    subvolumes: BTreeMap<String, Desired>,
    /// Undeclared subvolumes of ours that were empty when last observed.
    empty: Mutex<BTreeSet<String>>,
}

impl BtrfsPlugin {
    /// The plugin for what a declaration says of storage.
    pub fn new(declaration: &Declaration) -> Self {
        let section = &declaration.plugins.btrfs;
        let subvolumes = section.subvolumes.iter().map(|(name, subvolume)| {
            let compression = subvolume.compression.map(|wanted| wanted.to_string());
            let desired = Desired {
                state: subvolume::state(compression.as_deref()),
                adopt: subvolume.adopt,
            };
            (name.to_string(), desired)
        });
        Self {
            base: Base::new(&section.base),
            subvolumes: subvolumes.collect(),
            empty: Mutex::default(),
        }
    }

    /// Mounts the declared image again if an earlier run made it and a reboot unmounted it.
    ///
    /// To be called before anything reads what lies below the base, the ledger first of all: until
    /// then all of it would look as if it were gone. Returns whether it mounted something.
    pub fn remount(&self) -> Result<bool, PluginError> {
        self.base.remount()
    }

    fn place(&self, resource: &str) -> Result<Place, PluginError> {
        let name: SubvolumeName = resource
            .parse()
            .map_err(|error| PluginError::failed(format!("find subvolume {resource}"), error))?;
        Ok(Place::new(self.base.path(), &name))
    }

    /// The declared subvolumes and whatever else begins like one.
    fn candidates(&self) -> Result<BTreeSet<String>, PluginError> {
        let failed =
            |error| PluginError::failed(format!("list {}", self.base.path().display()), error);
        let mut names: BTreeSet<String> = self.subvolumes.keys().cloned().collect();
        for entry in fs::read_dir(self.base.path()).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            names.extend(name.into_string().ok().filter(|name| name.starts_with('@')));
        }
        names.retain(|name| name.parse::<SubvolumeName>().is_ok());
        Ok(names)
    }

    fn subvolume(&self, change: &Change, context: &Context<'_>) -> Result<(), PluginError> {
        let place = self.place(&change.resource)?;
        match (change.verb, context.direction) {
            (Verb::Create, Direction::Forward) => place.create(&change.after),
            (Verb::Create, Direction::Undo) => place.restore(context.run),
            (Verb::Update, Direction::Forward) => place.update(&change.after, change.adopts),
            (Verb::Update, Direction::Undo) => place.revert(&change.after, change.adopts),
            (Verb::Delete, Direction::Forward) => place.discard(context.run, change.destroys),
            (Verb::Delete, Direction::Undo) => place.withdraw(),
        }
    }
}

impl Plugin for BtrfsPlugin {
    fn name(&self) -> &'static str {
        NAME
    }

    fn desired(&self) -> BTreeMap<String, Desired> {
        let mut desired = self.subvolumes.clone();
        desired.insert(BASE.to_owned(), self.base.desired());
        desired
    }

    fn observe(&self) -> Result<BTreeMap<String, Observed>, PluginError> {
        let Some(base) = self.base.observe()? else {
            return Ok(BTreeMap::new());
        };
        let mut seen = BTreeMap::from([(BASE.to_owned(), base)]);
        let mut empty = BTreeSet::new();
        for name in self.candidates()? {
            let place = self.place(&name)?;
            let declared = self.subvolumes.contains_key(&name);
            match place.observe()? {
                Some(found) if declared || found.owner == Owner::Ours => {
                    if !declared && place.is_empty()? {
                        empty.insert(name.clone());
                    }
                    seen.insert(name, found);
                }
                _ => {}
            }
        }
        *self.empty.lock().unwrap_or_else(PoisonError::into_inner) = empty;
        Ok(seen)
    }

    fn requires(&self, resource: &str, _state: &Value) -> Vec<Key> {
        match resource {
            BASE => Vec::new(),
            _ => vec![Key::new(NAME, BASE)],
        }
    }

    fn transition(&self, resource: &str, before: &Value, after: &Value) -> Transition {
        match resource {
            BASE => base::transition(before, after),
            name => subvolume::transition(name, before),
        }
    }

    fn effects(&self, change: &Change) -> Effects {
        let empty = self.empty.lock().unwrap_or_else(PoisonError::into_inner);
        Effects {
            destroys: change.verb == Verb::Delete && !empty.contains(&change.resource),
            keeps: change.resource == BASE
                || (change.resource == LEDGER && change.verb == Verb::Create),
            disrupts: Vec::new(),
        }
    }

    fn apply(&self, changes: &[&Change], context: &Context<'_>) -> Result<(), PluginError> {
        for change in changes {
            match (change.resource.as_str(), context.direction) {
                (BASE, Direction::Forward) => self.base.ensure(context)?,
                // The base stays: what lies in it may be all that tells why.
                (BASE, Direction::Undo) => {}
                _ => self.subvolume(change, context)?,
            }
        }
        Ok(())
    }

    fn commit(&self, change: &Change, run: &str) -> Result<(), PluginError> {
        if change.verb != Verb::Delete || change.resource == BASE {
            return Ok(());
        }
        self.place(&change.resource)?.drop_kept(run)
    }
}

/// Whether the subvolume at `path` is the one that the host made, or took over, as `name`.
pub fn is_ours(path: &Path, name: &str) -> Result<bool, ::btrfs::Error> {
    Place::at(path, name).is_ours()
}

/// Makes the subvolume at `path` the host's own `name`.
pub fn sign(path: &Path, name: &str) -> Result<(), ::btrfs::Error> {
    Place::at(path, name).sign(path)
}

/// The path beside `path` whose name is `prefix` and the name of `path`.
fn beside(path: &Path, prefix: &str) -> PathBuf {
    let mut name = OsString::from(prefix);
    name.push(path.file_name().unwrap_or_default());
    path.with_file_name(name)
}
