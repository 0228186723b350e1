//! Files that are there as a whole or not at all, also after a loss of power.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Puts a file in the place of another, with this mode, whatever the umask is. When it returns, the file is on the disk;
/// when it is killed, either the old or the new one is there; when it fails, the old one.
///
/// There has to be one writer. What a killed one leaves, [`beside`] the file, is overwritten by the next.
///
/// # Errors
///
/// Those of the system.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    replace_all(&[(path.to_owned(), bytes)], mode)
}

/// The same for several files. Their directories have to be there.
///
/// # Errors
///
/// Those of the system; some of the files may have been replaced then.
pub fn replace_all(files: &[(PathBuf, &[u8])], mode: u32) -> io::Result<()> {
    let placed = || {
        write_beside(files, mode)?;
        files
            .iter()
            .try_for_each(|(path, _)| fs::rename(beside(path)?, path))
    };
    let written = placed();
    if written.is_err() {
        for (path, _) in files {
            let _ = beside(path).and_then(fs::remove_file);
        }
    }
    written?;
    match files.len() > FEW {
        true => settle(files),
        false => directories(files)
            .iter()
            .try_for_each(|directory| sync_directory(directory)),
    }
}

/// Where the new file is until it takes its place: `.NAME.new`.
///
/// # Errors
///
/// Where the path has no name.
pub fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    Ok(path.with_file_name(format!(".{}.new", name.display())))
}

fn write_beside(files: &[(PathBuf, &[u8])], mode: u32) -> io::Result<()> {
    for (path, bytes) in files {
        let mut file = new_file(&beside(path)?, mode)?;
        file.write_all(bytes)?;
        // Many files are settled at once below.
        if files.len() <= FEW {
            file.sync_all()?;
        }
    }
    match files.len() > FEW {
        true => settle(files),
        false => Ok(()),
    }
}

fn settle(files: &[(PathBuf, &[u8])]) -> io::Result<()> {
    files
        .first()
        .map_or(Ok(()), |(path, _)| sync_file_system(path))
}

/// Up to this many files are synchronised one by one.
const FEW: usize = 16;

/// Makes a directory and those above it that are missing, durably.
///
/// # Errors
///
/// Those of the system.
pub fn create_directories(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = path.parent().ok_or(io::ErrorKind::NotFound)?;
    create_directories(above)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.and_then(|()| sync_directory(above)),
    }
}

/// Synchronises the entries of a directory.
///
/// # Errors
///
/// Those of the system.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes it last that a file was made, renamed or removed: synchronises the directory that it is in.
///
/// # Errors
///
/// Those of the system.
pub fn sync_entry(path: &Path) -> io::Result<()> {
    sync_directory(parent(path))
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn sync_file_system(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(parent(path))?)?)
}

fn directories(files: &[(PathBuf, &[u8])]) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = files
        .iter()
        .map(|(path, _)| parent(path).to_owned())
        .collect();
    all.sort();
    all.dedup();
    all
}

fn new_file(path: &Path, mode: u32) -> io::Result<File> {
    let open = || {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)
            .and_then(|file| {
                file.set_permissions(Permissions::from_mode(mode))?;
                Ok(file)
            })
    };
    match open() {
        // Of a writer that was killed. It is removed and not opened, since it may be a link by now.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            open()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_writer_left_is_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("head");
        let target = directory.path().join("target");
        fs::write(&target, "untouched").unwrap();
        std::os::unix::fs::symlink(&target, directory.path().join(".head.new")).unwrap();
        replace(&path, b"new", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::read(&target).unwrap(), b"untouched");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_fails_leaves_the_old_file_and_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        // A directory cannot be replaced by a file.
        fs::create_dir(&path).unwrap();
        assert!(replace(&path, b"new", 0o600).is_err());
        assert!(path.is_dir());
        assert!(replace(&directory.path().join("missing/b"), b"new", 0o600).is_err());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn many_files_are_written_as_few_are() {
        let directory = tempfile::tempdir().unwrap();
        let files: Vec<_> = (0..2 * FEW)
            .map(|number| {
                (
                    directory.path().join(number.to_string()),
                    b"text".as_slice(),
                )
            })
            .collect();
        replace_all(&files, 0o644).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2 * FEW);
    }
}
