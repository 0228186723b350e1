//! Reading entries.

use rusqlite::types::Value as Sql;
use rusqlite::{OptionalExtension, Row, params_from_iter};

use crate::entry::Entry;
use crate::error::Error;
use crate::store::Ledger;

/// Which entries; what is `None` does not limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Not before this time, in seconds since 1970-01-01 UTC.
    pub since: Option<i64>,
    /// Before this time.
    pub until: Option<i64>,
    /// Only this operation.
    pub operation: Option<String>,
    /// Only this target.
    pub target: Option<String>,
    /// Only those whose `metadata.run` is this.
    pub run: Option<String>,
    /// Only those after this id.
    pub after_id: Option<i64>,
    /// At most so many.
    pub limit: Option<usize>,
    /// The latest first instead of the earliest.
    pub newest_first: bool,
}

impl Ledger {
    /// The entry with this id.
    pub fn get(&self, id: i64) -> Result<Option<Entry>, Error> {
        self.with(|connection| {
            connection
                .prepare_cached(&format!("{SELECT} WHERE id = ?1"))?
                .query_row([id], entry)
                .optional()
        })
    }

    /// The entries that fit a filter.
    pub fn query(&self, filter: &Filter) -> Result<Vec<Entry>, Error> {
        let mut conditions = Vec::new();
        let mut values: Vec<Sql> = Vec::new();
        let mut add = |condition: &'static str, value: Option<Sql>| {
            if let Some(value) = value {
                conditions.push(condition);
                values.push(value);
            }
        };
        let text = |text: &Option<String>| text.clone().map(Sql::from);
        add("timestamp >= ?", filter.since.map(Sql::from));
        add("timestamp < ?", filter.until.map(Sql::from));
        add("operation = ?", text(&filter.operation));
        add("target = ?", text(&filter.target));
        add("json_extract(metadata, '$.run') = ?", text(&filter.run));
        add("id > ?", filter.after_id.map(Sql::from));
        let mut sql = SELECT.to_owned();
        if !conditions.is_empty() {
            sql.push_str(" WHERE ");
            sql.push_str(&conditions.join(" AND "));
        }
        sql.push_str(if filter.newest_first { " ORDER BY id DESC" } else { " ORDER BY id" });
        if let Some(limit) = filter.limit {
            sql.push_str(&format!(" LIMIT {limit}"));
        }
        self.with(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map(params_from_iter(&values), entry)?;
            rows.collect()
        })
    }
}

const SELECT: &str = "SELECT id, timestamp, operation, target, previous_hash, current_hash, metadata FROM operations";

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let metadata: Option<String> = row.get(6)?;
    let metadata = metadata.map_or(Ok(serde_json::Value::Null), |text| serde_json::from_str(&text));
    Ok(Entry {
        id: row.get(0)?,
        timestamp: row.get(1)?,
        operation: row.get(2)?,
        target: row.get(3)?,
        previous_hash: row.get(4)?,
        current_hash: row.get(5)?,
        metadata: metadata.map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(6, rusqlite::types::Type::Text, Box::new(error))
        })?,
    })
}
