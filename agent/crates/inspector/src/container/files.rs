//! Files of a container or image: below a directory, or in a tape archive.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2, readlink};
use rustix::io::Errno;

use crate::error::Error;
use crate::limits::{Budget, Limits};

/// Files by their paths, which are relative (`etc/os-release`).
pub trait Files {
    /// The content of a regular file of at most so many bytes; nothing if it is not there.
    fn read(&self, path: &str, most: usize) -> Result<Option<Vec<u8>>, Error>;

    /// Where a path really leads, symbolic links followed, if something is there and that can be told.
    fn real(&self, _path: &str) -> Option<String> {
        None
    }
}

/// A directory, as if it were the root of the file system: no symbolic link leads out of it.
pub struct Directory(OwnedFd);

impl Directory {
    /// Opens a directory.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = openat(CWD, path, flags, Mode::empty());
        opened
            .map(Self)
            .map_err(|errno| unreadable(&path.to_string_lossy(), errno))
    }

    /// A directory below, again as a root of its own; nothing if it is not there.
    pub fn below(&self, path: &str) -> Result<Option<Self>, Error> {
        match self.find(path, OFlags::PATH | OFlags::DIRECTORY) {
            Ok(found) => Ok(Some(Self(found))),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(errno) => Err(unreadable(path, errno)),
        }
    }

    fn find(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        openat2(&self.0, path, flags | OFlags::CLOEXEC, Mode::empty(), how)
    }
}

fn unreadable(path: &str, reason: impl std::fmt::Display) -> Error {
    Error::Unreadable {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

impl Files for Directory {
    fn read(&self, path: &str, most: usize) -> Result<Option<Vec<u8>>, Error> {
        // What is there is looked at before it is opened, so that no device or FIFO is touched.
        let found = match self.find(path, OFlags::PATH) {
            Ok(found) => found,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(errno) => return Err(unreadable(path, errno)),
        };
        let stat = fstat(&found).map_err(|errno| unreadable(path, errno))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(None);
        }
        let name = format!("/proc/self/fd/{}", found.as_raw_fd());
        let file = File::open(name).map_err(|error| unreadable(path, error))?;
        let limits = Limits {
            bytes: most,
            ..Limits::default()
        };
        Budget::new(limits).read(file).map(Some)
    }

    fn real(&self, path: &str) -> Option<String> {
        let place = |fd: &OwnedFd| {
            let name = format!("/proc/self/fd/{}", fd.as_raw_fd());
            readlink(name, Vec::new()).ok()?.into_string().ok()
        };
        let found = self.find(path, OFlags::PATH).ok()?;
        let root = place(&self.0)?;
        let rest = place(&found)?.strip_prefix(&root)?.to_owned();
        Some(match rest.starts_with('/') {
            true => rest,
            false => format!("/{rest}"),
        })
    }
}

/// The members of a tape archive, which stay where they are.
pub struct TarFiles<R> {
    archive: RefCell<R>,
    /// Where each regular file begins, and how long it is.
    members: BTreeMap<String, (u64, u64)>,
}

/// How many members an archive may have.
const MOST_MEMBERS: usize = 100_000;
/// How many bytes of headers an archive may have, long names and extended headers included.
const MOST_HEADERS: usize = 64 << 20;

impl<R: Read + Seek> TarFiles<R> {
    /// Reads the headers of an archive.
    pub fn new(mut from: R, budget: &Budget) -> Result<Self, Error> {
        let met = Cell::new(None);
        let wrong = |error: std::io::Error| {
            let met = met.take();
            met.unwrap_or_else(|| Error::syntax("tape archive", error))
        };
        let mut members = BTreeMap::new();
        let mut archive = tar::Archive::new(Headers {
            from: &mut from,
            budget,
            left: MOST_HEADERS,
            met: &met,
        });
        for member in archive.entries_with_seek().map_err(wrong)? {
            budget.in_time()?;
            let member = member.map_err(wrong)?;
            if members.len() >= MOST_MEMBERS {
                return Err(Error::TooMany(MOST_MEMBERS));
            }
            if member.header().entry_type().is_file() {
                let path = String::from_utf8_lossy(&member.path_bytes()).into_owned();
                let path = path.trim_start_matches("./").to_owned();
                members.insert(path, (member.raw_file_position(), member.size()));
            }
        }
        Ok(Self {
            archive: RefCell::new(from),
            members,
        })
    }
}

/// An archive of which only so much is read, since extended headers may claim any size. Passing over costs nothing.
struct Headers<'a, R> {
    from: &'a mut R,
    budget: &'a Budget,
    left: usize,
    /// The bound that was met, which the reader of the archive cannot pass on.
    met: &'a Cell<Option<Error>>,
}

impl<R: Read> Read for Headers<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let within = match self.left {
            0 => Err(Error::TooLarge(MOST_HEADERS)),
            _ => self.budget.in_time(),
        };
        if let Err(error) = within {
            let told = std::io::Error::other(error.to_string());
            self.met.set(Some(error));
            return Err(told);
        }
        let most = buffer.len().min(self.left);
        let count = self.from.read(&mut buffer[..most])?;
        self.left -= count;
        Ok(count)
    }
}

impl<R: Seek> Seek for Headers<'_, R> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.from.seek(to)
    }
}

impl<R: Read + Seek> Files for TarFiles<R> {
    fn read(&self, path: &str, most: usize) -> Result<Option<Vec<u8>>, Error> {
        let Some((place, size)) = self.members.get(path) else {
            return Ok(None);
        };
        if *size > most as u64 {
            return Err(Error::TooLarge(most));
        }
        let mut archive = self.archive.borrow_mut();
        let failed = |error: std::io::Error| unreadable(path, error);
        archive.seek(SeekFrom::Start(*place)).map_err(failed)?;
        let mut bytes = Vec::new();
        let read = archive
            .by_ref()
            .take(*size)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        match read as u64 == *size {
            true => Ok(Some(bytes)),
            false => Err(unreadable(path, "the archive ends before it does")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_headers_of_any_size_end_at_the_limit() {
        for kind in [tar::EntryType::GNULongName, tar::EntryType::XHeader] {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_size(100 << 30);
            header.set_cksum();
            let archive = tempfile::tempfile().unwrap();
            std::os::unix::fs::FileExt::write_all_at(&archive, header.as_bytes(), 0).unwrap();
            archive.set_len(1 << 30).unwrap();
            let read = TarFiles::new(archive, &Budget::new(Limits::default()));
            assert_eq!(read.err(), Some(Error::TooLarge(MOST_HEADERS)));
        }
    }
}
