//! Lists of processors and nodes as the kernel writes them: `0-3,8` (`Documentation/admin-guide/cputopology.rst`).

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// No machine has a processor or node with this number or a higher one: the kernel's most are 8192 and 1024.
const END: u32 = 8192;

/// A set of small numbers: of processors, or of nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct List(BTreeSet<u32>);

/// The text is not such a list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a list such as 0-3,8 with numbers below {END}")]
pub struct ListError(String);

impl ListError {
    pub(crate) fn of(text: &str) -> Self {
        Self(text.trim().chars().take(80).collect())
    }
}

impl List {
    /// The numbers, the smallest first.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().copied()
    }

    /// Whether a number is in it.
    pub fn contains(&self, number: u32) -> bool {
        self.0.contains(&number)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Those that are in both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).copied().collect())
    }
}

impl FromIterator<u32> for List {
    fn from_iter<T: IntoIterator<Item = u32>>(numbers: T) -> Self {
        Self(numbers.into_iter().collect())
    }
}

impl FromStr for List {
    type Err = ListError;

    fn from_str(text: &str) -> Result<Self, ListError> {
        let wrong = || ListError::of(text);
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let number = text.parse::<u32>().ok();
            let number = number.filter(|number| *number < END && digits);
            number.ok_or_else(wrong)
        };
        let mut numbers = BTreeSet::new();
        for part in text.trim().split(',').filter(|part| !part.is_empty()) {
            let (first, last) = match part.split_once('-') {
                Some((first, last)) => (number(first)?, number(last)?),
                None => (number(part)?, number(part)?),
            };
            if first > last {
                return Err(wrong());
            }
            numbers.extend(first..=last);
        }
        Ok(Self(numbers))
    }
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut numbers = self.iter().peekable();
        let mut comma = "";
        while let Some(first) = numbers.next() {
            let mut last = first;
            while let Some(next) = numbers.next_if_eq(&(last + 1)) {
                last = next;
            }
            match first == last {
                true => write!(f, "{comma}{first}")?,
                false => write!(f, "{comma}{first}-{last}")?,
            }
            comma = ",";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_single_numbers() {
        let list: List = "0-3,8,10-11\n".parse().unwrap();
        assert_eq!(list.iter().collect::<Vec<_>>(), [0, 1, 2, 3, 8, 10, 11]);
        assert_eq!(list.to_string(), "0-3,8,10-11");
        assert!("\n".parse::<List>().unwrap().is_empty());
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in ["a", "3-1", "-1", "1-", "0-4294967295", "+1", "0 1"] {
            assert!(text.parse::<List>().is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn it_reads_what_it_writes(numbers in proptest::collection::btree_set(0..END, 0..40)) {
            let list: List = numbers.into_iter().collect();
            proptest::prop_assert_eq!(list.to_string().parse::<List>().unwrap(), list);
        }

        #[test]
        fn nothing_makes_it_panic(text in ".{0,30}") {
            let _ = text.parse::<List>();
        }
    }
}
