//! What containers write to their consoles.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use declaration::ContainerName;

use super::layout::Layout;

/// How much LXC keeps in one file before it begins another, in bytes.
pub(super) const SIZE: u64 = 256 << 10;
const FILE: &str = "console.log";
/// The file before, as LXC calls it (lxc.container.conf(5), lxc.console.rotate).
const BEFORE: &str = "console.log.1";

/// The file that LXC writes a container's console to.
pub(super) fn file(directory: &Path) -> PathBuf {
    directory.join(FILE)
}

/// What a container below `base` wrote to its console last: bytes of any kind, at most 512 KiB. It outlives the
/// container's stop and the machine's.
///
/// # Errors
///
/// If a file cannot be read. One that is not there holds nothing.
pub fn console(base: &Path, name: &ContainerName) -> io::Result<Vec<u8>> {
    let directory = Layout::new(base).container(name);
    let mut written = Vec::new();
    for file in [BEFORE, FILE] {
        match File::open(directory.join(file)) {
            Ok(file) => read_end(file, &mut written)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}

fn read_end(mut file: File, to: &mut Vec<u8>) -> io::Result<()> {
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(SIZE)))?;
    file.take(SIZE).read_to_end(to).map(drop)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_file_before_comes_first_and_no_more_than_the_end_of_each() {
        let base = tempfile::tempdir().unwrap();
        let name: ContainerName = "a".parse().unwrap();
        assert_eq!(console(base.path(), &name).unwrap(), b"");
        let directory = Layout::new(base.path()).container(&name);
        fs::create_dir_all(&directory).unwrap();
        fs::write(file(&directory), "new\n").unwrap();
        let long = [b"cut ".as_slice(), &vec![b'x'; SIZE as usize - 4], b"old\n"].concat();
        fs::write(directory.join(BEFORE), long).unwrap();
        let found = console(base.path(), &name).unwrap();
        assert!(found.ends_with(b"xold\nnew\n") && found.starts_with(b"xx"));
        assert_eq!(found.len() as u64, SIZE + 4);
    }
}
