//! Entries as leaves of the tree.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use crate::entry;
use crate::error::Error;
use crate::hash::Hash;
use crate::ledger::Ledger;
use crate::record::Record;

/// An entry as a leaf.
pub(super) struct Leaf {
    pub(super) id: i64,
    /// The hash of the leaf (RFC 6962 §2.1).
    pub(super) hash: tlog::Hash,
    /// Its contents give its hash in the chain.
    pub(super) sound: bool,
    pub(super) previous: Option<Hash>,
    pub(super) current: Hash,
}

impl Ledger {
    /// Gives the entries from an id on, up to another, as leaves.
    pub(super) fn leaves<E: From<Error>>(
        &self,
        first: i64,
        end: i64,
        mut each: impl FnMut(Leaf) -> Result<(), E>,
    ) -> Result<(), E> {
        // A connection of its own: this may take a while.
        let connection = self.database.reader()?;
        let explain = |error| E::from(self.database.explain(error));
        let mut select = select(&connection).map_err(explain)?;
        let mut rows = select.query([first, end]).map_err(explain)?;
        let mut buffer = Vec::with_capacity(1024);
        while let Some(row) = rows.next().map_err(explain)? {
            let id = row.get(0).map_err(explain)?;
            let leaf = leaf(id, row, &mut buffer)
                .map_err(|detail| E::from(self.database.unreadable(id, detail)))?;
            each(leaf)?;
        }
        Ok(())
    }

    /// The data of a leaf: the canonical JSON of what an entry says.
    pub(super) fn leaf_data(&self, id: i64) -> Result<Option<Vec<u8>>, Error> {
        let reader = self.reader()?;
        let explain = |error| self.database.explain(error);
        let mut select = select(&reader.connection).map_err(explain)?;
        let mut rows = select.query([id, id.saturating_add(1)]).map_err(explain)?;
        let Some(row) = rows.next().map_err(explain)? else {
            return Ok(None);
        };
        let record = record(id, row).map_err(|detail| self.database.unreadable(id, detail))?;
        Ok(Some(record.canonical()))
    }
}

fn select(connection: &Connection) -> rusqlite::Result<rusqlite::CachedStatement<'_>> {
    connection.prepare_cached(
        "SELECT id, timestamp, operation, target, previous_hash, current_hash, metadata \
         FROM operations WHERE id >= ? AND id < ? ORDER BY id",
    )
}

fn record<'a>(id: i64, row: &'a Row<'_>) -> Result<Record<'a>, String> {
    let column = |index| row.get_ref(index).map_err(|error| error.to_string());
    let text = |name: &str, index| match column(index)? {
        ValueRef::Text(text) => Ok(text),
        _ => Err(format!("its {name} is no text")),
    };
    Ok(Record {
        id,
        timestamp: entry::number("timestamp", column(1)?)?,
        operation: text("operation", 2)?,
        target: text("target", 3)?,
        metadata: text("metadata", 6)?,
        previous_hash: match column(4)? {
            ValueRef::Null => None,
            _ => Some(text("previous_hash", 4)?),
        },
    })
}

fn leaf(id: i64, row: &Row<'_>, buffer: &mut Vec<u8>) -> Result<Leaf, String> {
    let record = record(id, row)?;
    let chained = record.hash(buffer);
    let current = row.get_ref(5).map_err(|error| error.to_string())?;
    let current = entry::hash("current_hash", current)?;
    let previous = record.previous_hash.map(|hash| {
        let text = str::from_utf8(hash).unwrap_or_default();
        text.parse().unwrap_or(Hash::ZERO)
    });
    Ok(Leaf {
        id,
        hash: tlog::leaf_hash(buffer),
        // The hash of the genesis row is fixed.
        sound: current == chained || (id == 0 && current == Hash::ZERO),
        previous,
        current,
    })
}
