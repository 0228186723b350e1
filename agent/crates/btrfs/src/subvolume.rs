//! Subvolumes and snapshots: what `btrfs subvolume` does.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open, statfs};
use rustix::io::Errno;

use crate::error::{Error, Result, failed};
use crate::kernel;

/// Whether `path` lies on a btrfs file system.
pub fn is_btrfs(path: impl AsRef<Path>) -> Result<bool> {
    let path = path.as_ref();
    let found = statfs(path).map_err(failed("look at", path))?;
    Ok(found.f_type as u64 == kernel::BTRFS_MAGIC)
}

/// Whether `path` is the root of a subvolume; a symbolic link to one is not.
pub fn is_subvolume(path: impl AsRef<Path>) -> Result<bool> {
    let path = path.as_ref();
    let found = fs::symlink_metadata(path).map_err(failed("look at", path))?;
    Ok(found.is_dir() && found.ino() == kernel::ROOT_INODE && is_btrfs(path)?)
}

/// Makes an empty subvolume. Its permissions are `0777` less the umask, as for a directory.
pub fn create(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let (parent, name) = split(path)?;
    let parent = open_directory(parent)?;
    kernel::create_subvolume(parent.as_fd(), name).map_err(failed("create subvolume", path))
}

/// Makes a snapshot of the subvolume `source` at `dest`, which must be new and on the same file system.
///
/// Subvolumes within `source` are not part of it: empty directories stand in their places.
pub fn snapshot(source: impl AsRef<Path>, dest: impl AsRef<Path>, read_only: bool) -> Result<()> {
    let dest = dest.as_ref();
    let source = open_subvolume(source.as_ref())?;
    let (parent, name) = split(dest)?;
    let parent = open_directory(parent)?;
    kernel::create_snapshot(source.as_fd(), parent.as_fd(), name, read_only)
        .map_err(failed("create snapshot", dest))
}

/// Deletes a subvolume and all that is in it; fails with [`Error::NotEmpty`] if other subvolumes are.
///
/// The name is gone at once; the kernel frees the space in the background.
pub fn delete(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let (parent, name) = split(path)?;
    let parent = open_directory(parent)?;
    kernel::destroy_subvolume(parent.as_fd(), name).map_err(|errno| match errno {
        Errno::INVAL | Errno::NOTDIR => Error::NotSubvolume {
            path: path.to_owned(),
        },
        errno => Error::new("delete subvolume", path, errno),
    })
}

/// Deletes a subvolume with all subvolumes in it, the innermost first; read-only ones too.
pub fn delete_recursive(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let nested = children(path)?;
    if !nested.is_empty() && crate::info(path)?.read_only {
        set_read_only(path, false)?;
    }
    for child in nested {
        delete_recursive(&child)?;
    }
    delete(path)
}

/// Makes a subvolume read-only, or writable again.
///
/// Making a received subvolume writable ends its use as the parent of further incremental streams.
pub fn set_read_only(path: impl AsRef<Path>, read_only: bool) -> Result<()> {
    let path = path.as_ref();
    let subvolume = open_subvolume(path)?;
    kernel::set_read_only(subvolume.as_fd(), read_only)
        .map_err(failed("change the read-only flag of", path))
}

/// The subvolumes that lie in this one and in no other in between, sorted.
pub fn children(path: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
    let path = path.as_ref();
    let subvolume = open_subvolume(path)?;
    let mut found = Vec::new();
    for nested in kernel::nested(subvolume.as_fd()).map_err(failed("list subvolumes of", path))? {
        match kernel::nested_path(subvolume.as_fd(), nested) {
            Ok(below) => found.push(path.join(below)),
            // Deleted since it was listed.
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(Error::new("list subvolumes of", path, errno)),
        }
    }
    found.sort();
    Ok(found)
}

/// Writes everything that was done on the file system of `path` to its disks.
pub fn sync(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let directory = open_directory(path)?;
    kernel::sync(directory.as_fd()).map_err(failed("write to disk", path))
}

/// The directory that holds `path`, and its name there.
fn split(path: &Path) -> Result<(&Path, &OsStr)> {
    let nameless = || Error::new("use the name of", path, Errno::INVAL);
    let name = path.file_name().ok_or_else(nameless)?;
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Err(nameless()),
    };
    Ok((parent, name))
}

pub(crate) fn open_directory(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    open(path, flags, Mode::empty()).map_err(failed("open directory", path))
}

pub(crate) fn open_subvolume(path: &Path) -> Result<OwnedFd> {
    if !is_subvolume(path)? {
        return Err(Error::NotSubvolume {
            path: path.to_owned(),
        });
    }
    open_directory(path)
}
