//! The names that tools of upstream servers get.

use sha2::{Digest, Sha256};

/// The longest name of a tool that common clients take, in characters.
pub const LONGEST_NAME: usize = 64;

/// Hexadecimal digits of the hash behind a name that had to be changed.
const DIGITS: usize = 8;

/// `PREFIX_tool`. Where the tool's own name has characters that clients do not take, or is too long, it is
/// changed, and gets the beginning of its SHA-256 behind it: so it stays apart from others, and the same over
/// restarts. A prefix has no `_`; the first one ends it, whatever the tool's name is.
pub fn tool_name(prefix: &str, tool: &str) -> String {
    let fits = |character: char| character.is_ascii_alphanumeric() || "_-".contains(character);
    let room = LONGEST_NAME.saturating_sub(prefix.len() + 1);
    if !tool.is_empty() && tool.len() <= room && tool.chars().all(fits) {
        return format!("{prefix}_{tool}");
    }
    let hash = hex::encode(&Sha256::digest(tool)[..DIGITS / 2]);
    let stem: String = tool
        .chars()
        .map(|character| if fits(character) { character } else { '_' })
        .take(room.saturating_sub(DIGITS + 1))
        .collect();
    format!("{prefix}_{stem}-{hash}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_that_fits_stays() {
        assert_eq!(tool_name("files", "read_file"), "files_read_file");
    }

    #[test]
    fn a_name_that_had_to_change_is_told_apart() {
        assert_eq!(tool_name("a", "x.y"), tool_name("a", "x.y"));
        assert_ne!(tool_name("a", "x.y"), tool_name("a", "x/y"));
        assert_ne!(tool_name("a", "x.y"), tool_name("a", "x_y"));
    }

    proptest! {
        #[test]
        fn names_are_within_the_limits(prefix in "[a-z][a-z0-9]{0,15}", tool in ".{0,200}") {
            let name = tool_name(&prefix, &tool);
            prop_assert!((1..=LONGEST_NAME).contains(&name.len()));
            prop_assert!(name.bytes().all(|it| it.is_ascii_alphanumeric() || b"_-".contains(&it)));
            prop_assert_eq!(name.split('_').next(), Some(prefix.as_str()));
        }
    }
}
