//! The rows of a database, and what is known about them: who refers to them, which indexes hold them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;

use super::datum::Datum;
use super::schema::{ColumnId, Schema};
use super::transaction;
use crate::table::Row;
use crate::value::{Atom, Uuid};

/// A row's columns but `_uuid`, which is where it is stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RowData {
    pub(crate) version: Uuid,
    pub(crate) columns: Vec<Datum>,
}

impl RowData {
    /// One column of the row that has this identity.
    pub(crate) fn get(&self, uuid: &Uuid, column: ColumnId) -> Cow<'_, Datum> {
        match column {
            ColumnId::Uuid => Cow::Owned(Datum::of(Atom::Uuid(uuid.clone()))),
            ColumnId::Version => Cow::Owned(Datum::of(Atom::Uuid(self.version.clone()))),
            ColumnId::Own(number) => Cow::Borrowed(&self.columns[number]),
        }
    }
}

/// A row: the number of its table, and its identity.
pub(crate) type Key = (usize, Uuid);

/// What a transaction did to one row; at least one of `before` and `after` is there.
#[derive(Debug, Clone)]
pub(crate) struct RowChange {
    pub(crate) table: usize,
    pub(crate) uuid: Uuid,
    pub(crate) before: Option<Arc<RowData>>,
    pub(crate) after: Option<Arc<RowData>>,
}

fn to_row(schema: &Schema, table: usize, row: &RowData) -> Row {
    let columns = schema.tables[table].columns.iter();
    let columns = columns.zip(&row.columns);
    columns
        .map(|(column, datum)| (column.name.clone(), datum.value().clone()))
        .collect()
}

/// How a transaction came out.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The array of results, and the rows that are not as they were.
    Done(Vec<Json>, Vec<RowChange>),
    /// A `wait` is not satisfied; it may be as long as this, counted from the request, or for ever.
    Blocked(Option<Duration>),
}

/// What a transaction depends on besides the database.
pub(crate) struct Circumstances<'a> {
    /// Since the request; `None` if `wait` operations must not wait.
    pub(crate) elapsed: Option<Duration>,
    /// Whether the client holds a lock.
    pub(crate) holds: &'a dyn Fn(&str) -> bool,
    /// What the client may do.
    pub(crate) access: Access,
}

/// Whether a client may change rows, and why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Full,
    /// The client may only read.
    ReadOnly,
    /// The server itself keeps the database.
    Reserved,
}

/// A database in memory.
#[derive(Debug)]
pub struct Database {
    pub(crate) schema: Arc<Schema>,
    pub(crate) tables: Vec<BTreeMap<Uuid, Arc<RowData>>>,
    /// How many strong references point to a row, its own not counted.
    pub(crate) strong: HashMap<Key, usize>,
    /// Which rows point to a row weakly.
    pub(crate) weak: HashMap<Key, BTreeSet<Key>>,
    /// For each table and each of its indexes, the row of each key.
    pub(crate) indexes: Vec<Vec<HashMap<String, Uuid>>>,
}

impl Database {
    /// A database without rows.
    pub fn new(schema: Schema) -> Self {
        let tables = &schema.tables;
        Self {
            tables: tables.iter().map(|_| BTreeMap::new()).collect(),
            strong: HashMap::new(),
            weak: HashMap::new(),
            indexes: tables
                .iter()
                .map(|table| table.indexes.iter().map(|_| HashMap::new()).collect())
                .collect(),
            schema: Arc::new(schema),
        }
    }

    /// The schema.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Carries out the operations of a `transact` request (RFC 7047, section 4.1.3) and returns the array of
    /// their results. A `wait` that is not satisfied at once times out; no lock is held.
    pub fn transact(&mut self, operations: &[Json]) -> Vec<Json> {
        let alone = Circumstances {
            elapsed: None,
            holds: &|_| false,
            access: Access::Full,
        };
        match self.execute(operations, &alone) {
            Outcome::Done(results, _) => results,
            Outcome::Blocked(_) => Vec::new(),
        }
    }

    pub(crate) fn execute(
        &mut self,
        operations: &[Json],
        circumstances: &Circumstances<'_>,
    ) -> Outcome {
        transaction::execute(self, operations, circumstances)
    }

    /// The rows of a table; none if there is no such table.
    pub fn rows(&self, table: &str) -> impl Iterator<Item = (&Uuid, Row)> {
        let number = self.schema.table(table);
        let rows = number
            .into_iter()
            .flat_map(|number| self.tables[number].iter().map(move |row| (number, row)));
        rows.map(|(number, (uuid, row))| (uuid, to_row(&self.schema, number, row)))
    }

    /// One row.
    pub fn row(&self, table: &str, uuid: &Uuid) -> Option<Row> {
        let number = self.schema.table(table)?;
        let row = self.tables[number].get(uuid)?;
        Some(to_row(&self.schema, number, row))
    }

    pub(crate) fn has(&self, key: &Key) -> bool {
        self.tables[key.0].contains_key(&key.1)
    }
}
