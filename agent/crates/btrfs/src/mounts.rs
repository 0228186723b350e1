//! What is mounted where, as the calling thread sees it (`proc_pid_mountinfo(5)`).

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::error::{Result, failed};

// Not `/proc/self`: a thread may have a mount namespace of its own.
const TABLE: &str = "/proc/thread-self/mountinfo";

/// One mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The directory that it is mounted on.
    pub target: PathBuf,
    /// What is mounted: a device, or a word for file systems without one.
    pub source: PathBuf,
    /// The kind of file system, e.g. `btrfs`.
    pub filesystem: String,
}

/// What is mounted exactly at `path`, the topmost if there are several.
pub fn at(path: impl AsRef<Path>) -> Result<Option<Mount>> {
    let path = real(path.as_ref())?;
    Ok(table()?.into_iter().rfind(|mount| mount.target == path))
}

/// The mount that holds the existing file or directory `path`.
pub fn holding(path: impl AsRef<Path>) -> Result<Option<Mount>> {
    let path = real(path.as_ref())?;
    // Of equally deep ones the last is on top, and `max_by_key` takes the last.
    Ok(table()?
        .into_iter()
        .filter(|mount| path.starts_with(&mount.target))
        .max_by_key(|mount| mount.target.components().count()))
}

fn real(path: &Path) -> Result<PathBuf> {
    fs::canonicalize(path).map_err(failed("look at", path))
}

fn table() -> Result<Vec<Mount>> {
    let table = fs::read(TABLE).map_err(failed("read", Path::new(TABLE)))?;
    Ok(table
        .split(|byte| *byte == b'\n')
        .filter_map(parse)
        .collect())
}

/// One line: `ID PARENT MAJOR:MINOR ROOT TARGET OPTIONS [TAG…] - FILESYSTEM SOURCE OPTIONS`.
fn parse(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let target = unescape(fields.nth(4)?);
    let mut after_tags = fields.skip_while(|field| *field != b"-").skip(1);
    Some(Mount {
        target: target.into(),
        filesystem: String::from_utf8_lossy(after_tags.next()?).into_owned(),
        source: unescape(after_tags.next()?).into(),
    })
}

/// Undoes the kernel's `\ooo` for blanks, tabs, newlines and backslashes.
fn unescape(field: &[u8]) -> OsString {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        match (first, octal(after)) {
            (b'\\', Some(byte)) => {
                plain.push(byte);
                rest = &after[3..];
            }
            _ => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    OsString::from_vec(plain)
}

fn octal(text: &[u8]) -> Option<u8> {
    let digits = text.get(..3)?;
    digits.iter().try_fold(0_u8, |sum, digit| {
        matches!(digit, b'0'..=b'7')
            .then(|| sum.checked_mul(8)?.checked_add(digit - b'0'))
            .flatten()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_of_the_manual_page_is_read() {
        let line = b"36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 shared:2 - ext3 /dev/root rw";
        assert_eq!(
            parse(line),
            Some(Mount {
                target: "/mnt 2".into(),
                source: "/dev/root".into(),
                filesystem: "ext3".into(),
            })
        );
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"36 35 98:0 / / rw - "), None);
    }

    #[test]
    fn the_table_of_this_machine_has_a_root() {
        let root = at("/").unwrap().expect("a root");
        assert_eq!(holding("/").unwrap(), Some(root));
    }

    proptest! {
        #[test]
        fn any_target_comes_back(target in "/[ -~\t\n]{0,40}") {
            let escaped: String = target.chars().map(|c| match c {
                ' ' | '\t' | '\n' | '\\' => format!("\\{:03o}", c as u32),
                c => c.to_string(),
            }).collect();
            let line = format!("1 2 0:3 / {escaped} rw - btrfs /dev/loop0 rw");
            prop_assert_eq!(parse(line.as_bytes()).unwrap().target, PathBuf::from(target));
        }

        #[test]
        fn any_bytes_are_survived(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&line);
        }
    }
}
