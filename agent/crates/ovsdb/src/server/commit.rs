//! What must hold when a transaction ends: references, garbage, maxRows, indexes (RFC 7047, sections 3.2 and 4.1.3).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value as Json;

use super::database::{Database, Key, RowChange, RowData};
use super::datum::Datum;
use super::fault::{Fault, Kind};
use super::schema::Schema;
use super::symbols::{nil, random};
use super::transaction::Transaction;
use super::types::Strength;
use crate::value::{Atom, Uuid};

/// The rows that a row points to, and the numbers of the columns that do. A strong reference to the row's own
/// identity is left out: it does not keep it alive, and nobody asks whether the row is in that table.
fn targets(schema: &Schema, key: &Key, row: &RowData, strength: Strength) -> Vec<(Key, usize)> {
    let mut targets = Vec::new();
    let columns = schema.tables[key.0].columns.iter().zip(&row.columns);
    for (number, (column, datum)) in columns.enumerate() {
        for (place, base) in column.kind.bases().enumerate() {
            let Some((table, found)) = base.reference() else {
                continue;
            };
            let Some(table) = schema.table(table).filter(|_| found == strength) else {
                continue;
            };
            for atom in datum.atoms(place == 1) {
                if let Atom::Uuid(uuid) = atom
                    && !(strength == Strength::Strong && *uuid == key.1)
                {
                    targets.push(((table, uuid.clone()), number));
                }
            }
        }
    }
    targets
}

/// How many strong references a row will have, for rows whose number changes.
struct Counts<'a> {
    committed: &'a HashMap<Key, usize>,
    changed: HashMap<Key, usize>,
}

impl Counts<'_> {
    fn of(&self, key: &Key) -> usize {
        let count = self.changed.get(key).or_else(|| self.committed.get(key));
        count.copied().unwrap_or(0)
    }

    fn add(&mut self, key: Key) {
        let count = self.of(&key) + 1;
        self.changed.insert(key, count);
    }

    /// The number that is left.
    fn take(&mut self, key: Key) -> usize {
        let count = self.of(&key).saturating_sub(1);
        self.changed.insert(key, count);
        count
    }
}

impl Transaction<'_> {
    /// Checks everything, and makes the changes known to the database. If it fails, rows must be put back.
    pub(crate) fn commit(&mut self) -> Result<Vec<RowChange>, Fault> {
        self.forget_unchanged();
        if self.touched.is_empty() {
            return Ok(Vec::new());
        }
        let garbage = self.check_strong()?;
        for key in garbage {
            self.put(key, None);
        }
        self.forget_unchanged();
        self.check_max_rows()?;
        self.drop_weak()?;
        self.check_indexes()?;
        let changes = self.changes()?;
        self.database.take_in(&changes);
        Ok(changes)
    }

    /// Rows that are as they were are not part of the transaction.
    fn forget_unchanged(&mut self) {
        let tables = &self.database.tables;
        self.touched.retain(
            |(table, uuid), before| match (before, tables[*table].get(uuid)) {
                (Some(before), Some(after)) => before.columns != after.columns,
                (None, None) => false,
                _ => true,
            },
        );
    }

    /// Checks strong references; returns the rows that nothing refers to any more.
    fn check_strong(&self) -> Result<Vec<Key>, Fault> {
        let schema = &self.database.schema;
        let strong = |key: &Key, row: Option<&Arc<RowData>>| {
            row.map_or_else(Vec::new, |row| targets(schema, key, row, Strength::Strong))
        };
        let mut counts = Counts {
            committed: &self.database.strong,
            changed: HashMap::new(),
        };
        for key in self.touched.keys() {
            for (target, _) in strong(key, self.now(key)) {
                counts.add(target);
            }
        }
        for (key, before) in &self.touched {
            for (target, _) in strong(key, before.as_ref()) {
                counts.take(target);
            }
        }
        for key in self.touched.keys() {
            self.check_targets(key)?;
        }
        for key in self.touched.keys() {
            let count = counts.of(key);
            if count > 0 && !self.database.has(key) {
                let (table, uuid) = (&schema.tables[key.0].name, &key.1);
                let details = format!(
                    "cannot delete {table} row {uuid} because of {count} remaining reference(s)"
                );
                return Err(Fault::new(Kind::Referential, details));
            }
        }
        Ok(self.garbage(counts))
    }

    /// Whether the rows are there to which a row points strongly.
    fn check_targets(&self, key: &Key) -> Result<(), Fault> {
        let schema = &self.database.schema;
        let Some(row) = self.now(key) else {
            return Ok(());
        };
        for (target, column) in targets(schema, key, row, Strength::Strong) {
            if self.database.has(&target) {
                continue;
            }
            let table = &schema.tables[key.0];
            let details = format!(
                "Table {} column {} row {} references nonexistent row {} in table {}.",
                table.name,
                table.columns[column].name,
                key.1,
                target.1,
                schema.tables[target.0].name
            );
            return Err(Fault::new(Kind::Referential, details));
        }
        Ok(())
    }

    fn garbage(&self, mut counts: Counts<'_>) -> Vec<Key> {
        let schema = &self.database.schema;
        let candidates = counts.changed.keys().chain(self.touched.keys());
        let mut left: Vec<Key> = candidates
            .filter(|key| !schema.tables[key.0].is_root)
            .cloned()
            .collect();
        let mut garbage = BTreeSet::new();
        while let Some(key) = left.pop() {
            let Some(row) = self.now(&key) else { continue };
            if counts.of(&key) > 0 || garbage.contains(&key) {
                continue;
            }
            for (target, _) in targets(schema, &key, row, Strength::Strong) {
                if counts.take(target.clone()) == 0 && !schema.tables[target.0].is_root {
                    left.push(target);
                }
            }
            garbage.insert(key);
        }
        garbage.into_iter().collect()
    }

    fn now(&self, (table, uuid): &Key) -> Option<&Arc<RowData>> {
        self.database.tables[*table].get(uuid)
    }

    fn check_max_rows(&self) -> Result<(), Fault> {
        for (table, rows) in self
            .database
            .schema
            .tables
            .iter()
            .zip(&self.database.tables)
        {
            if let Some(max) = table.max_rows
                && rows.len() > max
            {
                let (name, count) = (&table.name, rows.len());
                let details = format!(
                    "transaction causes \"{name}\" table to contain {count} rows, greater than the schema-defined limit of {max} row(s)"
                );
                return Err(Fault::new(Kind::Constraint, details));
            }
        }
        Ok(())
    }

    /// Takes away weak references to rows that are not there.
    fn drop_weak(&mut self) -> Result<(), Fault> {
        let mut sources: BTreeSet<Key> = self.touched.keys().cloned().collect();
        for key in self.touched.keys().filter(|key| !self.database.has(key)) {
            sources.extend(self.database.weak.get(key).into_iter().flatten().cloned());
        }
        for key in sources {
            if let Some(row) = self.now(&key)
                && let Some(row) = self.without_dangling(&key, row)?
            {
                self.put(key, Some(row));
            }
        }
        // A row that is as it was but for a reference to nowhere, which is gone again, counts as changed.
        Ok(())
    }

    /// The row without weak references to nowhere, if it has such.
    fn without_dangling(&self, key: &Key, row: &RowData) -> Result<Option<RowData>, Fault> {
        let schema = &self.database.schema;
        let mut changed: Option<RowData> = None;
        for (number, column) in schema.tables[key.0].columns.iter().enumerate() {
            let weak = |base: &super::types::BaseType| match base.reference() {
                Some((table, Strength::Weak)) => schema.table(table),
                _ => None,
            };
            let (keys, values) = (
                weak(&column.kind.key),
                column.kind.value.as_ref().and_then(weak),
            );
            if keys.is_none() && values.is_none() {
                continue;
            }
            let dangles = |table: Option<usize>, atom: &Atom| match (table, atom) {
                (Some(table), Atom::Uuid(uuid)) => !self.database.tables[table].contains_key(uuid),
                _ => false,
            };
            let mut datum = row.columns[number].clone();
            datum.retain(|key, value| {
                !dangles(keys, key) && !value.is_some_and(|value| dangles(values, value))
            });
            if datum.len() == row.columns[number].len() {
                continue;
            }
            if datum.len() < column.kind.count.min {
                let gone = row.columns[number].len() - datum.len();
                return Err(self.emptied(key, &column.name, gone, &row.columns[number]));
            }
            changed.get_or_insert_with(|| row.clone()).columns[number] = datum;
        }
        Ok(changed)
    }

    /// The error of a column that dangling references leave with too few elements.
    fn emptied(&self, key: &Key, column: &str, gone: usize, was: &Datum) -> Fault {
        let (table, uuid) = (&self.database.schema.tables[key.0].name, &key.1);
        let inserted = match self.touched.get(key) {
            Some(None) => " (inserted within this transaction)",
            _ => "",
        };
        let details = if was.single() == Some(&Atom::Uuid(nil())) {
            format!(
                "Weak reference column \"{column}\" in \"{table}\" row {uuid}{inserted} contained \
                 all-zeros UUID (probably as the default value for this column) but deleting this \
                 value caused a constraint volation because this column is not allowed to be empty."
            )
        } else {
            format!(
                "Deletion of {gone} weak reference(s) to deleted (or never-existing) rows from column \
                 \"{column}\" in \"{table}\" row {uuid}{inserted} caused this column to become \
                 empty, but constraints on this column disallow an empty column."
            )
        };
        Fault::new(Kind::Constraint, details)
    }

    fn check_indexes(&self) -> Result<(), Fault> {
        let schema = &self.database.schema;
        let mut fresh: HashMap<(usize, usize, String), &Uuid> = HashMap::new();
        for key in self.touched.keys() {
            let Some(row) = self.now(key) else { continue };
            for (number, index) in schema.tables[key.0].indexes.iter().enumerate() {
                let value = index_key(index, row);
                let stored = self.database.indexes[key.0][number].get(&value);
                let other =
                    stored.filter(|uuid| !self.touched.contains_key(&(key.0, (*uuid).clone())));
                if let Some(other) = other.or(fresh.insert((key.0, number, value), &key.1)) {
                    return Err(self.duplicate(key, index, row, other));
                }
            }
        }
        Ok(())
    }

    /// The error of two rows with the same values in an index.
    fn duplicate(&self, key: &Key, index: &[usize], row: &RowData, other: &Uuid) -> Fault {
        let table = &self.database.schema.tables[key.0];
        let values = |row: &RowData| {
            let values = index.iter();
            let values =
                values.map(|column| row.columns[*column].plain(&table.columns[*column].kind));
            enumeration(values)
        };
        let before = |uuid: &Uuid| match self.touched.get(&(key.0, uuid.clone())) {
            None => "existed in the database before this transaction and was not modified by the \
                     transaction"
                .to_owned(),
            Some(None) => "was inserted by this transaction".to_owned(),
            Some(Some(before)) => format!(
                "had the following index values before the transaction: {}",
                values(before)
            ),
        };
        let names = index.iter();
        let names = names.map(|column| format!("\"{}\"", table.columns[*column].name));
        let plural = if index.len() == 1 { "" } else { "s" };
        let details = format!(
            "Transaction causes multiple rows in \"{}\" table to have identical values ({}) for index \
             on column{plural} {}.  First row, with UUID {other}, {}.  Second row, with UUID {}, {}.",
            table.name,
            values(row),
            enumeration(names),
            before(other),
            key.1,
            before(&key.1),
        );
        Fault::new(Kind::Constraint, details)
    }

    /// What has changed, with a new version for each row that is there.
    fn changes(&mut self) -> Result<Vec<RowChange>, Fault> {
        let mut changes = Vec::with_capacity(self.touched.len());
        for ((table, uuid), before) in &self.touched {
            let row = self.database.tables[*table].get_mut(uuid);
            if let Some(row) = row {
                Arc::make_mut(row).version = random()?;
            }
            changes.push(RowChange {
                table: *table,
                uuid: uuid.clone(),
                before: before.clone(),
                after: self.database.tables[*table].get(uuid).cloned(),
            });
        }
        Ok(changes)
    }
}

/// `a`, `a and b`, `a, b, and c`.
fn enumeration(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    match items.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [one, other] => format!("{one} and {other}"),
        [some @ .., last] => format!("{}, and {last}", some.join(", ")),
    }
}

/// The values of an index's columns, to compare.
fn index_key(index: &[usize], row: &RowData) -> String {
    let values = index.iter().map(|column| row.columns[*column].to_json());
    values.collect::<Json>().to_string()
}

impl Database {
    /// Keeps counts, weak references and indexes in step with the rows.
    fn take_in(&mut self, changes: &[RowChange]) {
        let schema = Arc::clone(&self.schema);
        for change in changes {
            if let Some(before) = &change.before {
                self.forget(&schema, change, before);
            }
        }
        for change in changes {
            if let Some(after) = &change.after {
                self.note(&schema, change, after);
            }
        }
    }

    fn note(&mut self, schema: &Schema, change: &RowChange, row: &RowData) {
        let key = (change.table, change.uuid.clone());
        for (target, _) in targets(schema, &key, row, Strength::Strong) {
            *self.strong.entry(target).or_default() += 1;
        }
        for (target, _) in targets(schema, &key, row, Strength::Weak) {
            self.weak.entry(target).or_default().insert(key.clone());
        }
        for (number, index) in schema.tables[key.0].indexes.iter().enumerate() {
            self.indexes[key.0][number].insert(index_key(index, row), key.1.clone());
        }
    }

    fn forget(&mut self, schema: &Schema, change: &RowChange, row: &RowData) {
        let key = (change.table, change.uuid.clone());
        for (target, _) in targets(schema, &key, row, Strength::Strong) {
            if let Some(count) = self.strong.get_mut(&target) {
                *count -= 1;
                if *count == 0 {
                    self.strong.remove(&target);
                }
            }
        }
        for (target, _) in targets(schema, &key, row, Strength::Weak) {
            if let Some(sources) = self.weak.get_mut(&target) {
                sources.remove(&key);
                if sources.is_empty() {
                    self.weak.remove(&target);
                }
            }
        }
        for (number, index) in schema.tables[key.0].indexes.iter().enumerate() {
            self.indexes[key.0][number].remove(&index_key(index, row));
        }
    }
}
