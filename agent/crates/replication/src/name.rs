//! Names of snapshots and subvolumes, which become names of directories at both ends.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest name, in bytes.
const LONGEST: usize = 128;

/// The name of a snapshot or subvolume: letters, digits and `@ . _ : + -`, at most 128, the first a letter, a digit, `_`
/// or `@`; no `..`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// A text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is no name for a snapshot or subvolume: letters, digits and `@._:+-`, at most 128, the first a letter, a digit, `_` or `@`, no `..`",
    .0.escape_debug()
)]
pub struct NameError(String);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        let first = |c: char| c.is_ascii_alphanumeric() || c == '@' || c == '_';
        let inner = |c: char| c.is_ascii_alphanumeric() || "@._:+-".contains(c);
        let good = text.len() <= LONGEST
            && text.starts_with(first)
            && text.chars().all(inner)
            && !text.contains("..");
        match good {
            true => Ok(Self(text)),
            false => Err(NameError(text.chars().take(LONGEST).collect())),
        }
    }
}

impl std::str::FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        text.to_owned().try_into()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl AsRef<std::path::Path> for Name {
    fn as_ref(&self) -> &std::path::Path {
        self.0.as_ref()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_documents_are_names_and_ways_out_are_not() {
        for good in [
            "hourly_2024-12-31T12:00",
            "weekly_2024-W52",
            "@timing",
            "plugin-hostname1-20260101",
            "_a",
        ] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        let long = "n".repeat(129);
        for bad in [
            "",
            ".",
            "..",
            ".incoming",
            "a..b",
            "a/b",
            "-rf",
            "a b",
            "a\n",
            "$(id)",
            "ä",
            &long,
        ] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }
}
