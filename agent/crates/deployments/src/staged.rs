//! A version on its way in.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{Error, Result, failed};
use crate::place::PROGRAM;

/// The largest program, in bytes.
const LARGEST: u64 = 1 << 30;

/// A program that may be deployed.
#[derive(Debug)]
pub struct Candidate {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
    /// Its bytes.
    pub size: u64,
}

impl Candidate {
    /// Reads the program.
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(failed("open", path))?;
        let about = file.metadata().map_err(failed("look at", path))?;
        if !about.is_file() || about.len() > LARGEST {
            return Err(Error::NoProgram(path.to_owned()));
        }
        let (sha256, size) = hash(&mut file, path)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            sha256,
            size,
        })
    }

    /// The open file, which others can start by its descriptor where they do not get to the path.
    pub fn file(&self) -> &File {
        &self.file
    }
}

/// A copy that has no name yet. It goes when it is dropped.
#[derive(Debug)]
pub struct Staged {
    pub(crate) path: PathBuf,
    pub(crate) files: BTreeMap<String, String>,
    pub(crate) kept: bool,
}

impl Staged {
    /// Copies a program into the empty directory or subvolume `path`, and checks that it is the one that was looked at.
    pub(crate) fn fill(path: PathBuf, candidate: &Candidate) -> Result<Self> {
        let mut staged = Self {
            path,
            files: BTreeMap::new(),
            kept: false,
        };
        let program = staged.program();
        for directory in ["bin", "config"] {
            let directory = staged.path.join(directory);
            fs::create_dir(&directory).map_err(failed("make", &directory))?;
            open_to_all(&directory)?;
        }
        open_to_all(&staged.path)?;
        let source = &candidate.path;
        let mut from = File::open(source).map_err(failed("open", source))?;
        let mut to = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o755)
            .open(&program)
            .map_err(failed("make", &program))?;
        io::copy(&mut Read::by_ref(&mut from).take(LARGEST), &mut to)
            .and_then(|_| to.set_permissions(Permissions::from_mode(0o755)))
            .and_then(|()| to.sync_all())
            .map_err(failed("write", &program))?;
        let mut written = File::open(&program).map_err(failed("open", &program))?;
        let (found, _) = hash(&mut written, &program)?;
        if found != candidate.sha256 {
            return Err(Error::Changed {
                path: source.clone(),
                expected: candidate.sha256.clone(),
                found,
            });
        }
        staged.files.insert(PROGRAM.to_owned(), found);
        // The name by which the requirements know it.
        let alias = staged.path.join("bin/mcp-chat");
        symlink("op-dbus", &alias).map_err(failed("link", &alias))?;
        Ok(staged)
    }

    /// The copy of the program.
    pub fn program(&self) -> PathBuf {
        self.path.join(PROGRAM)
    }

    /// Adds a file to its configuration.
    pub fn configure(&mut self, name: &str, text: &[u8]) -> Result<()> {
        let below = format!("config/{name}");
        let path = self.path.join(&below);
        durable::replace(&path, text, 0o644).map_err(failed("write", &path))?;
        self.files.insert(below, hex::encode(Sha256::digest(text)));
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.kept {
            // What cannot be removed now is removed by the next who deploys.
            let _ = remove(&self.path);
        }
    }
}

/// Removes a version's directory or subvolume; one that is not there is gone too.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("look at", path)(error)),
        Ok(_) if btrfs::is_subvolume(path)? => Ok(btrfs::delete(path)?),
        Ok(_) => fs::remove_dir_all(path).map_err(failed("remove", path)),
    }
}

/// SHA-256 in hexadecimal, and bytes.
pub(crate) fn hash(file: &mut File, path: &Path) -> Result<(String, u64)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut size = 0;
    loop {
        let read = file.read(&mut buffer).map_err(failed("read", path))?;
        if read == 0 {
            return Ok((hex::encode(hasher.finalize()), size));
        }
        hasher.update(buffer.get(..read).unwrap_or_default());
        size += read as u64;
    }
}

/// The umask of whoever deploys is no matter: another user runs it.
fn open_to_all(directory: &Path) -> Result<()> {
    fs::set_permissions(directory, Permissions::from_mode(0o755))
        .map_err(failed("open to all", directory))
}
