//! One subvolume of a template or container, and the names that it has while it comes and goes.
//!
//! `.NAME.new` is being made, `.trash-RUN-NAME` is kept to undo the run. A crash can leave both; the
//! first is removed when the next is made, the second when a later run makes or deletes one of that name.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use reconcile::PluginError;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::ids;
use super::seal::{Kind, Seal};

/// Where a template or container is or should be.
#[derive(Debug)]
pub(super) struct Place {
    kind: Kind,
    path: PathBuf,
    name: String,
}

impl Place {
    pub(super) fn new(kind: Kind, directory: &Path, name: &str) -> Self {
        Self {
            kind,
            path: directory.join(name),
            name: name.to_owned(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether anything is there.
    pub(super) fn exists(&self) -> bool {
        self.path.symlink_metadata().is_ok()
    }

    /// Its mark, if it is ours.
    pub(super) fn seal(&self) -> Result<Option<Seal>, PluginError> {
        let seal = Seal::read(&self.path)?;
        Ok(seal.filter(|seal| self.is_mine(seal)))
    }

    fn is_mine(&self, seal: &Seal) -> bool {
        seal.kind == self.kind && seal.name == self.name
    }

    /// Its mark; an error if it is not ours.
    pub(super) fn must_be_ours(&self, doing: &str) -> Result<Seal, PluginError> {
        self.seal()?.ok_or_else(|| {
            let what = if self.exists() {
                "it is there and not ours"
            } else {
                "it is not there any more"
            };
            PluginError::unavailable(
                format!("cannot {doing} {} {}: {what}", self.kind.word(), self.name),
                "plan again to see what has changed",
            )
        })
    }

    /// Marks what lies at `path`, which is here or is to come here, as ours.
    pub(super) fn sign(&self, path: &Path, first_id: Option<u32>) -> Result<(), PluginError> {
        let seal = Seal {
            kind: self.kind,
            name: self.name.clone(),
            first_id,
        };
        seal.write(path)
    }

    /// Has a subvolume made under another name and gives it its own, which nothing may have yet.
    pub(super) fn make(
        &self,
        make: impl FnOnce(&Path) -> Result<(), PluginError>,
    ) -> Result<(), PluginError> {
        let unfinished = self.begin()?;
        let made = make(&unfinished).and_then(|()| self.rename(&unfinished, &self.path));
        if made.is_err() && self.drop_unfinished().is_err() {
            log::warn!("{} is left behind", unfinished.display());
        }
        made
    }

    fn begin(&self) -> Result<PathBuf, PluginError> {
        self.drop_unfinished()?;
        Ok(self.unfinished())
    }

    fn unfinished(&self) -> PathBuf {
        self.beside(&format!(".{}.new", self.name))
    }

    /// Removes what a crash left half made.
    pub(super) fn drop_unfinished(&self) -> Result<(), PluginError> {
        self.delete_tree(&self.unfinished())
    }

    fn kept(&self, run: &str) -> PathBuf {
        self.beside(&format!(".trash-{run}-{}", self.name))
    }

    /// Takes it away, and keeps it for [`Self::restore`] until [`Self::drop_kept`].
    pub(super) fn keep(&self, run: &str) -> Result<(), PluginError> {
        self.rename(&self.path, &self.kept(run))
    }

    /// Whether something is kept for `run`.
    pub(super) fn has_kept(&self, run: &str) -> bool {
        self.kept(run).symlink_metadata().is_ok()
    }

    /// Brings back what was kept.
    pub(super) fn restore(&self, run: &str) -> Result<(), PluginError> {
        self.rename(&self.kept(run), &self.path)
    }

    /// Deletes what was kept for `run`.
    pub(super) fn drop_kept(&self, run: &str) -> Result<(), PluginError> {
        self.delete_tree(&self.kept(run))
    }

    /// Deletes what earlier runs kept of this name: a power cut may bring back what they had deleted.
    pub(super) fn sweep(&self, run: &str) -> Result<(), PluginError> {
        let Some(directory) = self.path.parent() else {
            return Ok(());
        };
        let current = self.kept(run);
        for path in subdirectories(directory)? {
            let is_trash = path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(".trash-"));
            if is_trash
                && path != current
                && Seal::read(&path)?.is_some_and(|seal| self.is_mine(&seal))
            {
                self.delete_tree(&path)?;
            }
        }
        Ok(())
    }

    /// Deletes it for good, if it is ours.
    pub(super) fn delete(&self) -> Result<(), PluginError> {
        match self.seal()? {
            Some(_) => self.delete_tree(&self.path),
            None => Ok(()),
        }
    }

    fn delete_tree(&self, path: &Path) -> Result<(), PluginError> {
        match btrfs::delete_recursive(path) {
            Ok(()) | Err(btrfs::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed("delete", error)),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), PluginError> {
        let _right = ids::lock();
        renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)
            .map_err(|errno| self.failed("rename", std::io::Error::from(errno)))
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.path.with_file_name(OsString::from(name))
    }

    /// The error of doing something to it.
    pub(super) fn failed(
        &self,
        doing: &str,
        error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> PluginError {
        PluginError::failed(format!("{doing} {} {}", self.kind.word(), self.name), error)
    }
}

/// What a directory holds, none if it is not there.
pub(super) fn subdirectories(directory: &Path) -> Result<Vec<PathBuf>, PluginError> {
    let failed = |error| PluginError::failed(format!("list {}", directory.display()), error);
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    entries
        .map(|entry| entry.map(|entry| entry.path()).map_err(failed))
        .collect()
}

/// What something that is not ours is.
pub(super) fn describe(path: &Path) -> &'static str {
    use std::os::unix::fs::MetadataExt;
    let Ok(found) = path.symlink_metadata() else {
        return "nothing";
    };
    if found.is_symlink() {
        return "symbolic link";
    }
    if !found.is_dir() {
        return "file";
    }
    if !matches!(btrfs::is_subvolume(path), Ok(true)) {
        return "directory";
    }
    match path.join("rootfs").symlink_metadata() {
        Ok(root) if root.is_dir() && root.uid() == 0 => super::state::ROOT_FILE_SYSTEM,
        Ok(root) if root.is_dir() => "root file system with shifted user ids",
        _ => "subvolume",
    }
}
