//! A btrfs file system in a file, for machines that have none: make it, mount it, grow it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};
use rustix::mount::{MountFlags, UnmountFlags};

use crate::error::{Error, Result, failed};
use crate::kernel;
use crate::loop_device::{LoopDevice, backing_file};
use crate::mounts;
use crate::subvolume::open_directory;

/// The unit of a btrfs file system's size, in bytes: what is beyond the last whole one is not used.
pub const SECTOR: u64 = 4096;

/// The least bytes that an image should have: `mkfs.btrfs` with its default profiles takes little less.
pub const SMALLEST: u64 = 128 << 20;

/// The kernel resizes no file system to fewer bytes (`btrfs_ioctl_resize`, fs/btrfs/ioctl.c).
pub const SMALLEST_GROWN: u64 = 256 << 20;

/// What is mounted at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounted {
    /// The device, or a word for file systems without one.
    pub device: PathBuf,
    /// The file behind the device, if it is a loop device.
    pub image: Option<PathBuf>,
}

/// Makes a file of `bytes` (rounded up to whole [`SECTOR`]s, at least [`SMALLEST`]) with an empty btrfs file system in it.
///
/// It takes space on the disk only as it fills. It is made beside its place and then renamed, so
/// that what stands at `path` is always whole; a leftover of a crash is used up by the next call.
pub fn create(path: impl AsRef<Path>, bytes: u64) -> Result<()> {
    let path = path.as_ref();
    if path.symlink_metadata().is_ok() {
        return Err(Error::Exists {
            path: path.to_owned(),
        });
    }
    let unfinished = beside(path)?;
    let made = write_image(&unfinished, bytes).and_then(|()| {
        renameat_with(CWD, &unfinished, CWD, path, RenameFlags::NOREPLACE)
            .map_err(failed("put in place", path))?;
        let directory = path.parent().unwrap_or(Path::new("/"));
        let directory = open_directory(directory)?;
        rustix::fs::fsync(&directory).map_err(failed("write to disk", path))
    });
    if made.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    made
}

/// Mounts the file system in `image` at the directory `target`, without access times.
///
/// Does nothing if it is mounted there already; fails with [`Error::Taken`] if something else is.
pub fn mount(image: impl AsRef<Path>, target: impl AsRef<Path>) -> Result<()> {
    let image = image.as_ref();
    let target = target.as_ref();
    let image = fs::canonicalize(image).map_err(failed("find", image))?;
    // Two devices before one file would be two file systems that write over each other.
    let lock = File::open(&image).map_err(failed("open", &image))?;
    flock(&lock, FlockOperation::LockExclusive).map_err(failed("lock", &image))?;
    match mounted(target)? {
        Some(there) if there.image.as_ref() == Some(&image) => return Ok(()),
        Some(there) => {
            return Err(Error::Taken {
                path: target.to_owned(),
                source_name: there.image.unwrap_or(there.device).display().to_string(),
            });
        }
        None => {}
    }
    let device = match LoopDevice::of(&image)? {
        Some(device) => device,
        None => LoopDevice::attach(&image)?,
    };
    rustix::mount::mount(device.path(), target, "btrfs", MountFlags::NOATIME, None)
        .map_err(failed("mount", &image))
}

/// Unmounts what is mounted at `target`; a loop device that held it goes by itself.
pub fn unmount(target: impl AsRef<Path>) -> Result<()> {
    let target = target.as_ref();
    rustix::mount::unmount(target, UnmountFlags::empty()).map_err(failed("unmount", target))
}

/// What is mounted exactly at `target`; `None` if nothing is.
pub fn mounted(target: impl AsRef<Path>) -> Result<Option<Mounted>> {
    Ok(mounts::at(target)?.map(|mount| Mounted {
        image: backing_file(&mount.source),
        device: mount.source,
    }))
}

/// Bytes of the file system that is mounted at `target`, as far as they lie on its first device.
pub fn capacity(target: impl AsRef<Path>) -> Result<u64> {
    let target = target.as_ref();
    let directory = open_directory(target)?;
    kernel::device_bytes(directory.as_fd()).map_err(failed("ask for the size of", target))
}

/// Makes the file system that is mounted from an image at `target` at least `bytes` large, in use as it is.
///
/// Going on after a crash in the middle is safe. An image does not get smaller, and what it grows to
/// is at least [`SMALLEST_GROWN`].
pub fn grow(target: impl AsRef<Path>, bytes: u64) -> Result<()> {
    let target = target.as_ref();
    if capacity(target)? >= bytes {
        return Ok(());
    }
    if bytes < SMALLEST_GROWN {
        return Err(Error::TooSmall {
            path: target.to_owned(),
        });
    }
    let image = mounted(target)?
        .and_then(|mounted| mounted.image)
        .ok_or_else(|| Error::NotImage {
            path: target.to_owned(),
        })?;
    let file = File::options()
        .write(true)
        .open(&image)
        .map_err(failed("open", &image))?;
    let length = file.metadata().map_err(failed("look at", &image))?.len();
    if length < whole_sectors(bytes) {
        file.set_len(whole_sectors(bytes))
            .map_err(failed("grow", &image))?;
    }
    let device = LoopDevice::of(&image)?.ok_or_else(|| Error::NotImage {
        path: target.to_owned(),
    })?;
    device.follow_file_size()?;
    let directory = open_directory(target)?;
    kernel::resize_to_device(directory.as_fd()).map_err(failed("grow", target))
}

/// `bytes` rounded up to whole [`SECTOR`]s: the size that an image of so many bytes gets.
pub fn whole_sectors(bytes: u64) -> u64 {
    bytes.div_ceil(SECTOR).saturating_mul(SECTOR)
}

/// Where a file is written before it takes its name.
fn beside(path: &Path) -> Result<PathBuf> {
    let name = path
        .file_name()
        .ok_or_else(|| Error::new("use the name of", path, rustix::io::Errno::INVAL))?;
    let mut unfinished = OsString::from(".");
    unfinished.push(name);
    unfinished.push(".new");
    Ok(path.with_file_name(unfinished))
}

fn write_image(path: &Path, bytes: u64) -> Result<()> {
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(failed("create", path))?;
    file.set_len(whole_sectors(bytes))
        .map_err(failed("size", path))?;
    make_file_system(path)?;
    file.sync_all().map_err(failed("write to disk", path))
}

fn make_file_system(image: &Path) -> Result<()> {
    let refused = |reason: String| Error::Mkfs {
        image: image.to_owned(),
        reason,
    };
    let output = Command::new("mkfs.btrfs")
        .args(["--quiet", "--force", "--"])
        .arg(image)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| refused(format!("mkfs.btrfs: {error}; install btrfs-progs")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(refused(format!(
        "mkfs.btrfs: {}: {}",
        output.status,
        said.trim()
    )))
}
