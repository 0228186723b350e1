//! Files that are there as a whole or not at all, also after a loss of power.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Puts a file in the place of another, with this mode. When it returns, the file is on the disk; when it is killed,
/// either the old or the new one is there.
///
/// There has to be one writer. What a killed one leaves (`.NAME.new`) is overwritten by the next.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    write_all(&[(path.to_owned(), bytes)], mode)
}

/// The same for several files. Their directories have to be there.
pub(crate) fn write_all(files: &[(PathBuf, &[u8])], mode: u32) -> io::Result<()> {
    for (path, bytes) in files {
        let mut file = new_file(&beside(path)?, mode)?;
        file.write_all(bytes)?;
        // Many files are settled at once below.
        if files.len() <= FEW {
            file.sync_all()?;
        }
    }
    let settle = |paths: &[(PathBuf, &[u8])]| match paths.first() {
        Some((path, _)) if paths.len() > FEW => sync_file_system(path),
        _ => Ok(()),
    };
    settle(files)?;
    for (path, _) in files {
        fs::rename(beside(path)?, path)?;
    }
    match files.len() > FEW {
        true => settle(files),
        false => directories(files)
            .iter()
            .try_for_each(|directory| sync_directory(directory)),
    }
}

/// Up to this many files are synchronised one by one.
const FEW: usize = 16;

/// Makes a directory and those above it that are missing, durably.
pub(crate) fn create_directories(path: &Path) -> io::Result<()> {
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
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn sync_file_system(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(
        path.parent().ok_or(io::ErrorKind::NotFound)?,
    )?)?)
}

fn directories(files: &[(PathBuf, &[u8])]) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = files
        .iter()
        .filter_map(|(path, _)| path.parent().map(Path::to_owned))
        .collect();
    all.sort();
    all.dedup();
    all
}

fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    Ok(path.with_file_name(format!(".{}.new", name.display())))
}

fn new_file(path: &Path, mode: u32) -> io::Result<File> {
    let open = || {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)
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
    use std::os::unix::fs::PermissionsExt;

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
        write_all(&files, 0o644).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2 * FEW);
    }
}
