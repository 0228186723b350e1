//! Files that root alone can have written.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::super::read::LARGEST;
use super::{Files, MAPPING_FILE, PLUGIN_FILE, Trust, Unusable};

/// The two files of a directory. Whoever may write to one of them could have root's agent do things: both, and the
/// directories above, must belong to root and be writable by nobody else.
pub(in crate::derived) fn read_files(path: &Path, trust: Trust) -> Result<Files, Unusable> {
    for directory in [path.parent(), Some(path)].into_iter().flatten() {
        let found =
            fs::symlink_metadata(directory).map_err(|error| unreadable(directory, &error))?;
        if !found.is_dir() {
            return Err(unsafe_file(directory, "is no directory"));
        }
        vouch(directory, &found, trust)?;
    }
    Ok(Files {
        plugin: read_file(&path.join(PLUGIN_FILE), trust)?,
        mapping: read_file(&path.join(MAPPING_FILE), trust)?,
    })
}

fn read_file(path: &Path, trust: Trust) -> Result<String, Unusable> {
    let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits();
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags.cast_signed())
        .open(path);
    let file = file.map_err(|error| match error.raw_os_error() {
        Some(number) if number == rustix::io::Errno::LOOP.raw_os_error() => {
            unsafe_file(path, "is a symbolic link")
        }
        _ => unreadable(path, &error),
    })?;
    let found = file.metadata().map_err(|error| unreadable(path, &error))?;
    if !found.is_file() {
        return Err(unsafe_file(path, "is no file"));
    }
    vouch(path, &found, trust)?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > LARGEST {
        return Err(unsafe_file(path, "has more than 256 KiB"));
    }
    String::from_utf8(bytes).map_err(|_| unsafe_file(path, "is not text in UTF-8"))
}

/// Whether root alone may write to it, if that matters.
fn vouch(path: &Path, found: &fs::Metadata, trust: Trust) -> Result<(), Unusable> {
    if trust == Trust::Anybody {
        return Ok(());
    }
    if found.uid() != 0 {
        return Err(Unusable {
            what: format!(
                "{} belongs to user {} and not to root",
                path.display(),
                found.uid()
            ),
            fix: format!("look at it, then `chown root:root {}`", path.display()),
        });
    }
    if found.mode() & 0o022 != 0 {
        return Err(Unusable {
            what: format!(
                "{} can be written by others than root (mode {:04o})",
                path.display(),
                found.mode() & 0o7777
            ),
            fix: format!("look at it, then `chmod go-w {}`", path.display()),
        });
    }
    Ok(())
}

fn unreadable(path: &Path, error: &io::Error) -> Unusable {
    Unusable {
        what: format!("cannot read {}: {error}", path.display()),
        fix: "mend that".to_owned(),
    }
}

fn unsafe_file(path: &Path, what: &str) -> Unusable {
    Unusable {
        what: format!("{} {what}", path.display()),
        fix: "put a plain file of root's there".to_owned(),
    }
}
