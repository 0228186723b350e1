//! The versions of a name, as they stand in the database.

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde_json::{Value, json};

use super::lesson::{Lesson, Name, Taught};
use super::{EXAMPLES, KnowledgeError};
use crate::recognise::Format;
use crate::shape::Shape;

/// The versions that are kept of a name, the latest.
const VERSIONS: i64 = 16;
/// The largest shape, schema or set of rules, in bytes.
const LARGEST: usize = 1 << 20;

/// A version of a name.
pub(super) struct Row {
    pub(super) version: i64,
    pub(super) learned: String,
    pub(super) format: Format,
    pub(super) note: String,
    pub(super) shape: Shape,
    pub(super) schema: Value,
    pub(super) rules: Value,
}

impl Row {
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        self.format == other.format
            && self.note == other.note
            && self.schema == other.schema
            && self.rules == other.rules
    }

    pub(super) fn write(
        &self,
        transaction: &Transaction<'_>,
        name: &Name,
        version: i64,
        now: &str,
    ) -> Result<(), KnowledgeError> {
        let text = |value: &Value| value.to_string();
        let shape = json!(self.shape);
        transaction.execute(
            "INSERT INTO known VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                name.0,
                version,
                now,
                self.format.as_str(),
                self.note,
                text(&shape),
                text(&self.schema),
                text(&self.rules)
            ],
        )?;
        transaction.execute(
            "DELETE FROM known WHERE name = ?1 AND version <= ?2",
            params![name.0, version - VERSIONS],
        )?;
        transaction.execute("DELETE FROM words WHERE name = ?1", [&name.0])?;
        let mut keys = Vec::new();
        collect_keys(&self.schema, &mut keys);
        transaction.execute(
            "INSERT INTO words (name, note, keys) VALUES (?1, ?2, ?3)",
            params![name.0, self.note, keys.join(" ")],
        )?;
        Ok(())
    }
}

pub(super) fn latest(connection: &Connection, name: &Name) -> Result<Option<Row>, KnowledgeError> {
    stored(connection, name, None)
}

/// The latest version of a name and when it was learned, without what it says.
pub(super) fn latest_version(
    connection: &Connection,
    name: &Name,
) -> Result<Option<(i64, String)>, KnowledgeError> {
    let found = connection.query_row(
        "SELECT version, learned FROM known WHERE name = ?1 ORDER BY version DESC LIMIT 1",
        [&name.0],
        |row| Ok((row.get(0)?, row.get(1)?)),
    );
    Ok(found.optional()?)
}

pub(super) fn stored(
    connection: &Connection,
    name: &Name,
    version: Option<i64>,
) -> Result<Option<Row>, KnowledgeError> {
    type Texts = (i64, String, String, String, String, String, String);
    let found: Option<Texts> = connection
        .query_row(
            "SELECT version, learned, format, note, shape, schema, rules FROM known
             WHERE name = ?1 AND (?2 IS NULL OR version = ?2) ORDER BY version DESC LIMIT 1",
            params![name.0, version],
            |row| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                    row.get(5)?,
                    row.get(6)?,
                ))
            },
        )
        .optional()?;
    let Some((version, learned, format, note, shape, schema, rules)) = found else {
        return Ok(None);
    };
    let damaged = |error: serde_json::Error| KnowledgeError::Damaged {
        name: name.to_string(),
        reason: error.to_string(),
    };
    Ok(Some(Row {
        version,
        learned,
        note,
        format: serde_json::from_value(json!(format)).map_err(damaged)?,
        shape: serde_json::from_str(&shape).map_err(damaged)?,
        schema: serde_json::from_str(&schema).map_err(damaged)?,
        rules: serde_json::from_str(&rules).map_err(damaged)?,
    }))
}

/// What is known after a lesson.
pub(super) fn merged(
    name: &Name,
    before: Option<&Row>,
    lesson: &Lesson,
    new: &[&Taught],
) -> Result<Row, KnowledgeError> {
    let mut shape = before.map(|row| row.shape.clone()).unwrap_or_default();
    for taught in new {
        shape.merge(taught.shape.clone());
    }
    // Everybody may look at what is known, and not at every example.
    let shape = shape.without_values();
    let note = lesson.note.clone();
    let rules = lesson.rules.clone();
    let row = Row {
        version: 0,
        learned: String::new(),
        format: lesson.format,
        note: note
            .or_else(|| before.map(|row| row.note.clone()))
            .unwrap_or_default(),
        schema: shape.schema(),
        rules: rules
            .or_else(|| before.map(|row| row.rules.clone()))
            .unwrap_or_default(),
        shape,
    };
    for part in [&json!(row.shape), &row.schema, &row.rules] {
        if part.to_string().len() > LARGEST {
            return Err(KnowledgeError::Invalid(format!(
                "what `{name}` looks like takes more than {LARGEST} bytes to say"
            )));
        }
    }
    // A shape has several levels for each of the values, and JSON is read to 128 only.
    if serde_json::from_str::<Shape>(&json!(row.shape).to_string()).is_err() {
        return Err(KnowledgeError::Invalid(format!(
            "what `{name}` looks like is nested too deep to be kept"
        )));
    }
    Ok(row)
}

pub(super) fn unseen<'l>(
    transaction: &Transaction<'_>,
    name: &Name,
    examples: &'l [Taught],
) -> Result<Vec<&'l Taught>, KnowledgeError> {
    let mut statement =
        transaction.prepare("SELECT 1 FROM example WHERE name = ?1 AND sha256 = ?2")?;
    let mut new: Vec<&Taught> = Vec::new();
    for taught in examples {
        let sha256 = &taught.example.sha256;
        let known = statement.exists(params![name.0, sha256])?;
        if !known && !new.iter().any(|other| other.example.sha256 == *sha256) {
            new.push(taught);
        }
    }
    Ok(new)
}

pub(super) fn write_examples(
    transaction: &Transaction<'_>,
    name: &Name,
    version: i64,
    examples: &[&Taught],
) -> Result<(), KnowledgeError> {
    for Taught { example, .. } in examples {
        let bytes = i64::try_from(example.bytes).unwrap_or(i64::MAX);
        transaction.execute(
            "INSERT INTO example VALUES (?1, ?2, ?3, ?4, ?5)",
            params![name.0, example.sha256, bytes, example.source, version],
        )?;
    }
    transaction.execute(
        "DELETE FROM example WHERE name = ?1 AND sha256 NOT IN
         (SELECT sha256 FROM example WHERE name = ?1 ORDER BY place DESC, sha256 LIMIT ?2)",
        params![name.0, EXAMPLES],
    )?;
    Ok(())
}

/// The names of properties, for the search.
fn collect_keys<'s>(schema: &'s Value, keys: &mut Vec<&'s str>) {
    const MOST: usize = 2000;
    match schema {
        Value::Object(map) => {
            if let Some(Value::Object(properties)) = map.get("properties") {
                keys.extend(
                    properties
                        .keys()
                        .map(String::as_str)
                        .take(MOST - keys.len().min(MOST)),
                );
            }
            map.values().for_each(|value| collect_keys(value, keys));
        }
        Value::Array(values) => values.iter().for_each(|value| collect_keys(value, keys)),
        _ => {}
    }
}
