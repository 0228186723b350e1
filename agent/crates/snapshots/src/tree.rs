//! Files below a directory that is held open: no symbolic link is followed, and no other subvolume entered.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path};

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, open, openat, openat2, statat,
};
use rustix::io::Errno;

use crate::error::{Error, Result, failed};

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Opens the root of a tree.
pub(crate) fn root(path: &Path) -> Result<OwnedFd> {
    open(path, DIRECTORY, Mode::empty()).map_err(failed("open directory", path))
}

/// Opens a directory below `root`; every step on the way is a directory in the same tree.
pub(crate) fn below(root: BorrowedFd<'_>, path: &Path) -> rustix::io::Result<OwnedFd> {
    let within = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let path = match path.as_os_str().is_empty() {
        true => Path::new("."),
        false => path,
    };
    openat2(root, path, DIRECTORY, Mode::empty(), within)
}

/// Opens a directory in another one.
pub(crate) fn inner(parent: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    openat(parent, name, DIRECTORY, Mode::empty())
}

/// What is there under a name; `None` if nothing is.
pub(crate) fn look(parent: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<Option<Stat>> {
    match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Everything in a directory.
pub(crate) fn entries(directory: impl AsFd) -> rustix::io::Result<BTreeMap<OsString, Stat>> {
    let directory = directory.as_fd();
    let mut found = BTreeMap::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        let name = OsString::from_vec(name.to_vec());
        // Gone since it was listed.
        if let Some(stat) = look(directory, &name)? {
            found.insert(name, stat);
        }
    }
    Ok(found)
}

/// The kind of a file.
pub(crate) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Splits a path as people write it, `@state/tasks/x`, into the subvolume and the path within, of plain steps.
pub(crate) fn split(path: &str) -> Result<(String, &Path)> {
    let refuse = |why: &str| Error::Refused {
        what: format!("`{}`", path.escape_debug()),
        why: why.to_owned(),
    };
    let Some((subvolume, rest)) = path.split_once('/') else {
        return Err(refuse(
            "name a file in a subvolume, such as @state/containers.json",
        ));
    };
    let rest = Path::new(rest);
    let plain = rest
        .components()
        .all(|step| matches!(step, Component::Normal(_)));
    let exact = rest
        .components()
        .collect::<std::path::PathBuf>()
        .as_os_str()
        == rest.as_os_str();
    if rest.as_os_str().is_empty() || !plain || !exact || rest.as_os_str().as_bytes().contains(&0) {
        return Err(refuse(
            "a path is made of plain names: no `.`, no `..`, no empty one",
        ));
    }
    Ok((subvolume.to_owned(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_a_subvolume_and_plain_steps() {
        let (subvolume, rest) = split("@state/a/b.json").unwrap();
        assert_eq!(
            (subvolume.as_str(), rest),
            ("@state", Path::new("a/b.json"))
        );
        for bad in [
            "@state",
            "@state/",
            "@state/../x",
            "@state/./x",
            "@state//x",
            "@state/a//b",
            "@state/a/",
            "@state/a\0",
        ] {
            assert!(split(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn links_on_the_way_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("real")).unwrap();
        std::os::unix::fs::symlink("real", dir.path().join("link")).unwrap();
        let root = root(dir.path()).unwrap();
        assert!(below(root.as_fd(), Path::new("real")).is_ok());
        assert!(below(root.as_fd(), Path::new("")).is_ok());
        std::fs::create_dir(dir.path().join("real/inner")).unwrap();
        assert_eq!(
            below(root.as_fd(), Path::new("link")).unwrap_err(),
            Errno::NOTDIR
        );
        assert_eq!(
            below(root.as_fd(), Path::new("link/inner")).unwrap_err(),
            Errno::LOOP
        );
        assert_eq!(
            below(root.as_fd(), Path::new("../x")).unwrap_err(),
            Errno::XDEV
        );
    }
}
