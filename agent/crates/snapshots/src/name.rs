//! Names that a snapshot may have.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// In bytes; all names are ASCII.
const LONGEST: usize = 64;

/// A text is not the name of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is not the name of a snapshot: {reason}. Take letters, digits and `_.:+-`, 64 characters at most, a letter \
     or digit first", .text.escape_debug()
)]
pub struct NameError {
    text: String,
    reason: &'static str,
}

/// The name of a snapshot: a directory name that no tool takes for an option or a hidden file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotName(String);

impl SnapshotName {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SnapshotName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:+-".contains(&byte);
        let reason = match text.as_bytes() {
            [] => "it is empty",
            bytes if bytes.len() > LONGEST => "it is too long",
            bytes if !bytes.iter().all(|byte| inner(*byte)) => {
                "it has a character that is not allowed"
            }
            [first, ..] if !first.is_ascii_alphanumeric() => "it begins with a sign",
            _ if text.contains("..") => "it has `..` in it",
            _ => return Ok(Self(text.to_owned())),
        };
        Err(NameError {
            text: text.to_owned(),
            reason,
        })
    }
}

impl fmt::Display for SnapshotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Serialize for SnapshotName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SnapshotName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Whether a text can be the name of a subvolume directly below a base: an `@`, then as a snapshot's name, without
/// `:` and `+`.
pub fn is_subvolume_name(text: &str) -> bool {
    text.len() <= LONGEST
        && !text.contains([':', '+'])
        && text
            .strip_prefix('@')
            .is_some_and(|rest| rest.parse::<SnapshotName>().is_ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_the_policies_and_of_people_are_names() {
        for name in [
            "before-upgrade",
            "hourly_2024-12-31T12:00",
            "hourly_2024-10-27T02:00+01:00",
            "weekly_2024-W52",
            "quarterly_2024-Q4",
            "run_20241231-120000-abcdef",
        ] {
            assert_eq!(name.parse::<SnapshotName>().unwrap().as_str(), name);
        }
        for name in [
            "", ".", "..", ".hidden", "a/b", "a..b", "-rf", "a b", "ä", "a\n",
        ] {
            assert!(name.parse::<SnapshotName>().is_err(), "{name:?}");
        }
        assert!("a".repeat(64).parse::<SnapshotName>().is_ok());
        assert!("a".repeat(65).parse::<SnapshotName>().is_err());
    }

    #[test]
    fn subvolumes_begin_with_an_at() {
        assert!(is_subvolume_name("@timing"));
        for name in ["timing", "@", "@@x", "@.x", "@a/b", "@a:b", "@a..b"] {
            assert!(!is_subvolume_name(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_name_is_one_step_of_a_path(text in any::<String>()) {
            if let Ok(name) = text.parse::<SnapshotName>() {
                let path = std::path::Path::new(name.as_str());
                prop_assert_eq!(path.components().count(), 1);
                prop_assert_eq!(path.file_name().unwrap().to_str(), Some(name.as_str()));
            }
        }
    }
}
