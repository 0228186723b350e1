//! Entries and their place in the chain.

use jiff::Timestamp;
use rusqlite::Row;
use rusqlite::types::ValueRef;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::hash::Hash;
use crate::metadata;

/// Something to be recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEntry {
    /// What was done, such as `container_create`.
    pub operation: String,
    /// What it was done to, such as `web-01`.
    pub target: String,
    /// A JSON object. Its numbers lie within ±(2^53 − 1), it nests at most 100 levels deep, and the
    /// entry as a whole is at most 16 MiB long; else the entry is refused.
    pub metadata: Value,
}

/// What was recorded.
///
/// Serializes as `{id, timestamp, time, operation, target, previous_hash, current_hash, metadata}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Place in the chain; 0 is the genesis row.
    pub id: i64,
    /// When it was recorded, in seconds since 1970-01-01 UTC.
    pub timestamp: i64,
    /// What was done.
    pub operation: String,
    /// What it was done to.
    pub target: String,
    /// The hash of the entry before; none for the genesis row.
    pub previous_hash: Option<Hash>,
    /// The hash of this entry.
    pub current_hash: Hash,
    /// A JSON object. That of the first entry after genesis has `genesis_hash` added to it.
    pub metadata: Value,
}

/// The last entry of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Head {
    /// Its place.
    pub id: i64,
    /// Its hash, which stands for the whole chain up to it.
    pub hash: Hash,
}

impl Entry {
    /// The columns that [`Entry::from_row`] reads, in its order.
    pub(crate) const COLUMNS: &'static str =
        "id, timestamp, operation, target, previous_hash, current_hash, metadata";

    /// Reads a row of [`Entry::COLUMNS`]; the error says what is wrong with it.
    pub(crate) fn from_row(row: &Row<'_>) -> Result<Self, String> {
        let column = |index| row.get_ref(index).map_err(|error| error.to_string());
        Ok(Self {
            id: number("id", column(0)?)?,
            timestamp: number("timestamp", column(1)?)?,
            operation: text("operation", column(2)?)?.to_owned(),
            target: text("target", column(3)?)?.to_owned(),
            previous_hash: match column(4)? {
                ValueRef::Null => None,
                value => Some(hash("previous_hash", value)?),
            },
            current_hash: hash("current_hash", column(5)?)?,
            metadata: metadata::read(text("metadata", column(6)?)?)
                .map_err(|error| format!("its metadata is no JSON: {error}"))?,
        })
    }
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let time = Timestamp::from_second(self.timestamp).ok();
        let mut entry = serializer.serialize_struct("Entry", 8)?;
        entry.serialize_field("id", &self.id)?;
        entry.serialize_field("timestamp", &self.timestamp)?;
        entry.serialize_field("time", &time.map(|time| time.to_string()))?;
        entry.serialize_field("operation", &self.operation)?;
        entry.serialize_field("target", &self.target)?;
        entry.serialize_field("previous_hash", &self.previous_hash)?;
        entry.serialize_field("current_hash", &self.current_hash)?;
        entry.serialize_field("metadata", &self.metadata)?;
        entry.end()
    }
}

pub(crate) fn number(column: &str, value: ValueRef<'_>) -> Result<i64, String> {
    value
        .as_i64()
        .map_err(|_| format!("its {column} is no number"))
}

fn text<'a>(column: &str, value: ValueRef<'a>) -> Result<&'a str, String> {
    value
        .as_str()
        .map_err(|_| format!("its {column} is no text"))
}

pub(crate) fn hash(column: &str, value: ValueRef<'_>) -> Result<Hash, String> {
    text(column, value)?
        .parse()
        .map_err(|error| format!("its {column} is {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_entry_is_shown_with_its_time() {
        let entry = Entry {
            id: 1,
            timestamp: 1_700_000_000,
            operation: "container_create".into(),
            target: "web-01".into(),
            previous_hash: Some(Hash::ZERO),
            current_hash: Hash::ZERO,
            metadata: json!({ "run": "7f3a" }),
        };
        let zeros = "0".repeat(64);
        let shown = format!(
            r#"{{"id":1,"timestamp":1700000000,"time":"2023-11-14T22:13:20Z","operation":"container_create","target":"web-01","previous_hash":"{zeros}","current_hash":"{zeros}","metadata":{{"run":"7f3a"}}}}"#
        );
        assert_eq!(serde_json::to_string(&entry).unwrap(), shown);
    }
}
