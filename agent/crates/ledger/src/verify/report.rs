//! What a verification says.

use std::fmt;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::Search;
use super::chain::Walked;
use crate::entry::Head;
use crate::error::{Error, Result};
use crate::hash::Hash;

/// The result of checking a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Nothing bad was found.
    pub valid: bool,
    /// How many entries are good, from the genesis row on to the first bad one.
    pub entries: u64,
    /// The last of them; 0 and zeros if there is none.
    pub head: Head,
    /// Where the ledger stops being what was written.
    pub first_bad: Option<Bad>,
}

/// Where a ledger stops being what was written. Serializes as `{id, reason, detail}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    /// The first entry that is bad or missing.
    pub id: i64,
    /// What is wrong with it.
    pub reason: Reason,
}

/// Why an entry is bad.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// Row 0 is not the genesis row, or was changed after it was written.
    Genesis,
    /// There is no such row, though there are later ones, or it is the genesis row.
    Deleted,
    /// The row does not continue the one before it: it was inserted, moved or put in place of another.
    Inserted,
    /// The row's contents do not give its hash.
    Edited,
    /// The row holds what is never written, or its page is damaged.
    Unreadable(String),
    /// The head that was expected is not in the chain: the tail was cut off, or all was written anew.
    HeadMissing,
    /// The index of that name does not have what the table has: searches may hide entries.
    Index(String),
    /// The file's pages are damaged: entries may not be found.
    Pages(String),
}

/// A head that the caller remembers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) id: Option<i64>,
    pub(super) hash: Hash,
}

impl Expected {
    /// Reads `HASH` or `ID:HASH`.
    pub(super) fn read(text: &str) -> Result<Self> {
        let wrong = || Error::NotAHead {
            given: text.to_owned(),
        };
        let (id, hash) = match text.split_once(':') {
            Some((id, hash)) => (
                Some(id.parse().ok().filter(|id| *id >= 0).ok_or_else(wrong)?),
                hash,
            ),
            None => (None, text),
        };
        Ok(Self {
            id,
            hash: hash.parse().map_err(|_| wrong())?,
        })
    }

    /// What is bad about a good chain up to `last` that has the expected hash at `found`.
    fn check(&self, last: i64, found: Option<i64>) -> Option<Bad> {
        let there = found.is_some() && (self.id.is_none() || self.id == found);
        let id = self.id.unwrap_or(last.saturating_add(1));
        (!there).then_some(Bad {
            id,
            reason: Reason::HeadMissing,
        })
    }
}

impl Verification {
    /// The chain is bad from its very beginning.
    pub(super) fn bad_from(id: i64, reason: Reason) -> Self {
        Self {
            valid: false,
            entries: 0,
            head: Head {
                id: 0,
                hash: Hash::ZERO,
            },
            first_bad: Some(Bad { id, reason }),
        }
    }

    /// Puts together what the parts of a chain up to `last` gave.
    pub(super) fn conclude(
        last: i64,
        expected: Option<&Expected>,
        search: Option<Search>,
        walked: Vec<Walked>,
    ) -> Self {
        let broken = walked
            .iter()
            .filter_map(|part| part.bad.as_ref())
            .min_by_key(|bad| bad.id)
            .cloned();
        let good_until = broken.as_ref().map_or(last.saturating_add(1), |bad| bad.id);
        let good = walked
            .iter()
            .filter_map(|part| part.good)
            .filter(|head| head.id < good_until);
        let found = walked.iter().find_map(|part| part.expected);
        let first_bad = broken
            .or_else(|| expected.and_then(|expected| expected.check(last, found)))
            .or_else(|| search.and_then(|search| search.check(last, &walked)));
        Self {
            valid: first_bad.is_none(),
            entries: good_until.unsigned_abs(),
            head: good.max_by_key(|head| head.id).unwrap_or(Head {
                id: 0,
                hash: Hash::ZERO,
            }),
            first_bad,
        }
    }
}

impl Search {
    /// What is bad about the ways to find the entries of a good chain up to `last`.
    fn check(self, last: i64, walked: &[Walked]) -> Option<Bad> {
        if let Some(damage) = self.pages {
            return Some(Bad {
                id: last,
                reason: Reason::Pages(damage),
            });
        }
        let differs = |(index, sum): &(super::Index, std::result::Result<super::Sum, String>)| {
            let table = walked.iter().map(|part| part.sums.of(*index)).sum();
            sum.as_ref() != Ok(&table)
        };
        let (index, _) = self.indexes.iter().find(|sum| differs(sum))?;
        Some(Bad {
            id: last,
            reason: Reason::Index(index.name().to_owned()),
        })
    }
}

impl Reason {
    /// One word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Genesis => "genesis",
            Self::Deleted => "deleted",
            Self::Inserted => "inserted",
            Self::Edited => "edited",
            Self::Unreadable(_) => "unreadable",
            Self::HeadMissing => "head-missing",
            Self::Index(_) => "index",
            Self::Pages(_) => "pages",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Genesis => f.write_str("the genesis row is not the one that was written"),
            Self::Deleted => f.write_str("there is no such entry: it was deleted"),
            Self::Inserted => f.write_str(
                "it does not continue the entry before it: one of them was inserted, moved or replaced",
            ),
            Self::Edited => f.write_str("its contents do not give its hash: it was edited"),
            Self::Unreadable(detail) => write!(f, "it cannot be read: {detail}"),
            Self::HeadMissing => f.write_str(
                "the expected head is not in the chain: the tail was cut off, or history was written anew",
            ),
            Self::Index(name) => write!(
                f,
                "the chain is good, but the index {name} does not show all of it: `REINDEX {name}` mends it"
            ),
            Self::Pages(detail) => write!(
                f,
                "the chain is good, but the file is damaged: {detail}; `VACUUM INTO` a new file mends it"
            ),
        }
    }
}

impl Serialize for Bad {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut bad = serializer.serialize_struct("Bad", 3)?;
        bad.serialize_field("id", &self.id)?;
        bad.serialize_field("reason", self.reason.code())?;
        bad.serialize_field("detail", &self.reason.to_string())?;
        bad.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expected_head_is_a_hash_or_an_id_and_a_hash() {
        let hash = "ab".repeat(32);
        let read = |text: &str| Expected::read(text).map(|head| (head.id, head.hash.to_string()));
        assert_eq!(read(&hash), Ok((None, hash.clone())));
        assert_eq!(read(&format!("17:{hash}")), Ok((Some(17), hash.clone())));
        for wrong in [
            "",
            "17",
            "17:",
            ":",
            &hash[1..],
            &format!("-1:{hash}"),
            &format!("x:{hash}"),
        ] {
            assert_eq!(
                read(wrong),
                Err(Error::NotAHead {
                    given: wrong.to_owned()
                })
            );
        }
    }

    #[test]
    fn a_bad_entry_is_shown_with_a_word_and_a_sentence() {
        let bad = Bad {
            id: 7,
            reason: Reason::Unreadable("its target is no text".into()),
        };
        let shown =
            r#"{"id":7,"reason":"unreadable","detail":"it cannot be read: its target is no text"}"#;
        assert_eq!(serde_json::to_string(&bad).unwrap(), shown);
    }
}
