//! Walking along the chain.
//!
//! Each row names the one before it, so that parts of the chain can be walked at the same time.

use std::hash::RandomState;
use std::sync::atomic::{AtomicI64, Ordering};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row};

use super::index::Sums;
use super::is_damage;
use super::report::{Bad, Expected, Reason};
use crate::entry::{self, Head};
use crate::hash::Hash;
use crate::metadata;
use crate::record::Record;
use crate::schema;

/// Fewest rows that are worth a task of their own.
const SHORTEST: i64 = 4096;
/// Tasks per processor, so that all end at about the same time.
const SHARES: usize = 4;

/// Rows from one id to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    first: i64,
    last: i64,
}

impl Span {
    /// Splits rows 0 to `last` into spans for a number of processors.
    pub(super) fn split(last: i64, processors: usize) -> impl Iterator<Item = Self> {
        let shares = i64::try_from(processors * SHARES).unwrap_or(i64::MAX);
        let length = (last / shares + 1).max(SHORTEST);
        (0..=last / length).map(move |place| {
            let first = place * length;
            Self {
                first,
                last: last.min(first.saturating_add(length - 1)),
            }
        })
    }
}

/// The first and the last id, if there are rows.
pub(super) fn ends(connection: &Connection) -> rusqlite::Result<Option<(i64, i64)>> {
    let end = |order| {
        let select = format!("SELECT id FROM operations ORDER BY id {order} LIMIT 1");
        connection
            .query_row(&select, [], |row| row.get(0))
            .optional()
    };
    Ok(end("ASC")?.zip(end("DESC")?))
}

/// What is the same for all parts of a chain that is walked.
pub(super) struct Survey {
    /// The last entry that is looked at.
    pub(super) last: i64,
    /// Keys the sums, so that they cannot be foreseen.
    pub(super) key: RandomState,
    expected: Option<[u8; 64]>,
    sums: bool,
    /// The first entry so far that is bad: later parts of the chain need no walk.
    first_bad: AtomicI64,
}

/// What was seen on the way along a span.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// The last good entry.
    pub(super) good: Option<Head>,
    pub(super) bad: Option<Bad>,
    /// The entry with the expected hash.
    pub(super) expected: Option<i64>,
    pub(super) sums: Sums,
}

/// A walk on its way.
struct Walk<'a> {
    survey: &'a Survey,
    /// The hash of the row before, as it is stored.
    previous: Option<[u8; 64]>,
    /// What the hash of the genesis row would be, once it was passed.
    genesis: Option<Hash>,
    buffer: Vec<u8>,
    sums: Sums,
}

impl Survey {
    pub(super) fn new(last: i64, expected: Option<&Expected>, sums: bool) -> Self {
        Self {
            last,
            key: RandomState::new(),
            expected: expected.map(|head| head.hash.hex()),
            sums,
            first_bad: AtomicI64::new(i64::MAX),
        }
    }

    /// Walks along a span, up to the first bad entry.
    pub(super) fn walk(&self, connection: &Connection, span: Span) -> rusqlite::Result<Walked> {
        let mut walked = Walked::default();
        if self.first_bad.load(Ordering::Relaxed) < span.first {
            return Ok(walked);
        }
        let mut next = span.first;
        let reason = match self.follow(connection, span, &mut next, &mut walked) {
            Ok(reason) => reason,
            Err(error) if is_damage(&error) => Some(Reason::Unreadable(error.to_string())),
            Err(error) => return Err(error),
        };
        if let Some(reason) = reason {
            // A wrong genesis row is told by the row after it.
            let id = if reason == Reason::Genesis { 0 } else { next };
            self.first_bad.fetch_min(id, Ordering::Relaxed);
            walked.bad = Some(Bad { id, reason });
        }
        Ok(walked)
    }

    /// Follows the chain, `next` being the row that is due; the reason why it ended before the span did.
    fn follow(
        &self,
        connection: &Connection,
        span: Span,
        next: &mut i64,
        walked: &mut Walked,
    ) -> rusqlite::Result<Option<Reason>> {
        let mut walk = Walk {
            survey: self,
            previous: hash_of(connection, span.first - 1)?,
            genesis: None,
            buffer: Vec::with_capacity(1024),
            sums: Sums::default(),
        };
        let mut select = connection.prepare_cached(
            "SELECT id, timestamp, operation, target, previous_hash, current_hash, metadata \
             FROM operations WHERE id BETWEEN ? AND ? ORDER BY id",
        )?;
        let mut rows = select.query([span.first, span.last])?;
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            if id != *next {
                return Ok(Some(Reason::Deleted));
            }
            let (hash, written) = match walk.step(id, row) {
                Ok(hash) => hash,
                Err(reason) => return Ok(Some(reason)),
            };
            if self.expected == Some(written) {
                walked.expected = Some(id);
            }
            walk.previous = Some(written);
            walked.good = Some(Head { id, hash });
            walked.sums = walk.sums;
            *next = id.saturating_add(1);
        }
        Ok((*next <= span.last).then_some(Reason::Deleted))
    }
}

/// The hash of a row as it is stored, if it is there and looks like one.
fn hash_of(connection: &Connection, id: i64) -> rusqlite::Result<Option<[u8; 64]>> {
    let mut select =
        connection.prepare_cached("SELECT current_hash FROM operations WHERE id = ?")?;
    let hash = select.query_row([id], |row| {
        Ok(bytes(row.get_ref(0)?).and_then(|hash| hash.try_into().ok()))
    });
    Ok(hash.optional()?.flatten())
}

impl Walk<'_> {
    /// Checks a row; gives its hash, and that as it is written.
    fn step(&mut self, id: i64, row: &Row<'_>) -> Result<(Hash, [u8; 64]), Reason> {
        let column = |index| {
            row.get_ref(index)
                .map_err(|error| Reason::Unreadable(error.to_string()))
        };
        let text = |name, index| bytes(column(index)?).ok_or_else(|| not_text(name));
        let current = text("current_hash", 5)?;
        let previous = match column(4)? {
            ValueRef::Null => None,
            _ => Some(text("previous_hash", 4)?),
        };
        let record = Record {
            id,
            timestamp: entry::number("timestamp", column(1)?).map_err(Reason::Unreadable)?,
            operation: text("operation", 2)?,
            target: text("target", 3)?,
            metadata: text("metadata", 6)?,
            previous_hash: previous,
        };
        if self.survey.sums {
            self.sums.add(
                &self.survey.key,
                id,
                record.timestamp,
                record.operation,
                record.target,
            );
        }
        let hash = record.hash(&mut self.buffer);
        if id == 0 {
            self.genesis = Some(hash);
            let known = is_genesis(&record, current);
            return if known {
                Ok((Hash::ZERO, Hash::ZERO.hex()))
            } else {
                Err(Reason::Genesis)
            };
        }
        if previous != self.previous.as_ref().map(|hash| &hash[..]) {
            return Err(Reason::Inserted);
        }
        let written = hash.hex();
        if current != written {
            return Err(Reason::Edited);
        }
        match self.genesis.take() {
            Some(genesis) if !seals(record.metadata, &genesis) => Err(Reason::Genesis),
            _ => Ok((hash, written)),
        }
    }
}

fn bytes(value: ValueRef<'_>) -> Option<&[u8]> {
    match value {
        ValueRef::Text(text) => Some(text),
        _ => None,
    }
}

fn not_text(column: &str) -> Reason {
    Reason::Unreadable(format!("its {column} is no text"))
}

pub(crate) fn is_genesis(row: &Record<'_>, current_hash: &[u8]) -> bool {
    row.operation == schema::GENESIS_OPERATION.as_bytes()
        && row.target == schema::GENESIS_TARGET.as_bytes()
        && schema::GENESIS_METADATA
            .iter()
            .any(|known| row.metadata == known.as_bytes())
        && row.previous_hash.is_none()
        && current_hash == Hash::ZERO.hex()
}

/// Whether the metadata of the first entry vouches for the genesis row. Other programs that write
/// the table may not have put a hash there: then there is nothing to compare.
pub(crate) fn seals(first: &[u8], genesis: &Hash) -> bool {
    let text = str::from_utf8(first).unwrap_or_default();
    let sealed = metadata::read(text)
        .ok()
        .and_then(|metadata| metadata.get("genesis_hash").cloned());
    sealed.is_none_or(|sealed| sealed.as_str() == Some(&genesis.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn spans_cover_every_row_once(last in 0..1_i64 << 40, processors in 1..300_usize) {
            let spans: Vec<_> = Span::split(last, processors).collect();
            proptest::prop_assert!(spans.len() <= processors * SHARES);
            proptest::prop_assert_eq!((spans[0].first, spans[spans.len() - 1].last), (0, last));
            for pair in spans.windows(2) {
                proptest::prop_assert_eq!(pair[0].last + 1, pair[1].first);
                proptest::prop_assert!(pair[0].first <= pair[0].last);
            }
        }
    }

    #[test]
    fn spans_of_absurd_ids_do_not_overflow() {
        assert_eq!(
            Span::split(i64::MAX, 2).last().map(|span| span.last),
            Some(i64::MAX)
        );
        assert_eq!(
            Span::split(0, 64).collect::<Vec<_>>(),
            [Span { first: 0, last: 0 }]
        );
    }
}
