//! Directories that are whole or not there: what is received grows in one, what is deleted goes by way of one.

use std::fs::{self, DirBuilder};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, XattrFlags, getxattr, renameat_with, setxattr};

use crate::error::{Error, Result, failed};
use crate::local::{MANIFEST, named};
use crate::name::Name;

/// How the directories are called that hold nothing whole. No [`Name`] begins with a dot.
const PREFIX: &str = ".incoming-";
/// The extended attribute that marks what this program made; see [`Mark`].
const MARK: &str = "user.op-dbus";

/// A directory that nobody else can enter; it goes with everything in it unless it is published.
pub(crate) struct Incoming(PathBuf);

impl Incoming {
    pub(crate) fn new(root: &Path, snapshot: &Name) -> Result<Self> {
        let path = root.join(format!("{PREFIX}{snapshot}"));
        discard(&path)?;
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(failed("make", &path))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Puts it into its place under its name, durably.
    pub(crate) fn publish(self, place: &Path, taken: u64, manifest: Option<&str>) -> Result<()> {
        if let Some(text) = manifest {
            let path = self.0.join(MANIFEST);
            let file = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path);
            file.and_then(|mut file| file.write_all(text.as_bytes()))
                .map_err(failed("write", &path))?;
        }
        // All of it is on the disk before its name is. What the kernel had put off is then done too: whatever changes
        // in here from now on has a later transaction.
        btrfs::sync(&self.0)?;
        let mut changed = 0;
        for (_, path) in named(&self.0)? {
            changed = changed.max(btrfs::info(path)?.changed);
        }
        let mark = format!("replica {taken} {changed}");
        setxattr(&self.0, MARK, mark.as_bytes(), XattrFlags::empty())
            .map_err(failed("mark", &self.0))?;
        renameat_with(CWD, &self.0, CWD, place, RenameFlags::NOREPLACE)
            .map_err(failed("put into place", place))?;
        btrfs::sync(place)?;
        Ok(())
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Err(error) = discard(&self.0) {
            log::warn!("left behind, and removed by the next transfer: {error}");
        }
    }
}

/// What the mark of a directory says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    /// When the snapshot was taken.
    pub(crate) taken: u64,
    /// The last transaction that changed anything in it while it was received.
    pub(crate) changed: u64,
}

/// The mark of a directory; `None` if it is none of ours.
pub(crate) fn mark(directory: &Path) -> Option<Mark> {
    let mut value = [0; 64];
    let length = getxattr(directory, MARK, &mut value).ok()?;
    let text = std::str::from_utf8(value.get(..length)?).ok()?;
    let (taken, changed) = text.strip_prefix("replica ")?.split_once(' ')?;
    Some(Mark {
        taken: taken.parse().ok()?,
        changed: changed.parse().ok()?,
    })
}

/// Removes a snapshot: its name first, so that no half of one is ever seen.
pub(crate) fn remove(root: &Path, snapshot: &Name) -> Result<()> {
    let gone = root.join(format!("{PREFIX}{snapshot}"));
    discard(&gone)?;
    let place = root.join(snapshot);
    fs::rename(&place, &gone).map_err(failed("remove", &place))?;
    discard(&gone)
}

/// Removes what broken transfers have left.
pub(crate) fn clean(root: &Path) -> Result<()> {
    for entry in fs::read_dir(root).map_err(failed("list", root))? {
        let entry = entry.map_err(failed("list", root))?;
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with(PREFIX)) {
            log::info!("removes {}, which was not finished", entry.path().display());
            discard(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes a directory with the subvolumes in it; nothing if it is not there.
pub(crate) fn discard(path: &Path) -> Result<()> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(failed("look at", path))?,
    };
    if !found.is_dir() {
        return Err(Error::Refused(format!(
            "{} is no directory: remove it",
            path.display()
        )));
    }
    for entry in fs::read_dir(path).map_err(failed("list", path))? {
        let entry = entry.map_err(failed("list", path))?.path();
        if btrfs::is_subvolume(&entry)? {
            btrfs::delete_recursive(&entry)?;
        }
    }
    fs::remove_dir_all(path).map_err(failed("remove", path))?;
    // The kernel frees the space of deleted subvolumes behind their names, and begins with that now.
    Ok(btrfs::sync(path.parent().unwrap_or(path))?)
}
