//! Carries out operations, all or none (RFC 7047, sections 4.1.3 and 5.2).

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use super::condition::Condition;
use super::database::{Access, Circumstances, Database, Key, Outcome, RowData};
use super::datum::Datum;
use super::fault::{Fault, Kind};
use super::members::Members;
use super::mutation::Mutation;
use super::schema::{ColumnId, TableSchema};
use super::symbols::{Symbols, nil, random};
use crate::value::{Atom, Uuid};

/// Changes are made at once; what the rows were is kept until the end.
pub(crate) struct Transaction<'a> {
    pub(crate) database: &'a mut Database,
    /// Rows that were written, as they were before.
    pub(crate) touched: BTreeMap<Key, Option<Arc<RowData>>>,
    circumstances: &'a Circumstances<'a>,
    symbols: Symbols,
    /// The shortest timeout of the `wait` operations so far.
    timeout: Option<Duration>,
}

/// Why an operation did not give a result.
enum Stop {
    Refused(Fault),
    Blocked,
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Refused(fault)
    }
}

pub(crate) fn execute(
    database: &mut Database,
    operations: &[Json],
    circumstances: &Circumstances<'_>,
) -> Outcome {
    let mut transaction = Transaction {
        database,
        touched: BTreeMap::new(),
        circumstances,
        symbols: Symbols::default(),
        timeout: None,
    };
    let mut results = Vec::with_capacity(operations.len());
    for (place, operation) in operations.iter().enumerate() {
        match transaction.operate(operation, place + 1, operations.len()) {
            Ok(result) => results.push(result),
            Err(Stop::Blocked) => {
                transaction.roll_back();
                return Outcome::Blocked(transaction.timeout);
            }
            Err(Stop::Refused(fault)) => {
                transaction.roll_back();
                results.push(fault.to_json());
                results.resize(operations.len(), Json::Null);
                return Outcome::Done(results, Vec::new());
            }
        }
    }
    let changes = transaction.commit().unwrap_or_else(|fault| {
        transaction.roll_back();
        results.push(fault.to_json());
        Vec::new()
    });
    Outcome::Done(results, changes)
}

impl Transaction<'_> {
    /// Puts every row back.
    fn roll_back(&mut self) {
        for ((table, uuid), before) in std::mem::take(&mut self.touched) {
            let rows = &mut self.database.tables[table];
            match before {
                Some(row) => rows.insert(uuid, row),
                None => rows.remove(&uuid),
            };
        }
    }

    /// Writes a row, or takes it away.
    pub(crate) fn put(&mut self, key: Key, row: Option<RowData>) {
        let rows = &mut self.database.tables[key.0];
        let before = match row {
            Some(row) => rows.insert(key.1.clone(), Arc::new(row)),
            None => rows.remove(&key.1),
        };
        self.touched.entry(key).or_insert(before);
    }

    fn operate(&mut self, operation: &Json, number: usize, of: usize) -> Result<Json, Stop> {
        let what = format!("ovsdb operation {number} of {of}");
        let mut members = Members::of(operation, what)?;
        let name = members.id("op")?;
        let (done, writes) = match name {
            "insert" => (self.insert(&mut members), true),
            "select" => (self.select(&mut members), false),
            "update" => (self.update(&mut members), true),
            "mutate" => (self.mutate(&mut members), true),
            "delete" => (self.delete(&mut members), true),
            "wait" => (self.wait(&mut members), false),
            "commit" => (self.durable(&mut members), true),
            "abort" => {
                let fault = Fault::new(Kind::Aborted, "aborted by request");
                (Err(fault.into()), false)
            }
            "comment" => (self.comment(&mut members), false),
            "assert" => (self.assert(&mut members), false),
            _ => return Err(members.fault(&format!("No operation \"{name}\"")).into()),
        };
        // The form of the object comes before what its values mean.
        if members.has_failed() {
            return done;
        }
        members.finish()?;
        let done = done?;
        if writes {
            self.may_write(name)?;
        }
        Ok(done)
    }

    fn may_write(&self, name: &str) -> Result<(), Fault> {
        let why = match self.circumstances.access {
            Access::Full => return Ok(()),
            Access::ReadOnly => "when database server is in read only mode".to_owned(),
            Access::Reserved => {
                let name = self.database.schema.name();
                format!("on table in reserved database {name}")
            }
        };
        let details = format!("{name} operation not allowed {why}");
        Err(Fault::new(Kind::NotAllowed, details))
    }

    /// The number of the table that the operation names.
    fn table(&self, members: &mut Members<'_>) -> Result<usize, Fault> {
        let name = members.id("table")?;
        let table = self.database.schema.table(name);
        table.ok_or_else(|| members.fault(&format!("No table named {name}.")))
    }

    /// The columns that a `<row>` mentions.
    fn row(&mut self, json: &Json, table: usize) -> Result<Vec<(ColumnId, Datum)>, Fault> {
        let schema = Arc::clone(&self.database.schema);
        let table = &schema.tables[table];
        let columns = json
            .as_object()
            .ok_or_else(|| Fault::syntax(json, "row must be JSON object"))?;
        let mut row = Vec::with_capacity(columns.len());
        for (name, value) in columns {
            let column = table.column(name).ok_or_else(|| {
                let details = format!("No column {name} in table {}.", table.name);
                Fault::new(Kind::UnknownColumn, details).at(json)
            })?;
            let kind = table.kind_of(column);
            row.push((
                column,
                Datum::of_type(value, kind, Some(&mut self.symbols))?,
            ));
        }
        Ok(row)
    }

    fn condition(&mut self, json: &Json, table: usize) -> Result<Condition, Fault> {
        let schema = Arc::clone(&self.database.schema);
        Condition::from_json(json, &schema.tables[table], Some(&mut self.symbols))
    }

    fn matching(&self, table: usize, condition: &Condition) -> Vec<(Uuid, Arc<RowData>)> {
        let rows = &self.database.tables[table];
        let owned = |(uuid, row): (&Uuid, &Arc<RowData>)| (uuid.clone(), Arc::clone(row));
        match condition.one_row() {
            Some(uuid) => {
                let row = rows.get_key_value(uuid);
                row.filter(|(uuid, row)| condition.all(uuid, row))
                    .map(owned)
                    .into_iter()
                    .collect()
            }
            None => rows
                .iter()
                .filter(|(uuid, row)| condition.all(uuid, row))
                .map(owned)
                .collect(),
        }
    }

    /// RFC 7047, section 5.2.1.
    fn insert(&mut self, members: &mut Members<'_>) -> Result<Json, Stop> {
        let table = self.table(members)?;
        let name = members.optional_id("uuid-name")?;
        let given = members.optional_string("uuid")?;
        let row = members.object("row")?;
        let given = given
            .map(|text| self.free_identity(table, text))
            .transpose()?;
        let uuid = match (name, given) {
            (Some(name), given) => self.symbols.create(name, given)?,
            (None, Some(uuid)) => uuid,
            (None, None) => random()?,
        };
        let row = self.row(row, table)?;
        let schema = &self.database.schema.tables[table];
        let mut data = default_row(schema);
        set(&mut data, row);
        for (column, datum) in schema.columns.iter().zip(&data.columns) {
            datum.check(&column.kind)?;
        }
        self.put((table, uuid.clone()), Some(data));
        Ok(json!({ "uuid": ["uuid", uuid.as_str()] }))
    }

    fn free_identity(&self, table: usize, text: &str) -> Result<Uuid, Fault> {
        let uuid: Uuid = text
            .parse()
            .map_err(|_| Fault::syntax(&json!(text), "bad uuid"))?;
        let key = (table, uuid);
        if self.database.has(&key) || self.touched.get(&key).is_some_and(Option::is_some) {
            let details = "This UUID would duplicate a UUID already present within the table or deleted within the same transaction.";
            return Err(Fault::new(Kind::DuplicateUuid, details).at(&json!(text)));
        }
        Ok(key.1)
    }

    /// RFC 7047, section 5.2.2; `sort` is an extension of ovsdb-server.
    fn select(&mut self, members: &mut Members<'_>) -> Result<Json, Stop> {
        let table = self.table(members)?;
        let wanted = members.array("where")?;
        let columns = members.optional_array("columns")?;
        let sort = members.optional_array("sort")?;
        let condition = self.condition(wanted, table)?;
        let columns = self.columns(table, columns)?;
        let sort = sort
            .map(|sort| self.database.schema.tables[table].column_set(sort))
            .transpose()?;
        let mut rows = self.matching(table, &condition);
        if let Some(sort) = sort {
            rows.sort_by(|(one, first), (other, second)| {
                let orders = sort.iter();
                let orders =
                    orders.map(|column| first.get(one, *column).order(&second.get(other, *column)));
                orders.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
            });
        }
        let schema = &self.database.schema.tables[table];
        let rows = rows
            .iter()
            .map(|(uuid, row)| project(schema, uuid, row, &columns));
        Ok(json!({ "rows": distinct(rows, &columns) }))
    }

    fn columns(&self, table: usize, json: Option<&Json>) -> Result<Vec<ColumnId>, Fault> {
        let schema = &self.database.schema.tables[table];
        json.map_or_else(|| Ok(schema.all_columns()), |json| schema.column_set(json))
    }

    /// RFC 7047, section 5.2.3.
    fn update(&mut self, members: &mut Members<'_>) -> Result<Json, Stop> {
        let table = self.table(members)?;
        let wanted = members.array("where")?;
        let row = members.object("row")?;
        let row = self.row(row, table)?;
        let schema = &self.database.schema.tables[table];
        if let Some((column, _)) = row.iter().find(|(column, _)| !schema.is_mutable(*column)) {
            let name = schema.name_of(*column);
            let details = format!(
                "Cannot update immutable column {name} in table {}.",
                schema.name
            );
            return Err(Fault::new(Kind::Constraint, details)
                .at(members.whole())
                .into());
        }
        let condition = self.condition(wanted, table)?;
        let found = self.matching(table, &condition);
        let count = found.len();
        for (uuid, old) in found {
            let mut data = (*old).clone();
            set(&mut data, row.clone());
            if data != *old {
                self.put((table, uuid), Some(data));
            }
        }
        Ok(json!({ "count": count }))
    }

    /// RFC 7047, section 5.2.4.
    fn mutate(&mut self, members: &mut Members<'_>) -> Result<Json, Stop> {
        let table = self.table(members)?;
        let wanted = members.array("where")?;
        let mutations = members.array("mutations")?;
        let schema = Arc::clone(&self.database.schema);
        let schema = &schema.tables[table];
        let mutations = mutations.as_array().into_iter().flatten();
        let mutations: Vec<Mutation> = mutations
            .map(|mutation| Mutation::from_json(mutation, schema, &mut self.symbols))
            .collect::<Result<_, _>>()?;
        let condition = self.condition(wanted, table)?;
        let found = self.matching(table, &condition);
        let count = found.len();
        for (uuid, old) in found {
            let mut data = (*old).clone();
            for mutation in &mutations {
                let column = mutation.column;
                mutation.apply(&mut data.columns[column], &schema.columns[column].kind)?;
            }
            self.put((table, uuid), Some(data));
        }
        Ok(json!({ "count": count }))
    }

    /// RFC 7047, section 5.2.5.
    fn delete(&mut self, members: &mut Members<'_>) -> Result<Json, Stop> {
        let table = self.table(members)?;
        let wanted = members.array("where")?;
        let condition = self.condition(wanted, table)?;
        let found = self.matching(table, &condition);
        let count = found.len();
        for (uuid, _) in found {
            self.put((table, uuid), None);
        }
        Ok(json!({ "count": count }))
    }

    /// RFC 7047, section 5.2.6.
    fn wait(&mut self, members: &mut Members<'_>) -> Result<Json, Stop> {
        let table = self.table(members)?;
        let timeout = members.optional_integer("timeout")?;
        let wanted = members.array("where")?;
        let columns = members.optional_array("columns")?;
        let until = members.string("until")?;
        let rows = members.array("rows")?;
        let condition = self.condition(wanted, table)?;
        let columns = self.columns(table, columns)?;
        if let Some(timeout) = timeout {
            let negative = |_| Fault::syntax(&json!(timeout), "timeout must be nonnegative");
            let timeout = Duration::from_millis(timeout.try_into().map_err(negative)?);
            self.timeout = Some(self.timeout.map_or(timeout, |least| least.min(timeout)));
        }
        let equal = match until {
            "==" => true,
            "!=" => false,
            _ => {
                let details = "\"until\" must be \"==\" or \"!=\"";
                return Err(Fault::syntax(&json!(until), details).into());
            }
        };
        let expected = self.expected(table, rows, &columns)?;
        let schema = &self.database.schema.tables[table];
        let found = self.matching(table, &condition);
        let found = found
            .iter()
            .map(|(uuid, row)| project(schema, uuid, row, &columns).to_string());
        if (found.collect::<HashSet<_>>() == expected) == equal {
            return Ok(json!({}));
        }
        match (self.circumstances.elapsed, self.timeout) {
            (Some(elapsed), Some(timeout)) if elapsed < timeout => Err(Stop::Blocked),
            (Some(_), None) => Err(Stop::Blocked),
            (Some(elapsed), Some(timeout)) if !timeout.is_zero() => {
                let elapsed = elapsed.as_millis();
                let details = format!("\"wait\" timed out after {elapsed} ms");
                Err(Fault::new(Kind::TimedOut, details).into())
            }
            _ => Err(Fault::new(Kind::TimedOut, "\"where\" clause test failed").into()),
        }
    }

    /// The rows that a `wait` compares with.
    fn expected(
        &mut self,
        table: usize,
        rows: &Json,
        columns: &[ColumnId],
    ) -> Result<HashSet<String>, Fault> {
        let mut expected = HashSet::new();
        for row in rows.as_array().into_iter().flatten() {
            let row = self.row(row, table)?;
            let uuid = row.iter().find(|(column, _)| *column == ColumnId::Uuid);
            let uuid = match uuid.and_then(|(_, datum)| datum.single()) {
                Some(Atom::Uuid(uuid)) => uuid.clone(),
                _ => nil(),
            };
            let schema = &self.database.schema.tables[table];
            let mut data = default_row(schema);
            set(&mut data, row);
            expected.insert(project(schema, &uuid, &data, columns).to_string());
        }
        Ok(expected)
    }

    /// RFC 7047, section 5.2.7. Nothing is durable in memory; every commit is as good as it gets.
    fn durable(&self, members: &mut Members<'_>) -> Result<Json, Stop> {
        members.bool("durable")?;
        Ok(json!({}))
    }

    /// RFC 7047, section 5.2.9.
    fn comment(&self, members: &mut Members<'_>) -> Result<Json, Stop> {
        members.string("comment")?;
        Ok(json!({}))
    }

    /// RFC 7047, section 5.2.10.
    fn assert(&self, members: &mut Members<'_>) -> Result<Json, Stop> {
        let lock = members.id("lock")?;
        if (self.circumstances.holds)(lock) {
            return Ok(json!({}));
        }
        Err(Fault::new(Kind::NotOwner, format!("Asserted lock {lock} not held.")).into())
    }
}

/// A row as it is before anything is set. Its version comes with the commit.
fn default_row(table: &TableSchema) -> RowData {
    let columns = table.columns.iter();
    RowData {
        version: nil(),
        columns: columns
            .map(|column| Datum::default_of(&column.kind))
            .collect(),
    }
}

fn set(row: &mut RowData, columns: Vec<(ColumnId, Datum)>) {
    for (column, datum) in columns {
        match column {
            ColumnId::Own(number) => row.columns[number] = datum,
            ColumnId::Version => {
                if let Some(Atom::Uuid(version)) = datum.single() {
                    row.version = version.clone();
                }
            }
            ColumnId::Uuid => {}
        }
    }
}

/// The columns of a row as a `<row>`.
pub(crate) fn project(
    table: &TableSchema,
    uuid: &Uuid,
    row: &RowData,
    columns: &[ColumnId],
) -> Json {
    let columns = columns.iter();
    let columns = columns.map(|column| {
        let value = row.get(uuid, *column).to_json();
        (table.name_of(*column).to_owned(), value)
    });
    Json::Object(columns.collect::<Map<_, _>>())
}

/// Rows that differ: without `_uuid`, several may look the same.
fn distinct(rows: impl Iterator<Item = Json>, columns: &[ColumnId]) -> Vec<Json> {
    if columns.contains(&ColumnId::Uuid) {
        return rows.collect();
    }
    let mut seen = HashSet::new();
    rows.filter(|row| seen.insert(row.to_string())).collect()
}
