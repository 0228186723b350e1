//! What differs between two snapshots, or a snapshot and the present state.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, Stat, openat, readlinkat};

use crate::error::{Error, Result, failed};
use crate::name::SnapshotName;
use crate::store::Store;
use crate::tree;

/// How deep directories are looked into.
const DEEPEST: usize = 256;

/// What happened to a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// It is new.
    Added,
    /// Its content, its kind, its owner or its rights are others.
    Changed,
    /// It is gone.
    Removed,
}

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// Where: the subvolume and the path within. What is in a directory that is new or gone is not named.
    pub path: String,
    /// What happened to it.
    pub what: What,
    /// It is a directory.
    pub directory: bool,
    /// Its size before and after, in bytes, for files.
    pub bytes: (Option<u64>, Option<u64>),
}

/// How much is looked at.
#[derive(Clone, Copy)]
pub struct Bounds<'a> {
    /// How many differences are named.
    pub named: usize,
    /// How many files and directories are looked at.
    pub looked_at: usize,
    /// Whether to go on; asked for each directory.
    pub go_on: &'a dyn Fn() -> bool,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// By path.
    pub found: Vec<Difference>,
    /// A bound came first: there may be more.
    pub cut: bool,
    /// Files and directories that were looked at.
    pub looked_at: usize,
    /// Subvolumes that only the first one has.
    pub only_before: Vec<String>,
    /// Subvolumes that only the second one has.
    pub only_after: Vec<String>,
}

/// What is compared, while it is walked.
struct Walk<'a> {
    bounds: Bounds<'a>,
    subvolume: String,
    differences: Differences,
}

impl Store<'_> {
    /// Names what differs from snapshot `before` to snapshot `after`, or to the present state for `None`.
    ///
    /// A file counts as changed if its kind, size, owner, rights, times or content differ. Extended attributes and
    /// what lies in other subvolumes are not looked at.
    pub fn diff(
        &self,
        before: &SnapshotName,
        after: Option<&SnapshotName>,
        bounds: Bounds<'_>,
    ) -> Result<Differences> {
        let old = self.sound(before)?;
        let new = after.map(|after| self.sound(after)).transpose()?;
        let place = |subvolume: &String| match (after, &new) {
            (Some(after), Some(new)) => new
                .subvolumes
                .contains_key(subvolume)
                .then(|| self.place(after, subvolume)),
            _ => {
                let path = self.base.join(subvolume);
                btrfs::is_subvolume(&path).unwrap_or(false).then_some(path)
            }
        };
        let mut differences = Differences::default();
        if let Some(new) = &new {
            let only = new.subvolumes.keys();
            let only = only.filter(|name| !old.subvolumes.contains_key(*name));
            differences.only_after = only.cloned().collect();
        }
        for subvolume in old.subvolumes.keys() {
            let Some(now) = place(subvolume) else {
                differences.only_before.push(subvolume.clone());
                continue;
            };
            let mut walk = Walk {
                bounds,
                subvolume: subvolume.clone(),
                differences,
            };
            let done = walk.roots(&self.place(before, subvolume), &now);
            differences = walk.differences;
            done?;
        }
        differences.found.sort();
        Ok(differences)
    }
}

impl Walk<'_> {
    fn roots(&mut self, before: &Path, after: &Path) -> Result<()> {
        let one = tree::root(before)?;
        let other = tree::root(after)?;
        let device =
            |directory: BorrowedFd<'_>| rustix::fs::fstat(directory).map(|stat| stat.st_dev);
        let devices = (
            device(one.as_fd()).map_err(failed("look at", before))?,
            device(other.as_fd()).map_err(failed("look at", after))?,
        );
        self.directory((one.as_fd(), other.as_fd()), devices, Path::new(""), 0)
            .map_err(|errno| Error::Io {
                doing: "compare",
                path: after.to_owned(),
                source: errno.into(),
            })
    }

    fn directory(
        &mut self,
        (before, after): (BorrowedFd<'_>, BorrowedFd<'_>),
        devices: (u64, u64),
        path: &Path,
        depth: usize,
    ) -> rustix::io::Result<()> {
        if depth > DEEPEST || !(self.bounds.go_on)() {
            self.differences.cut = true;
            return Ok(());
        }
        let old = tree::entries(before)?;
        let mut new = tree::entries(after)?;
        for (name, was) in &old {
            let is = new.remove(name);
            let path = path.join(name);
            let Some(is) = is else {
                self.note(&path, What::Removed, Some(was), None);
                continue;
            };
            if self.is_enough() {
                return Ok(());
            }
            let both = (tree::kind(was), tree::kind(&is));
            if both == (FileType::Directory, FileType::Directory) {
                if rights(was) != rights(&is) {
                    self.note(&path, What::Changed, Some(was), Some(&is));
                }
                // In the place of another subvolume a snapshot has an empty directory.
                if (was.st_dev, is.st_dev) == devices {
                    let inner = (tree::inner(before, name)?, tree::inner(after, name)?);
                    let inner = (inner.0.as_fd(), inner.1.as_fd());
                    self.directory(inner, devices, &path, depth + 1)?;
                }
            } else if !is_same((before, was), (after, &is), name)? {
                self.note(&path, What::Changed, Some(was), Some(&is));
            }
        }
        for (name, is) in new {
            self.note(&path.join(name), What::Added, None, Some(&is));
        }
        Ok(())
    }

    fn is_enough(&mut self) -> bool {
        self.differences.looked_at += 1;
        let enough = self.differences.looked_at > self.bounds.looked_at
            || self.differences.found.len() >= self.bounds.named;
        self.differences.cut |= enough;
        enough
    }

    fn note(&mut self, path: &Path, what: What, was: Option<&Stat>, is: Option<&Stat>) {
        if self.differences.found.len() >= self.bounds.named {
            self.differences.cut = true;
            return;
        }
        let bytes = |stat: Option<&Stat>| {
            let stat = stat.filter(|stat| tree::kind(stat) == FileType::RegularFile)?;
            u64::try_from(stat.st_size).ok()
        };
        let either = is.or(was);
        self.differences.found.push(Difference {
            path: PathBuf::from(&self.subvolume)
                .join(path)
                .to_string_lossy()
                .into_owned(),
            what,
            directory: either.is_some_and(|stat| tree::kind(stat) == FileType::Directory),
            bytes: (bytes(was), bytes(is)),
        });
    }
}

fn rights(stat: &Stat) -> (u32, u32, u32) {
    (stat.st_mode, stat.st_uid, stat.st_gid)
}

/// Whether two entries that are not both directories are the same.
fn is_same(
    (before, was): (BorrowedFd<'_>, &Stat),
    (after, is): (BorrowedFd<'_>, &Stat),
    name: &std::ffi::OsStr,
) -> rustix::io::Result<bool> {
    let written = |stat: &Stat| {
        (
            stat.st_size,
            stat.st_mtime,
            stat.st_mtime_nsec,
            stat.st_rdev,
        )
    };
    if rights(was) != rights(is) || written(was) != written(is) {
        return Ok(false);
    }
    let touched = |stat: &Stat| (stat.st_ino, stat.st_ctime, stat.st_ctime_nsec);
    if touched(was) == touched(is) {
        return Ok(true);
    }
    match tree::kind(was) {
        FileType::Symlink => {
            Ok(readlinkat(before, name, Vec::new())? == readlinkat(after, name, Vec::new())?)
        }
        FileType::RegularFile => has_same_content(before, after, name),
        _ => Ok(true),
    }
}

fn has_same_content(
    before: BorrowedFd<'_>,
    after: BorrowedFd<'_>,
    name: &std::ffi::OsStr,
) -> rustix::io::Result<bool> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut one = File::from(openat(before, name, flags, Mode::empty())?);
    let mut other = File::from(openat(after, name, flags, Mode::empty())?);
    let errno = |error: std::io::Error| {
        rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO)
    };
    let (mut left, mut right) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        let count = one.read(&mut left).map_err(errno)?;
        if count == 0 {
            return Ok(other.read(&mut right).map_err(errno)? == 0);
        }
        match other.read_exact(&mut right[..count]) {
            Ok(()) if left[..count] == right[..count] => {}
            Ok(()) => return Ok(false),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(errno(error)),
        }
    }
}
