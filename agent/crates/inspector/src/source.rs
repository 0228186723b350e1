//! What is looked at: bytes with a name.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

use crate::error::Error;
use crate::limits::{Budget, Limits};

/// Bytes, and where they come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// A path, a URL, or `-`: how people name it. Its ending is a hint to the format.
    pub name: String,
    /// All of it.
    pub bytes: Vec<u8>,
}

impl Source {
    /// Bytes that are there already.
    pub fn new(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.into(),
            bytes: bytes.into(),
        }
    }

    /// Reads a regular file, with the rights of this process.
    pub fn file(path: &Path, limits: &Limits) -> Result<Self, Error> {
        let file = open(path)?;
        Self::stream(&path.to_string_lossy(), file, limits)
    }

    /// Reads what comes, to its end.
    pub fn stream(name: &str, from: impl Read, limits: &Limits) -> Result<Self, Error> {
        let bytes = Budget::new(*limits).read(from)?;
        Ok(Self::new(name, bytes))
    }
}

/// Opens a regular file; anything else is refused before it can make us wait.
pub fn open(path: &Path) -> Result<File, Error> {
    let failed = |reason: String| Error::Unreadable {
        path: path.display().to_string(),
        reason,
    };
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut how = File::options();
    how.read(true).custom_flags(flags.bits().cast_signed());
    let file = how.open(path).map_err(|error| failed(error.to_string()))?;
    let meta = file.metadata().map_err(|error| failed(error.to_string()))?;
    match meta.is_file() {
        true => Ok(file),
        false => Err(failed("it is no regular file".to_owned())),
    }
}
