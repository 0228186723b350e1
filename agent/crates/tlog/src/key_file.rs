//! A signing key in a file that its owner alone can read.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::key::{Algorithm, KeyError, KeyName, SigningKey};

/// The longest key file, in bytes.
const MAX_FILE: u64 = 1024;

/// A key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read or written.
    #[error("the key {path} cannot be used: {source}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Others can read it.
    #[error("the key {path} can be read or written by others (mode {mode:04o}): chmod 600 it, and think about a new key", path = .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// What it holds is no key, or not such a one.
    #[error("the key {path} cannot be used: {source}", path = .path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: KeyError,
    },
    /// It is a key of another name.
    #[error("the key {path} is named `{found}`, not `{expected}`: give it the same name, or move it away so that a new one is made", path = .path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// The name that it has.
        found: KeyName,
        /// The name that was wanted.
        expected: KeyName,
    },
}

/// The file of a signing key.
#[derive(Debug, Clone)]
pub struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    /// A file that may or may not be there.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The key, which is made if there is none: the file with mode 0600, its directory with 0700.
    ///
    /// # Errors
    /// If it cannot be read or made, or if there is one with another name or for something else: a log does not
    /// change its key unnoticed.
    pub fn open_or_create(
        &self,
        name: &KeyName,
        algorithm: Algorithm,
    ) -> Result<SigningKey, KeyFileError> {
        if let Some(key) = self.open(algorithm)? {
            let found = key.verifier().name();
            if found != name {
                let (path, found, expected) = (self.path.clone(), found.clone(), name.clone());
                return Err(KeyFileError::Name {
                    path,
                    found,
                    expected,
                });
            }
            return Ok(key);
        }
        let text = SigningKey::generate(name, algorithm).map_err(|error| self.key(error))?;
        self.create(&text).map_err(|error| self.io(error))?;
        text.parse().map_err(|error| self.key(error))
    }

    /// The key, if the file is there.
    pub fn open(&self, algorithm: Algorithm) -> Result<Option<SigningKey>, KeyFileError> {
        let no_link = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        let mut options = fs::OpenOptions::new();
        let file = match options.read(true).custom_flags(no_link).open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|error| self.io(error))?,
        };
        let mode = file.metadata().map_err(|error| self.io(error))?.mode() & 0o7777;
        // Credentials of systemd may have 0440, and lie where nobody else looks.
        if mode & 0o037 != 0 {
            return Err(KeyFileError::Open {
                path: self.path.clone(),
                mode,
            });
        }
        let text = read(&file).map_err(|error| self.io(error))?;
        let key: SigningKey = text.trim_end().parse().map_err(|error| self.key(error))?;
        key.for_purpose(algorithm)
            .map(Some)
            .map_err(|error| self.key(error))
    }

    fn create(&self, text: &str) -> io::Result<()> {
        let directory = self.path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        if !directory.is_dir() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)?;
            directory.parent().map_or(Ok(()), durable::sync_directory)?;
        }
        durable::replace(&self.path, format!("{text}\n").as_bytes(), 0o600)
    }

    fn io(&self, source: io::Error) -> KeyFileError {
        KeyFileError::Io {
            path: self.path.clone(),
            source,
        }
    }

    fn key(&self, source: KeyError) -> KeyFileError {
        KeyFileError::Key {
            path: self.path.clone(),
            source,
        }
    }
}

fn read(file: &File) -> io::Result<String> {
    let mut text = String::new();
    file.take(MAX_FILE).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn name(text: &str) -> KeyName {
        text.parse().unwrap()
    }

    #[test]
    fn a_key_is_made_once_and_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let file = KeyFile::at(directory.path().join("keys/log.key"));
        assert!(file.open(Algorithm::Ed25519).unwrap().is_none());
        let made = file.open_or_create(&name("a"), Algorithm::Ed25519).unwrap();
        let again = file.open_or_create(&name("a"), Algorithm::Ed25519).unwrap();
        assert_eq!(made.verifier(), again.verifier());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(file.path()), 0o600);
        assert_eq!(mode(file.path().parent().unwrap()), 0o700);
    }

    #[test]
    fn a_key_that_does_not_fit_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let file = KeyFile::at(directory.path().join("log.key"));
        file.open_or_create(&name("a"), Algorithm::Ed25519).unwrap();
        let before = fs::read(file.path()).unwrap();
        let other = file.open_or_create(&name("b"), Algorithm::Ed25519);
        assert!(matches!(other, Err(KeyFileError::Name { .. })), "{other:?}");
        let other = file.open_or_create(&name("a"), Algorithm::Cosignature);
        assert!(matches!(other, Err(KeyFileError::Key { .. })), "{other:?}");
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).unwrap();
        let other = file.open_or_create(&name("a"), Algorithm::Ed25519);
        assert!(
            matches!(other, Err(KeyFileError::Open { mode: 0o644, .. })),
            "{other:?}"
        );
        assert_eq!(fs::read(file.path()).unwrap(), before);
        fs::write(file.path(), "garbage").unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o600)).unwrap();
        let error = file.open(Algorithm::Ed25519).unwrap_err();
        assert!(!error.to_string().contains("garbage"), "{error}");
    }
}
