//! One file or directory of a snapshot: copied beside its place, put there, and what it replaced removed.
//!
//! File content is shared with the snapshot, not copied.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, Stat, Timespec, Timestamps, XattrFlags, chownat,
    fchmod, fgetxattr, flistxattr, fsetxattr, fsync, ioctl_ficlone, mkdirat, openat, readlinkat,
    renameat_with, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

use crate::error::{Error, Result, failed};
use crate::restore::COMING;
use crate::tree;

/// How deep directories are copied and removed.
const DEEPEST: usize = 256;
/// The largest list of names of extended attributes, and the largest value (`XATTR_LIST_MAX`, `XATTR_SIZE_MAX`).
const XATTR: usize = 64 << 10;

/// The directory that a path lies in, its name there, and the name that it has beside its place.
struct Place {
    parent: OwnedFd,
    name: OsString,
    beside: OsString,
}

impl Place {
    fn open(root: &Path, path: &Path) -> Result<Self> {
        let whole = root.join(path);
        let opened = tree::root(root)?;
        let parent = tree::below(opened.as_fd(), path.parent().unwrap_or(Path::new("")));
        let name = path.file_name().unwrap_or_default().to_owned();
        let mut beside = OsString::from(COMING);
        beside.push(&name);
        match parent {
            Ok(parent) => Ok(Self {
                parent,
                name,
                beside,
            }),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Err(Error::Refused {
                what: whole.display().to_string(),
                why: "the directory that it lies in is not there: restore that directory"
                    .to_owned(),
            }),
            Err(errno) => Err(failed("open the directory of", &whole)(errno)),
        }
    }

    fn look(&self, name: &OsStr, of: &Path) -> Result<Option<Stat>> {
        tree::look(self.parent.as_fd(), name).map_err(failed("look at", of))
    }
}

/// Whether there is something at a path below a root.
pub(crate) fn is_there(root: &Path, path: &Path) -> Result<bool> {
    match Place::open(root, path) {
        Ok(place) => Ok(place.look(&place.name, path)?.is_some()),
        Err(Error::Refused { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Refuses where what is there has other subvolumes in it, or its directory is missing.
pub(crate) fn may_be_replaced(root: &Path, path: &Path) -> Result<()> {
    let place = Place::open(root, path)?;
    let whole = root.join(path);
    let stat = place.look(&place.name, &whole)?;
    let Some(stat) = stat.filter(|stat| tree::kind(stat) == FileType::Directory) else {
        return Ok(());
    };
    let plain = stat.st_ino != 256
        && tree::inner(place.parent.as_fd(), &place.name)
            .and_then(|inner| is_plain(inner.as_fd(), stat.st_dev, 0))
            .map_err(failed("look at", &whole))?;
    match plain {
        true => Ok(()),
        false => Err(Error::Refused {
            what: whole.display().to_string(),
            why: "it has other subvolumes in it, which the snapshot does not have: restore what is below it"
                .to_owned(),
        }),
    }
}

fn is_plain(directory: BorrowedFd<'_>, device: u64, depth: usize) -> rustix::io::Result<bool> {
    if depth > DEEPEST {
        return Err(Errno::NAMETOOLONG);
    }
    for (name, stat) in tree::entries(directory)? {
        if tree::kind(&stat) == FileType::Directory {
            let inner = tree::inner(directory, &name)?;
            if stat.st_dev != device || !is_plain(inner.as_fd(), device, depth + 1)? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Copies what is at a path of one tree beside its place in another; the number of the copy.
pub(crate) fn copy(from: &Path, to: &Path, path: &Path) -> Result<u64> {
    let source = Place::open(from, path)?;
    let place = Place::open(to, path)?;
    let whole = to.join(path);
    clear(to, path)?;
    copy_entry(
        (source.parent.as_fd(), &source.name),
        (place.parent.as_fd(), &place.beside),
        0,
    )
    .map_err(|errno| match errno {
        Errno::NOTSUP => Error::Refused {
            what: whole.display().to_string(),
            why: "it is or has a socket, a pipe or a device, which is not restored".to_owned(),
        },
        errno => failed("copy", &whole)(errno),
    })?;
    // What is to come is on disk before it is said that it does.
    rustix::fs::syncfs(&place.parent).map_err(failed("write to disk", &whole))?;
    let stat = place.look(&place.beside, &whole)?;
    Ok(stat.map_or(0, |stat| stat.st_ino))
}

/// Puts a copy in its place; what was there has the copy's name then.
pub(crate) fn put_in_place(root: &Path, path: &Path) -> Result<()> {
    let place = Place::open(root, path)?;
    let whole = root.join(path);
    let flags = match place.look(&place.name, &whole)? {
        Some(_) => RenameFlags::EXCHANGE,
        None => RenameFlags::NOREPLACE,
    };
    renameat_with(
        &place.parent,
        &place.beside,
        &place.parent,
        &place.name,
        flags,
    )
    .map_err(failed("put in place", &whole))?;
    fsync(&place.parent).map_err(failed("write to disk", &whole))
}

/// Whether the copy with this number is in its place.
pub(crate) fn is_in_place(root: &Path, path: &Path, inode: u64) -> Result<bool> {
    let place = Place::open(root, path)?;
    let stat = place.look(&place.name, &root.join(path))?;
    Ok(stat.is_some_and(|stat| stat.st_ino == inode && inode != 0))
}

/// Removes what is beside a place.
pub(crate) fn clear(root: &Path, path: &Path) -> Result<()> {
    let place = Place::open(root, path)?;
    let whole = root.join(path);
    match place.look(&place.beside, &whole)? {
        None => Ok(()),
        Some(stat) => remove(place.parent.as_fd(), &place.beside, &stat, 0)
            .map_err(failed("remove what was at", &whole)),
    }
}

fn remove(
    parent: BorrowedFd<'_>,
    name: &OsStr,
    stat: &Stat,
    depth: usize,
) -> rustix::io::Result<()> {
    if tree::kind(stat) != FileType::Directory {
        return unlinkat(parent, name, AtFlags::empty());
    }
    if depth > DEEPEST {
        return Err(Errno::NAMETOOLONG);
    }
    let directory = tree::inner(parent, name)?;
    for (name, inner) in tree::entries(&directory)? {
        // Never into another subvolume; its directory then is not empty, and stays.
        if inner.st_dev == stat.st_dev {
            remove(directory.as_fd(), &name, &inner, depth + 1)?;
        }
    }
    unlinkat(parent, name, AtFlags::REMOVEDIR)
}

fn copy_entry(
    (from, name): (BorrowedFd<'_>, &OsStr),
    (to, new): (BorrowedFd<'_>, &OsStr),
    depth: usize,
) -> rustix::io::Result<()> {
    if depth > DEEPEST {
        return Err(Errno::NAMETOOLONG);
    }
    let stat = tree::look(from, name)?.ok_or(Errno::NOENT)?;
    let nofollow = OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match tree::kind(&stat) {
        FileType::RegularFile => {
            let reading = OFlags::RDONLY | OFlags::NONBLOCK | nofollow;
            let writing = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | nofollow;
            let source = openat(from, name, reading, Mode::empty())?;
            let copy = openat(to, new, writing, Mode::from_raw_mode(0o600))?;
            share(&source, &copy)?;
            attributes((source.as_fd(), copy.as_fd()), to, new, &stat)?;
        }
        FileType::Directory => {
            mkdirat(to, new, Mode::from_raw_mode(0o700))?;
            let source = tree::inner(from, name)?;
            let copy = tree::inner(to, new)?;
            for (inner, _) in tree::entries(&source)? {
                copy_entry((source.as_fd(), &inner), (copy.as_fd(), &inner), depth + 1)?;
            }
            attributes((source.as_fd(), copy.as_fd()), to, new, &stat)?;
        }
        FileType::Symlink => {
            symlinkat(readlinkat(from, name, Vec::new())?, to, new)?;
            own(to, new, &stat)?;
        }
        _ => return Err(Errno::NOTSUP),
    }
    let time = |seconds: i64, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or_default(),
    };
    let times = Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    };
    utimensat(to, new, &times, AtFlags::SYMLINK_NOFOLLOW)
}

/// Gives a file the content of another: the same blocks, where the file system can.
fn share(source: &OwnedFd, copy: &OwnedFd) -> rustix::io::Result<()> {
    match ioctl_ficlone(copy, source) {
        Err(Errno::XDEV | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOTTY) => {}
        done => return done,
    }
    let mut reader = File::from(source.try_clone().map_err(errno)?);
    let mut writer = File::from(copy.try_clone().map_err(errno)?);
    std::io::copy(&mut reader, &mut writer).map_err(errno)?;
    Ok(())
}

fn errno(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

fn own(to: BorrowedFd<'_>, name: &OsStr, stat: &Stat) -> rustix::io::Result<()> {
    let owner = rustix::fs::Uid::from_raw(stat.st_uid);
    let group = rustix::fs::Gid::from_raw(stat.st_gid);
    chownat(
        to,
        name,
        Some(owner),
        Some(group),
        AtFlags::SYMLINK_NOFOLLOW,
    )
}

/// Owner, rights and extended attributes. The owner comes first: changing it takes away set-uid bits and capabilities.
fn attributes(
    (source, copy): (BorrowedFd<'_>, BorrowedFd<'_>),
    to: BorrowedFd<'_>,
    name: &OsStr,
    stat: &Stat,
) -> rustix::io::Result<()> {
    own(to, name, stat)?;
    fchmod(copy, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    let mut names = vec![0_u8; XATTR];
    let length = flistxattr(source, &mut names[..])?;
    let mut value = vec![0_u8; XATTR];
    for attribute in names[..length].split(|byte| *byte == 0) {
        if attribute.is_empty() {
            continue;
        }
        let length = fgetxattr(source, attribute, &mut value[..])?;
        fsetxattr(copy, attribute, &value[..length], XattrFlags::empty())?;
    }
    Ok(())
}
