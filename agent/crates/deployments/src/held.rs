//! What one at a time may do.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use reconcile::RunLock;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::error::{Error, Result, failed};
use crate::manifest::{Kind, Manifest, Trial, Version};
use crate::name::Name;
use crate::place::{PROGRAM, Place};
use crate::staged::{Candidate, Staged, hash, remove};

/// A place that nobody else changes meanwhile.
#[derive(Debug)]
pub struct Held {
    place: Place,
    manifest: Manifest,
    kind: Kind,
    _lock: RunLock,
}

/// How an interrupted switch was ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// It went back to this version.
    Back(Name),
    /// There was nothing before, so that this one stays.
    On(Name),
}

impl Held {
    pub(crate) fn new(place: Place, lock: RunLock) -> Result<Self> {
        let kind = place.kind()?;
        let mut manifest = place.manifest()?;
        manifest.store = kind;
        for directory in [place.versions()]
            .into_iter()
            .chain((kind == Kind::Overlay).then(|| place.mounts()))
        {
            fs::create_dir_all(&directory).map_err(failed("make", &directory))?;
        }
        Ok(Self {
            place,
            manifest,
            kind,
            _lock: lock,
        })
    }

    /// The manifest as it is now.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Ends a switch that was interrupted, and removes what was left behind.
    pub fn settle(&mut self) -> Result<Option<Settled>> {
        let trial = self.manifest.trial.clone();
        if let Some(trial) = &trial {
            let name = trial.from.as_ref().unwrap_or(&trial.to).clone();
            self.point_to(Some(&name))?;
            self.manifest.serve(Some(name));
            self.write()?;
        }
        self.sweep()?;
        Ok(trial.map(|trial| match trial.from {
            Some(from) => Settled::Back(from),
            None => Settled::On(trial.to),
        }))
    }

    /// Copies a program in. It is no version before [`add`](Self::add).
    pub fn stage(&self, candidate: &Candidate) -> Result<Staged> {
        let path = self.place.versions().join(".new");
        remove(&path)?;
        match self.kind {
            Kind::Btrfs => btrfs::create(&path)?,
            Kind::Overlay => fs::create_dir(&path).map_err(failed("make", &path))?,
        }
        Staged::fill(path, candidate)
    }

    /// Makes a version of what was copied in. It is not served before [`switch`](Self::switch).
    pub fn add(&mut self, mut staged: Staged, about: Version) -> Result<()> {
        let path = self.place.version(&about.name);
        // One without an entry is of a process that was killed.
        remove(&path)?;
        fs::rename(&staged.path, &path).map_err(failed("name", &path))?;
        staged.kept = true;
        if self.kind == Kind::Btrfs {
            btrfs::set_read_only(&path, true)?;
            btrfs::sync(&path)?;
        }
        sync(&self.place.versions())?;
        let files = std::mem::take(&mut staged.files);
        self.manifest.versions.push(Version { files, ..about });
        self.write()
    }

    /// Makes a version the one that serves, on trial: [`keep`](Self::keep) or [`back`](Self::back) ends that.
    pub fn switch(&mut self, to: &Name) -> Result<()> {
        self.unchanged(to)?;
        let from = self.manifest.current.clone();
        self.manifest.trial = Some(Trial {
            from,
            to: to.clone(),
            begun_at: Timestamp::now(),
        });
        self.write()?;
        self.point_to(Some(to))
    }

    /// The version on trial is well, and stays. `again` says by whom it was deployed, which makes it the newest; without
    /// that it keeps its place among the others, as after a rollback.
    pub fn keep(&mut self, again: Option<&str>) -> Result<()> {
        let Some(trial) = self.manifest.trial.clone() else {
            return Ok(());
        };
        let versions = &mut self.manifest.versions;
        if let Some(by) = again
            && let Some(at) = versions.iter().position(|one| one.name == trial.to)
        {
            let mut version = versions.remove(at);
            version.deployed_at = Timestamp::now();
            version.deployed_by = by.to_owned();
            versions.push(version);
        }
        self.manifest.serve(Some(trial.to));
        self.write()?;
        self.unmount_others(trial.from.as_ref())
    }

    /// The version on trial is not well: what served before serves again, if anything did.
    pub fn back(&mut self) -> Result<Option<Name>> {
        let Some(trial) = self.manifest.trial.clone() else {
            return Ok(self.manifest.current.clone());
        };
        self.point_to(trial.from.as_ref())?;
        self.manifest.serve(trial.from.clone());
        self.write()?;
        self.unmount_others(Some(&trial.to))?;
        Ok(trial.from)
    }

    /// Removes what is too much if `keep` versions are kept.
    pub fn prune(&mut self, keep: usize) -> Result<Vec<Name>> {
        let surplus = self.manifest.surplus(keep);
        if surplus.is_empty() {
            return Ok(surplus);
        }
        // First from the manifest: a version that is there without an entry is swept away.
        self.manifest
            .versions
            .retain(|version| !surplus.contains(&version.name));
        let current = self.manifest.current.clone();
        self.manifest.serve(current);
        self.write()?;
        self.sweep()?;
        Ok(surplus)
    }

    /// Makes the version that serves reachable, as after a restart of the machine.
    pub fn mount(&self) -> Result<()> {
        match &self.manifest.current {
            Some(name) => self.point_to(Some(name)),
            None => Ok(()),
        }
    }

    /// Whether a version is still what was deployed.
    fn unchanged(&self, name: &Name) -> Result<()> {
        let version = self.manifest.version(name);
        let version = version.ok_or_else(|| Error::NoVersion(name.clone()))?;
        for (below, expected) in &version.files {
            let path = self.place.version(name).join(below);
            let mut file = File::open(&path).map_err(failed("open", &path))?;
            let (found, _) = hash(&mut file, &path)?;
            if found != *expected {
                return Err(Error::Changed {
                    path,
                    expected: expected.clone(),
                    found,
                });
            }
        }
        Ok(())
    }

    /// Leads `current` to a version, in one step.
    fn point_to(&self, name: Option<&Name>) -> Result<()> {
        let current = self.place.current();
        let Some(name) = name else {
            return match fs::remove_file(&current) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(failed("remove", &current)(error))
                }
                _ => sync(self.place.base()),
            };
        };
        if self.kind == Kind::Overlay {
            self.overlay(name)?;
        }
        let way = self.place.way(self.kind, name);
        if fs::read_link(&current).is_ok_and(|target| target == way) {
            return Ok(());
        }
        let next = self.place.base().join(".current.new");
        let _ = fs::remove_file(&next);
        symlink(&way, &next).map_err(failed("link", &next))?;
        fs::rename(&next, &current).map_err(failed("switch", &current))?;
        sync(self.place.base())
    }

    /// Mounts a version. An overlay without an upper layer takes two lower ones (`overlayfs.rst`, "Multiple lower
    /// layers"); the second has nothing in it.
    fn overlay(&self, name: &Name) -> Result<()> {
        let target = self.place.mounts().join(name.as_str());
        let nothing = self.place.mounts().join(".nothing");
        for directory in [&target, &nothing] {
            fs::create_dir_all(directory).map_err(failed("make", directory))?;
        }
        if is_mounted(&target)? {
            return Ok(());
        }
        let version = self.place.version(name);
        if !version.join(PROGRAM).is_file() {
            return Err(Error::NoVersion(name.clone()));
        }
        let layers = format!("lowerdir={}:{}", version.display(), nothing.display());
        let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
        let options = std::ffi::CString::new(layers).map_err(failed("mount", &target))?;
        mount("overlay", &target, "overlay", flags, options.as_c_str())
            .map_err(failed("mount an overlay at", &target))
    }

    /// Unmounts what neither serves nor was just `left`: somebody may be between the link and the file.
    fn unmount_others(&self, left: Option<&Name>) -> Result<()> {
        let stay = [self.manifest.current.as_ref(), left];
        for path in entries(&self.place.mounts())? {
            let name = self.name_of(&path);
            if name.is_some() && !stay.contains(&name.as_ref()) {
                take_down(&path)?;
            }
        }
        Ok(())
    }

    /// Removes what no entry of the manifest speaks of.
    fn sweep(&self) -> Result<()> {
        // Somebody may have moved the manifest away.
        let serving = self.place.serving()?;
        let known = |path: &Path| {
            self.name_of(path).is_some_and(|name| {
                self.manifest.version(&name).is_some() || serving.as_ref() == Some(&name)
            })
        };
        for path in entries(&self.place.mounts())? {
            if !known(&path) && path.file_name().is_none_or(|name| name != ".nothing") {
                take_down(&path)?;
                fs::remove_dir(&path).map_err(failed("remove", &path))?;
            }
        }
        for path in entries(&self.place.versions())? {
            match known(&path) {
                false => remove(&path)?,
                // A process that was killed may have named it and no more.
                true if self.kind == Kind::Btrfs && btrfs::is_subvolume(&path)? => {
                    if !btrfs::info(&path)?.read_only {
                        btrfs::set_read_only(&path, true)?;
                    }
                }
                true => {}
            }
        }
        Ok(())
    }

    fn name_of(&self, path: &Path) -> Option<Name> {
        path.file_name()?.to_str()?.parse().ok()
    }

    fn write(&self) -> Result<()> {
        let path = self.place.manifest_file();
        let mut text = serde_json::to_vec_pretty(&self.manifest)
            .map_err(|error| failed("write", &path)(io::Error::other(error)))?;
        text.push(b'\n');
        durable::replace(&path, &text, 0o644).map_err(failed("write", &path))
    }
}

/// What is in a directory, and nothing where there is none.
fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let read = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.map_err(failed("list", directory))?,
    };
    read.map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<_>>()
        .map_err(failed("list", directory))
}

fn is_mounted(path: &Path) -> Result<bool> {
    Ok(btrfs::mounts::at(path)?.is_some_and(|mount| mount.filesystem == "overlay"))
}

fn take_down(path: &Path) -> Result<()> {
    while is_mounted(path)? {
        unmount(path, UnmountFlags::DETACH).map_err(failed("unmount", path))?;
    }
    Ok(())
}

fn sync(directory: &Path) -> Result<()> {
    durable::sync_directory(directory).map_err(failed("write to disk", directory))
}
