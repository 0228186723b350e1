//! Writing into a root file system that somebody else may have made.
//!
//! Its symbolic links are followed as they will be in the container, so that one to `/etc` leads to the
//! `etc` in it and never to the machine's.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, chmodat, fchmod, fstat, mkdirat, openat,
    openat2, symlinkat, unlinkat,
};
use rustix::io::Errno;

/// A directory that is to be the root of a container.
#[derive(Debug)]
pub(super) struct RootFs {
    root: OwnedFd,
}

impl RootFs {
    /// Opens a directory; a symbolic link in its place is not followed.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let root = openat(CWD, path, flags, Mode::empty())?;
        Ok(Self { root })
    }

    /// Whether there is something at `path`, links followed.
    pub(super) fn has(&self, path: &str) -> bool {
        self.look_up(Path::new(path), OFlags::PATH).is_ok()
    }

    /// Makes a directory and those above it, as far as they are missing.
    pub(super) fn directory(&self, path: &str) -> io::Result<()> {
        self.make_directory(Path::new(path)).map(drop)
    }

    /// Writes a file with the permissions 0644, unless something of that name is there.
    pub(super) fn write_new(&self, path: &str, text: &str) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        match openat(parent, name, flags | OFlags::CLOEXEC, Mode::from(0o644)) {
            Ok(file) => {
                fchmod(&file, Mode::from(0o644))?;
                File::from(file).write_all(text.as_bytes())
            }
            Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Writes a file in place of what is there.
    pub(super) fn replace(&self, path: &str, text: &str) -> io::Result<()> {
        self.remove(path)?;
        self.write_new(path, text)
    }

    /// Makes a symbolic link, unless something of that name is there.
    pub(super) fn link(&self, target: &str, path: &str) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        match symlinkat(target, parent, name) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Removes a file or link, if it is there.
    pub(super) fn remove(&self, path: &str) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        match unlinkat(parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn parent<'a>(&self, path: &'a str) -> io::Result<(OwnedFd, &'a Path)> {
        let path = Path::new(path);
        let name = path.file_name().ok_or(Errno::INVAL)?;
        let parent = self.make_directory(path.parent().unwrap_or(Path::new("")))?;
        Ok((parent, Path::new(name)))
    }

    fn make_directory(&self, path: &Path) -> io::Result<OwnedFd> {
        let mut directory = self.look_up(Path::new("."), OFlags::PATH)?;
        let mut way = std::path::PathBuf::new();
        for component in path.components() {
            let Component::Normal(name) = component else {
                continue;
            };
            way.push(name);
            directory = match self.look_up(&way, OFlags::PATH | OFlags::DIRECTORY) {
                Ok(found) => found,
                Err(Errno::NOENT) => {
                    // Fails where a link leads to nothing.
                    mkdirat(&directory, name, Mode::from(0o755))?;
                    // The umask may have taken some away.
                    chmodat(&directory, name, Mode::from(0o755), AtFlags::empty())?;
                    self.look_up(&way, OFlags::PATH | OFlags::DIRECTORY)?
                }
                Err(errno) => return Err(errno.into()),
            };
        }
        Ok(directory)
    }

    fn look_up(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        openat2(
            &self.root,
            path,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            resolve,
        )
    }
}

/// Whether a directory itself, and not a link in its place, is there.
pub(super) fn is_directory(path: &Path) -> bool {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(CWD, path, flags, Mode::empty())
        .and_then(fstat)
        .is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Directory)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_lead_nowhere_outside() {
        let outside = tempfile::tempdir().unwrap();
        let root = tempfile::tempdir().unwrap();
        let rootfs = RootFs::open(root.path()).unwrap();
        symlink(outside.path(), root.path().join("etc")).unwrap();
        symlink("../../../../..", root.path().join("up")).unwrap();
        symlink("/inner", root.path().join("absolute")).unwrap();
        fs::create_dir(root.path().join("inner")).unwrap();
        // The link leads to a place that is not in the root file system.
        assert!(rootfs.write_new("etc/unit", "x").is_err());
        rootfs.write_new("up/file", "x").unwrap();
        rootfs.write_new("absolute/file", "x").unwrap();
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
        assert!(root.path().join("file").exists());
        assert!(root.path().join("inner/file").exists());
        assert!(rootfs.has("absolute/file") && !rootfs.has("etc/unit"));
    }

    #[test]
    fn what_is_there_stays_unless_it_is_to_be_replaced() {
        let root = tempfile::tempdir().unwrap();
        let rootfs = RootFs::open(root.path()).unwrap();
        let read = |name: &str| fs::read_to_string(root.path().join(name)).unwrap();
        rootfs.write_new("a/b/c", "1").unwrap();
        rootfs.write_new("a/b/c", "2").unwrap();
        assert_eq!(read("a/b/c"), "1");
        rootfs.replace("a/b/c", "3").unwrap();
        assert_eq!(read("a/b/c"), "3");
        rootfs.link("b/c", "a/link").unwrap();
        assert_eq!(read("a/link"), "3");
        rootfs.replace("a/link", "4").unwrap();
        assert_eq!(
            (read("a/link"), read("a/b/c")),
            ("4".to_owned(), "3".to_owned())
        );
        rootfs.remove("a/link").unwrap();
        rootfs.remove("a/link").unwrap();
    }

    #[test]
    fn a_link_is_no_root() {
        let root = tempfile::tempdir().unwrap();
        symlink("/", root.path().join("rootfs")).unwrap();
        assert!(RootFs::open(&root.path().join("rootfs")).is_err());
        assert!(!is_directory(&root.path().join("rootfs")));
        assert!(is_directory(root.path()));
    }
}
