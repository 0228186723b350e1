//! What a version is called.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How many characters of the hash are part of a name: 48 bits.
const DIGITS: usize = 12;

/// The longest version word.
const LONGEST: usize = 64;

/// `VERSION-HASH`: the version that the program says, and the beginning of its SHA-256. It is a file name that does
/// not begin with a dot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no version: it looks like 0.1.0-0123456789ab")]
pub struct NameError(String);

impl Name {
    /// The name of a program that says to be `version`, and whose SHA-256 is `sha256` in hexadecimal.
    pub fn new(version: &str, sha256: &str) -> Result<Self, NameError> {
        let hash = sha256.get(..DIGITS).unwrap_or(sha256);
        format!("{version}-{hash}").parse()
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let bad = || NameError(text.to_owned());
        let (version, hash) = text.rsplit_once('-').ok_or_else(bad)?;
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || b".+-_~".contains(&byte);
        let starts = version
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric());
        let digits = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let fits = starts
            && version.len() <= LONGEST
            && version.bytes().all(letters)
            && hash.len() == DIGITS
            && hash.bytes().all(digits);
        match fits {
            true => Ok(Self(text.to_owned())),
            false => Err(bad()),
        }
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_a_version_and_a_hash() {
        let name = Name::new("0.1.0-rc.1", &"0123456789abcdef".repeat(4)).unwrap();
        assert_eq!(name.as_str(), "0.1.0-rc.1-0123456789ab");
        for bad in [
            "",
            "-0123456789ab",
            "1.0-0123456789AB",
            "1.0-0123",
            "../1-0123456789ab",
            ".1-0123456789ab",
            "1,0-0123456789ab",
            "1:0-0123456789ab",
        ] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
        assert!(Name::new(&"1".repeat(65), &"a".repeat(64)).is_err());
    }

    proptest! {
        #[test]
        fn a_name_is_one_file_name(text in "[ -~]{0,30}-[0-9a-f]{12}") {
            if let Ok(name) = text.parse::<Name>() {
                let path = std::path::Path::new(name.as_str());
                prop_assert_eq!(path.components().count(), 1);
                prop_assert!(!name.as_str().starts_with('.'));
                prop_assert!(!name.as_str().contains([':', ',', '\\', ' ']));
            }
        }
    }
}
