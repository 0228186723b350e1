//! Patterns of tool names.

use std::fmt;
use std::str::FromStr;

use crate::form::{Rejected, Text};

/// A pattern of tool names: `*` stands for any characters, `?` for any one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ToolPattern(String);

impl ToolPattern {
    /// Whether a whole name fits.
    pub fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut at, mut position) = (0, 0);
        // Where to go on if the last `*` has to take one byte more.
        let mut star: Option<(usize, usize)> = None;
        while position < name.len() {
            match pattern.get(at) {
                Some(b'*') => {
                    star = Some((at, position));
                    at += 1;
                }
                Some(&byte) if byte == b'?' || byte == name[position] => {
                    at += 1;
                    position += 1;
                }
                _ => match star {
                    Some((place, taken)) => {
                        star = Some((place, taken + 1));
                        at = place + 1;
                        position = taken + 1;
                    }
                    None => return false,
                },
            }
        }
        pattern[at..].iter().all(|byte| *byte == b'*')
    }

    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ToolPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        <Self as Text<Self>>::read(text).map_err(|rejected| rejected.found(text))
    }
}

impl fmt::Display for ToolPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Text<ToolPattern> for ToolPattern {
    const ACCEPTED: &'static str =
        "a pattern of tool names: ASCII without spaces, with `*` and `?`, at most 128 characters";
    const PATTERN: &'static str = "^[!-~]{1,128}$";

    fn read(text: &str) -> Result<ToolPattern, Rejected> {
        if (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Rejected::default())
        }
    }

    fn write(value: &ToolPattern) -> String {
        value.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fits(pattern: &str, name: &str) -> bool {
        pattern.parse::<ToolPattern>().unwrap().matches(name)
    }

    #[test]
    fn stars_and_question_marks_stand_for_characters() {
        for (pattern, name) in [
            ("*", ""),
            ("get_*", "get_"),
            ("*_file", "read_file"),
            ("a?c", "abc"),
            ("*a*b*", "xaybz"),
            ("**", "x"),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("get_*", "get"),
            ("a?c", "ac"),
            ("read", "read_file"),
            ("*b", "ba"),
        ] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }

    proptest! {
        #[test]
        fn a_name_fits_itself_and_its_beginning(name in "[a-z_]{1,30}", cut in 0usize..30) {
            prop_assert!(fits(&name, &name));
            let beginning = &name[..cut.min(name.len())];
            let pattern = format!("{beginning}*");
            prop_assert!(fits(&pattern, &name));
        }
    }
}
