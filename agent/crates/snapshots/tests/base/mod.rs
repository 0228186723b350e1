//! A base on a real btrfs, with seals as a host has them.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use lab::Machine;
use rustix::fs::{XattrFlags, lgetxattr, lsetxattr};
use snapshots::{Class, NewSnapshot, Ownership, SnapshotName, Store};

/// Name and UUID in an extended attribute.
pub struct Seals;

fn read(path: &Path) -> Option<String> {
    let mut value = [0; 256];
    let length = lgetxattr(path, "user.test", &mut value[..]).ok()?;
    String::from_utf8(value[..length].to_vec()).ok()
}

fn write(path: &Path, text: &str) -> rustix::io::Result<()> {
    lsetxattr(path, "user.test", text.as_bytes(), XattrFlags::empty())
}

fn seal(path: &Path, name: &str) -> btrfs::Result<String> {
    Ok(format!("{name} {}", btrfs::info(path)?.uuid.unwrap()))
}

impl Ownership for Seals {
    fn is_ours(&self, path: &Path, name: &str) -> btrfs::Result<bool> {
        Ok(read(path) == Some(seal(path, name)?))
    }
    fn sign(&self, path: &Path, name: &str) -> btrfs::Result<()> {
        write(path, &seal(path, name)?).map_err(|errno| btrfs::Error::new("sign", path, errno))
    }
    fn mark_of(&self, path: &Path) -> std::io::Result<Option<String>> {
        Ok(read(path))
    }
    fn mark(&self, path: &Path, text: &str) -> std::io::Result<()> {
        Ok(write(path, text)?)
    }
}

/// A machine with a base.
pub struct Base {
    pub path: PathBuf,
    pub store: Store<'static>,
    pub machine: Machine,
}

impl Base {
    pub fn new(mib: u64) -> Option<Self> {
        let machine = Machine::new("needs root")?;
        let path = machine.btrfs(mib);
        for name in ["@snapshots", "@state", "@timing", "@vectors", "@containers"] {
            btrfs::create(path.join(name)).unwrap();
            Seals.sign(&path.join(name), name).unwrap();
        }
        let store = Store::new(&path, &Seals);
        Some(Self {
            path,
            store,
            machine,
        })
    }

    pub fn at(&self, path: &str) -> PathBuf {
        self.path.join(path)
    }

    pub fn write(&self, path: &str, text: &str) {
        std::fs::write(self.at(path), text).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.at(path)).unwrap()
    }

    pub fn create(&self, name: &str, subvolumes: &[&str]) -> snapshots::Result<snapshots::Record> {
        self.store.lock()?.create(&NewSnapshot {
            name: name.parse().unwrap(),
            class: Class::Manual,
            subvolumes: set(subvolumes),
            reason: None,
            now: Timestamp::now(),
        })
    }

    pub fn names(&self) -> Vec<String> {
        let found = self.store.list().unwrap().snapshots;
        found
            .iter()
            .map(|snapshot| snapshot.record.name.to_string())
            .collect()
    }

    /// Everything in `@snapshots`, hidden or not.
    pub fn entries(&self) -> BTreeSet<String> {
        lab::names(&self.at("@snapshots")).into_iter().collect()
    }
}

pub fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

pub fn name(text: &str) -> SnapshotName {
    text.parse().unwrap()
}
