//! The mark of what is ours: the extended attribute `user.op-dbus` of a file or directory.
//!
//! A snapshot, a copy and a received subvolume carry the marks of their origin. A mark that says
//! "this very one" must therefore hold something that they do not share, such as the UUID.

use std::io;
use std::path::Path;

use rustix::fs::{XattrFlags, lgetxattr, lremovexattr, lsetxattr};
use rustix::io::Errno;

const NAME: &str = "user.op-dbus";
/// In bytes; far below what any file system takes.
const LONGEST: usize = 1024;

/// The mark on `path`; `None` if there is none, also where the file system keeps no such attributes.
///
/// A symbolic link is not followed. A mark that is too long or no text is somebody else's: `None`.
pub fn read(path: impl AsRef<Path>) -> io::Result<Option<String>> {
    let mut value = [0; LONGEST];
    match lgetxattr(path.as_ref(), NAME, &mut value[..]) {
        Ok(length) => Ok(String::from_utf8(value[..length].to_vec()).ok()),
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Marks `path` as ours, in place of any earlier mark. At most 1024 bytes.
pub fn write(path: impl AsRef<Path>, mark: &str) -> io::Result<()> {
    if mark.len() > LONGEST {
        return Err(Errno::TOOBIG.into());
    }
    Ok(lsetxattr(
        path.as_ref(),
        NAME,
        mark.as_bytes(),
        XattrFlags::empty(),
    )?)
}

/// Takes the mark off `path`; it may have none.
pub fn remove(path: impl AsRef<Path>) -> io::Result<()> {
    match lremovexattr(path.as_ref(), NAME) {
        Err(Errno::NODATA) | Ok(()) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_written_read_and_removed() {
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        assert_eq!(read(dir.path()).unwrap(), None);
        write(dir.path(), "first").unwrap();
        write(dir.path(), "a").unwrap();
        assert_eq!(read(dir.path()).unwrap().as_deref(), Some("a"));
        remove(dir.path()).unwrap();
        remove(dir.path()).unwrap();
        assert_eq!(read(dir.path()).unwrap(), None);
    }

    #[test]
    fn what_is_not_there_has_no_mark_to_read() {
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let missing = read(dir.path().join("missing")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_mark_beyond_the_limit_is_refused() {
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        assert!(write(dir.path(), &"x".repeat(LONGEST + 1)).is_err());
        write(dir.path(), &"x".repeat(LONGEST)).unwrap();
        assert_eq!(read(dir.path()).unwrap().unwrap().len(), LONGEST);
    }
}
