//! The file of the declaration, where it is ours to write.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::site::Site;
use crate::error::ToolError;

/// What belongs to the Nix store and is made by building.
const STORE: &str = "/nix/store";

/// Where the declaration is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a file that may be written.
    File(PathBuf),
    /// In the Nix store: the host's configuration makes it.
    Store(PathBuf),
    /// It came by standard input.
    Nowhere,
}

impl Place {
    /// Where a site has its declaration.
    pub(crate) fn of(site: &Site) -> Self {
        let Some(path) = site.file() else {
            return Self::Nowhere;
        };
        let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        match target.starts_with(STORE) {
            true => Self::Store(target),
            false => Self::File(target),
        }
    }
}

/// A file that was replaced, and how it was before.
pub(crate) struct Replaced {
    path: PathBuf,
    before: Option<Vec<u8>>,
}

/// Replaces a declaration; a crash leaves the old or the new one, whole.
pub(crate) fn replace(path: &Path, text: &[u8]) -> Result<Replaced, ToolError> {
    let failed = |error| ToolError::failed(&format!("write {}", path.display()), error);
    let before = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        before => Some(before.map_err(failed)?),
    };
    write(path, text).map_err(failed)?;
    Ok(Replaced {
        path: path.to_owned(),
        before,
    })
}

impl Replaced {
    /// Puts back what was there before.
    pub(crate) fn take_back(self) -> Result<(), ToolError> {
        let done = match &self.before {
            Some(before) => write(&self.path, before),
            None => fs::remove_file(&self.path),
        };
        done.map_err(|error| ToolError::failed(&format!("put {} back", self.path.display()), error))
    }
}

fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(directory)?;
    let mode = fs::metadata(path).map_or(0o644, |before| before.permissions().mode() & 0o777);
    durable::replace(path, text, mode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Source;

    #[test]
    fn what_was_replaced_is_put_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("etc/state.yaml");
        replace(&path, b"one").unwrap();
        let second = replace(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        second.take_back().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn what_was_not_there_goes_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.yaml");
        replace(&path, b"one").unwrap().take_back().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_file_of_the_store_is_not_ours_to_write() {
        let path = PathBuf::from("/nix/store/abc-op-dbus-declaration.json");
        let site = Site::new(Source::File(path.clone()), None);
        assert_eq!(Place::of(&site), Place::Store(path));
        let text = Site::new(Source::Text(String::new()), None);
        assert_eq!(Place::of(&text), Place::Nowhere);
    }
}
