//! Reading what the kernel tells in files, in pieces of a known size.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

/// The longest file that is read, in bytes.
const LONGEST_FILE: u64 = 8 << 20;

/// How many entries of one directory are looked at.
const MOST_ENTRIES: usize = 65_536;

/// How many things that could not be found out are named.
const MOST_UNKNOWN: usize = 100;

/// How many items a list of a report has.
pub(super) const MOST_ITEMS: usize = 1000;

/// Something that could not be found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Unknown {
    /// What: a file, or what was asked for.
    pub what: String,
    /// Why.
    pub why: String,
}

/// A look at a machine's files, with what it could not see.
#[derive(Debug)]
pub(super) struct Look {
    root: PathBuf,
    unknown: Vec<Unknown>,
}

impl Look {
    /// A look at the files below `root`: `/` for this machine.
    pub(super) fn at(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            unknown: Vec::new(),
        }
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// What could not be found out, in the end.
    pub(super) fn unknown(self) -> Vec<Unknown> {
        self.unknown
    }

    /// Notes that something could not be found out.
    pub(super) fn miss(&mut self, what: impl Into<String>, why: impl ToString) {
        if self.unknown.len() < MOST_UNKNOWN {
            self.unknown.push(Unknown {
                what: what.into(),
                why: why.to_string(),
            });
        }
    }

    /// A file; none if there is no such file, or if it cannot be read, which is noted.
    pub(super) fn text(&mut self, path: &str) -> Option<String> {
        let mut bytes = Vec::new();
        let read = File::open(self.path(path))
            .and_then(|file| file.take(LONGEST_FILE).read_to_end(&mut bytes));
        match read {
            Ok(_) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) => {
                self.missed(path, &error);
                None
            }
        }
    }

    /// The first line of a file that has something in it.
    pub(super) fn line(&mut self, path: &str) -> Option<String> {
        let text = self.text(path)?;
        let line = text.lines().next()?.trim();
        (!line.is_empty()).then(|| line.to_owned())
    }

    /// A number that stands alone in a file.
    pub(super) fn number<T: std::str::FromStr>(&mut self, path: &str) -> Option<T> {
        self.line(path)?.parse().ok()
    }

    /// Whether a file says `1`.
    pub(super) fn flag(&mut self, path: &str) -> Option<bool> {
        Some(self.number::<u8>(path)? == 1)
    }

    /// The names in a directory, in order; none if there is no such directory.
    pub(super) fn names(&mut self, path: &str) -> Vec<String> {
        match fs::read_dir(self.path(path)) {
            Ok(entries) => {
                let names = entries.take(MOST_ENTRIES).flatten();
                let names = names.filter_map(|entry| entry.file_name().into_string().ok());
                let mut names: Vec<_> = names.collect();
                names.sort_by(|one, other| order(one).cmp(&order(other)));
                names
            }
            Err(error) => {
                self.missed(path, &error);
                Vec::new()
            }
        }
    }

    /// The last part of where a link points to.
    pub(super) fn target(&self, path: &str) -> Option<String> {
        let target = fs::read_link(self.path(path)).ok()?;
        Some(target.file_name()?.to_str()?.to_owned())
    }

    /// As many of the items as a report has, and a note if there are more.
    pub(super) fn cut<T>(&mut self, what: &str, mut items: Vec<T>) -> Vec<T> {
        if items.len() > MOST_ITEMS {
            let more = items.len() - MOST_ITEMS;
            self.miss(what, format!("{more} more are left out"));
            items.truncate(MOST_ITEMS);
        }
        items
    }

    fn missed(&mut self, path: &str, error: &std::io::Error) {
        // What is not there, or has just gone, is no riddle; neither is an attribute that its device does not have.
        let absent = matches!(
            error.kind(),
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidInput
        );
        let raw = error.raw_os_error();
        let gone = [
            rustix::io::Errno::SRCH,
            rustix::io::Errno::NODEV,
            rustix::io::Errno::OPNOTSUPP,
        ]
        .iter()
        .any(|errno| raw == Some(errno.raw_os_error()));
        if !absent && !gone {
            self.miss(path, error);
        }
    }
}

/// `eth2` before `eth10`.
fn order(name: &str) -> (&str, u64, &str) {
    let digits = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
    (digits, name[digits.len()..].parse().unwrap_or(0), name)
}

/// `KEY=VALUE` in each line, the value perhaps in quotes.
pub(super) fn assignment<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let value = text
        .lines()
        .filter_map(|line| line.trim().split_once('='))
        .find_map(|(found, value)| (found == key).then_some(value))?;
    let inside = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    Some(inside('"').or_else(|| inside('\'')).unwrap_or(value))
}

/// The number of bytes in a line `KEY: NUMBER kB`.
pub(super) fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.split_once(key))?.1;
    let number = rest.trim_start_matches(':').split_whitespace().next()?;
    number.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_no_riddle_but_what_cannot_be_read_is() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("number"), "7\n").unwrap();
        fs::create_dir(dir.path().join("eth10")).unwrap();
        fs::create_dir(dir.path().join("eth2")).unwrap();
        let mut look = Look::at(dir.path());
        assert_eq!(look.number::<u8>("/number"), Some(7));
        assert_eq!(look.line("/none"), None);
        assert_eq!(look.names("/"), ["eth2", "eth10", "number"]);
        assert_eq!(look.text("/eth2"), None);
        assert_eq!(
            look.cut("numbers", vec![0; MOST_ITEMS + 2]).len(),
            MOST_ITEMS
        );
        let unknown = look.unknown();
        assert_eq!(unknown.len(), 2);
        assert_eq!(unknown[0].what, "/eth2");
        assert_eq!(unknown[1].why, "2 more are left out");
    }

    #[test]
    fn lines_of_the_usual_forms_are_read() {
        assert_eq!(assignment("A=1\nNAME=\"x y\"\n", "NAME"), Some("x y"));
        assert_eq!(assignment("A=1\n", "B"), None);
        assert_eq!(kilobytes("MemTotal:   8 kB\n", "MemTotal"), Some(8192));
        assert_eq!(kilobytes("Node 0 MemFree:  2 kB\n", "MemFree"), Some(2048));
    }
}
