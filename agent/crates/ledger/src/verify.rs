//! Reading the whole chain, link by link.

use serde::Serialize;

use crate::entry::{GENESIS_HASH, GENESIS_METADATA, Hashed, Head};
use crate::error::Error;
use crate::store::Ledger;

/// What is wrong with an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Reason {
    /// The first entry is not the genesis entry.
    Genesis,
    /// Entries before it are missing.
    Gap {
        /// The id that should have come.
        expected: i64,
    },
    /// It does not follow the entry before: something was inserted, removed or moved.
    Link,
    /// Its content is not what was hashed.
    Edited,
    /// Its columns cannot be read.
    Unreadable {
        /// What is wrong with them.
        detail: String,
    },
    /// The expected head is not in the chain: its tail was cut off, or rewritten.
    Head {
        /// The hash that was expected.
        expected: String,
    },
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Genesis => f.write_str("it is not the genesis entry"),
            Self::Gap { expected } => write!(f, "entry {expected} is missing before it"),
            Self::Link => f.write_str("it does not follow the entry before it"),
            Self::Edited => f.write_str("it was changed after it was written"),
            Self::Unreadable { detail } => write!(f, "it cannot be read: {detail}"),
            Self::Head { expected } => write!(
                f,
                "the expected head {expected} is not in the chain: entries after this one were cut off or rewritten"
            ),
        }
    }
}

/// The first bad entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bad {
    /// Its id; for a missing head the last entry's.
    pub id: i64,
    /// What is wrong with it.
    #[serde(flatten)]
    pub reason: Reason,
}

/// What verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Whether the whole chain holds.
    pub valid: bool,
    /// How many entries were read.
    pub entries: u64,
    /// The last entry read.
    pub head: Head,
    /// The first bad entry.
    pub first_bad: Option<Bad>,
}

impl Ledger {
    /// Reads every entry and recomputes every hash, in constant memory.
    ///
    /// `expect_head` is a hash that must be in the chain, as noted from an earlier look: without one a tail
    /// that was cut off, or rewritten whole, cannot be told.
    pub fn verify(&self, expect_head: Option<&str>) -> Result<Verification, Error> {
        let connection = self.lock();
        let failed = |source| Error::sqlite(&self.path, source);
        let mut statement = connection
            .prepare(
                "SELECT id, timestamp, operation, target, previous_hash, current_hash, metadata \
                 FROM operations ORDER BY id",
            )
            .map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        let mut walk = Walk::new(expect_head);
        loop {
            match rows.next() {
                Ok(None) => return Ok(walk.end()),
                Ok(Some(row)) => {
                    if let Err(reason) = walk.step(row) {
                        return Ok(walk.bad(reason));
                    }
                }
                Err(error) => {
                    let detail = error.to_string();
                    walk.at += 1;
                    return Ok(walk.bad(Reason::Unreadable { detail }));
                }
            }
        }
    }
}

/// How far along the chain.
struct Walk<'a> {
    entries: u64,
    /// The id of the entry that is being looked at.
    at: i64,
    head: Head,
    hash: Vec<u8>,
    buffer: Vec<u8>,
    expected: Option<&'a str>,
    seen: bool,
}

impl<'a> Walk<'a> {
    fn new(expected: Option<&'a str>) -> Self {
        Self {
            entries: 0,
            at: -1,
            head: Head {
                id: -1,
                hash: String::new(),
            },
            hash: Vec::new(),
            buffer: Vec::new(),
            expected,
            seen: expected.is_none(),
        }
    }

    fn step(&mut self, row: &rusqlite::Row<'_>) -> Result<(), Reason> {
        let unreadable = |error: &dyn std::fmt::Display| Reason::Unreadable {
            detail: error.to_string(),
        };
        let number = |column| row.get::<_, i64>(column).map_err(|error| unreadable(&error));
        let text = |column: usize| {
            let value = row.get_ref(column).map_err(|error| unreadable(&error))?;
            value.as_str().map_err(|error| unreadable(&error))
        };
        let expected = self.at + 1;
        self.at = number(0)?;
        let (timestamp, operation, target) = (number(1)?, text(2)?, text(3)?);
        let (current, metadata) = (text(5)?, text(6)?);
        if expected == 0 {
            let previous = row.get_ref(4).map_err(|error| unreadable(&error))?;
            let genesis = self.at == 0
                && (operation, target, current, metadata)
                    == ("genesis", "system", GENESIS_HASH, GENESIS_METADATA)
                && previous == rusqlite::types::ValueRef::Null;
            if !genesis {
                return Err(Reason::Genesis);
            }
        } else {
            if self.at != expected {
                return Err(Reason::Gap { expected });
            }
            let previous_hash = text(4)?;
            if previous_hash.as_bytes() != self.hash {
                return Err(Reason::Link);
            }
            let hashed = Hashed {
                id: self.at,
                timestamp,
                operation,
                target,
                metadata,
                previous_hash,
            };
            if hashed.hash(&mut self.buffer) != *current.as_bytes() {
                return Err(Reason::Edited);
            }
        }
        self.hash.clear();
        self.hash.extend_from_slice(current.as_bytes());
        self.seen |= self.expected == Some(current);
        self.entries += 1;
        Ok(())
    }

    fn end(mut self) -> Verification {
        match self.expected {
            _ if self.entries == 0 => {
                self.at = 0;
                self.bad(Reason::Genesis)
            }
            Some(expected) if !self.seen => {
                let expected = expected.to_owned();
                self.bad(Reason::Head { expected })
            }
            _ => self.result(None),
        }
    }

    fn bad(self, reason: Reason) -> Verification {
        let id = self.at;
        self.result(Some(Bad { id, reason }))
    }

    fn result(mut self, first_bad: Option<Bad>) -> Verification {
        self.head.id = i64::try_from(self.entries).unwrap_or(i64::MAX) - 1;
        self.head.hash = String::from_utf8_lossy(&self.hash).into_owned();
        Verification {
            valid: first_bad.is_none(),
            entries: self.entries,
            head: self.head,
            first_bad,
        }
    }
}
