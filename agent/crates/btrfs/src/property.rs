//! Properties of subvolumes: what `btrfs property` does.

use std::path::Path;

use rustix::fs::{XattrFlags, lgetxattr, lremovexattr, lsetxattr};
use rustix::io::Errno;

use crate::error::{Result, failed};

/// The extended attribute behind the property, `fs/btrfs/props.c`.
const COMPRESSION: &str = "btrfs.compression";
/// More than any algorithm with its level takes.
const LONGEST: usize = 64;

/// The compression of what will be written below `path`, as it was set: `zstd:3`, `lzo`, `none`…
///
/// `None` if the property is not set and the mount options decide.
pub fn compression(path: impl AsRef<Path>) -> Result<Option<String>> {
    let path = path.as_ref();
    let mut value = [0; LONGEST];
    match lgetxattr(path, COMPRESSION, &mut value[..]) {
        Ok(length) => Ok(Some(String::from_utf8_lossy(&value[..length]).into_owned())),
        Err(Errno::NODATA) => Ok(None),
        // Other file systems have no attribute of that kind.
        Err(Errno::OPNOTSUPP) => Err(crate::Error::NotBtrfs {
            path: path.to_owned(),
        }),
        Err(errno) => Err(failed("read the compression of", path)(errno)),
    }
}

/// Sets how files made below `path` from now on are compressed; `None` leaves it to the mount options.
///
/// The kernel checks the algorithm and keeps the level as it was written, also where its version
/// compresses with its default level.
pub fn set_compression(path: impl AsRef<Path>, algorithm: Option<&str>) -> Result<()> {
    let path = path.as_ref();
    let done = match algorithm {
        Some(value) => lsetxattr(path, COMPRESSION, value.as_bytes(), XattrFlags::empty()),
        None => match lremovexattr(path, COMPRESSION) {
            Err(Errno::NODATA) => Ok(()),
            done => done,
        },
    };
    done.map_err(|errno| match errno {
        Errno::OPNOTSUPP => crate::Error::NotBtrfs {
            path: path.to_owned(),
        },
        errno => failed("set the compression of", path)(errno),
    })
}
