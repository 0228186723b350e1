//! Whether an index has what the table has.
//!
//! Looking up every entry in every index would take longer than all the rest. Instead the pairs of
//! key and id of either side are hashed and summed up, in whatever order they come; the sums are equal
//! when the pairs are. The hash has a random key, so that nobody can make up an index to match.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::iter;

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::chain::Survey;

/// An index of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Index {
    Timestamp,
    Operation,
    Target,
}

/// The sum over pairs of key and id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sum(u64);

/// The sums of a part of the table, one for each index.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sums([Sum; 3]);

impl Index {
    pub(super) const ALL: [Self; 3] = [Self::Timestamp, Self::Operation, Self::Target];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Timestamp => "idx_timestamp",
            Self::Operation => "idx_operation",
            Self::Target => "idx_target",
        }
    }

    fn column(self) -> &'static str {
        match self {
            Self::Timestamp => "timestamp",
            Self::Operation => "operation",
            Self::Target => "target",
        }
    }

    /// Sums up the index, as far as it is of entries that are surveyed; the inner error says that
    /// its keys are out of order, so that a search would miss some.
    pub(super) fn sum(
        self,
        connection: &Connection,
        survey: &Survey,
    ) -> rusqlite::Result<Result<Sum, String>> {
        let (column, name) = (self.column(), self.name());
        let select =
            format!("SELECT {column}, id FROM operations INDEXED BY {name} ORDER BY {column}, id");
        let mut statement = connection.prepare(&select)?;
        let mut rows = statement.query([])?;
        let mut sum = Sum::default();
        let mut before: Option<(Vec<u8>, i64)> = None;
        while let Some(row) = rows.next()? {
            let id = row.get(1)?;
            let number;
            let key = match row.get_ref(0)? {
                ValueRef::Integer(value) => {
                    number = sortable(value);
                    &number[..]
                }
                ValueRef::Text(text) => text,
                _ => return Ok(Err("a key is of the wrong type".into())),
            };
            if before
                .as_ref()
                .is_some_and(|(last, last_id)| (key, id) <= (&last[..], *last_id))
            {
                return Ok(Err("keys are out of order".into()));
            }
            let (last, last_id) = before.get_or_insert_default();
            last.clear();
            last.extend_from_slice(key);
            *last_id = id;
            if id <= survey.last {
                sum.add(&survey.key, key, id);
            }
        }
        Ok(Ok(sum))
    }
}

impl Sum {
    fn add(&mut self, key: &RandomState, value: &[u8], id: i64) {
        let mut hasher = key.build_hasher();
        hasher.write(value);
        hasher.write_i64(id);
        self.0 = self.0.wrapping_add(hasher.finish());
    }
}

impl iter::Sum for Sum {
    fn sum<I: Iterator<Item = Self>>(sums: I) -> Self {
        Self(sums.fold(0, |total, sum| total.wrapping_add(sum.0)))
    }
}

impl Sums {
    pub(super) fn add(
        &mut self,
        key: &RandomState,
        id: i64,
        timestamp: i64,
        operation: &[u8],
        target: &[u8],
    ) {
        let [timestamps, operations, targets] = &mut self.0;
        timestamps.add(key, &sortable(timestamp), id);
        operations.add(key, operation, id);
        targets.add(key, target, id);
    }

    pub(super) fn of(&self, index: Index) -> Sum {
        self.0[index as usize]
    }
}

/// Bytes that sort as the numbers do.
fn sortable(number: i64) -> [u8; 8] {
    (number.cast_unsigned() ^ 1 << 63).to_be_bytes()
}
