//! Rows that are alike: which columns tell most.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{cut, readable, title};

/// How many columns a table has at most.
const COLUMNS: usize = 8;
/// How many rows.
const ROWS: usize = 500;
/// How long a cell is, in bytes.
const CELL: usize = 300;
/// How many bytes all cells together may have.
const ALL: usize = 96 << 10;

/// Keys that people look for first, in this order.
const FIRST: [&str; 18] = [
    "id",
    "name",
    "timestamp",
    "time",
    "operation",
    "target",
    "title",
    "unit",
    "running",
    "state",
    "status",
    "outcome",
    "active",
    "network",
    "address",
    "addresses",
    "actor",
    "template",
];
/// Keys that say little to people.
const LAST: [&str; 8] = [
    "metadata",
    "why",
    "score",
    "previous_hash",
    "hash",
    "input_schema",
    "output_schema",
    "examples",
];

/// Rows that are alike.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Table {
    /// What is shown of each row, in order.
    pub columns: Vec<Column>,
    /// The rows: texts by the keys of columns.
    pub rows: Vec<BTreeMap<String, String>>,
    /// How many rows were left out, since there are so many.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: usize,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Column {
    /// The key of its cells.
    pub key: String,
    /// What stands above it.
    pub title: String,
    /// `right` for numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub align: Option<&'static str>,
}

impl Table {
    /// The table of these objects.
    pub fn of(rows: &[Value]) -> Self {
        let flat: Vec<_> = rows.iter().take(ROWS).map(flat).collect();
        let columns = columns(&flat);
        let mut room = ALL;
        let mut kept = Vec::new();
        for row in &flat {
            let cells: BTreeMap<_, _> = columns
                .iter()
                .filter_map(|column| {
                    let value = row.get(&column.key)?;
                    Some((column.key.clone(), cut(&readable(&column.key, value), CELL)))
                })
                .collect();
            let size: usize = cells
                .iter()
                .map(|(key, cell)| key.len() + cell.len() + 8)
                .sum();
            if size > room {
                break;
            }
            room -= size;
            kept.push(cells);
        }
        Self {
            columns,
            left_out: rows.len() - kept.len(),
            rows: kept,
        }
    }
}

/// A row without nesting: parts of objects have the keys of both. An entry of the ledger stands for what found it.
fn flat(row: &Value) -> Map<String, Value> {
    let mut flat = Map::new();
    let Some(row) = row.as_object() else {
        return flat;
    };
    for (key, value) in row {
        match value {
            Value::Object(parts) if key == "entry" => {
                for (key, value) in parts {
                    flat.insert(key.clone(), value.clone());
                }
            }
            Value::Object(parts) if !LAST.contains(&key.as_str()) => {
                for (part, value) in parts {
                    flat.insert(format!("{key}.{part}"), value.clone());
                }
            }
            _ => drop(flat.insert(key.clone(), value.clone())),
        }
    }
    told_of(&mut flat);
    flat
}

/// What the ledger keeps of a call, beside what it was.
fn told_of(flat: &mut Map<String, Value>) {
    let Some(metadata) = flat.remove("metadata") else {
        return;
    };
    for (key, value) in [
        ("outcome", &metadata["outcome"]),
        ("actor", &metadata["actor"]["name"]),
    ] {
        if !value.is_null() && !flat.contains_key(key) {
            flat.insert(key.to_owned(), value.clone());
        }
    }
}

/// The columns that tell most, in the order in which people look.
fn columns(rows: &[Map<String, Value>]) -> Vec<Column> {
    let mut seen: Vec<(&str, usize, bool)> = Vec::new();
    for (key, value) in rows.iter().flatten() {
        let told = usize::from(!matches!(value, Value::Null | Value::Object(_)));
        match seen.iter_mut().find(|(known, ..)| known == key) {
            Some((_, count, number)) => {
                *count += told;
                *number &= value.is_number() || value.is_null();
            }
            None => seen.push((key, told, value.is_number() || value.is_null())),
        }
    }
    seen.retain(|(key, count, _)| *count > 0 && !LAST.contains(key));
    let last = |key: &str| key.rsplit('.').next().unwrap_or(key).to_owned();
    let rank = |key: &str| {
        FIRST
            .iter()
            .position(|first| *first == last(key))
            .unwrap_or(FIRST.len())
    };
    // Stable: what has no place of its own stays where the tool has it.
    seen.sort_by_key(|(key, count, _)| (rank(key), std::cmp::Reverse(*count)));
    seen.truncate(COLUMNS);
    let titled = |key: &str| {
        let own = title(key);
        let alike = seen
            .iter()
            .filter(|(other, ..)| title(other) == own)
            .count();
        match key.split_once('.') {
            Some((above, _)) if alike > 1 => format!("{} {}", title(above), own.to_lowercase()),
            _ => own,
        }
    };
    let column = |(key, _, number): &(&str, usize, bool)| Column {
        key: (*key).to_owned(),
        title: titled(key),
        align: number.then_some("right"),
    };
    seen.iter().map(column).collect()
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn there_are_no_more_than_eight_columns_and_names_come_first() {
        let mut row = Map::new();
        for n in 0..12 {
            row.insert(format!("k{n}"), json!(n));
        }
        row.insert("name".to_owned(), json!("x"));
        let table = Table::of(&[Value::Object(row)]);
        assert_eq!(table.columns.len(), 8);
        assert_eq!(table.columns[0].title, "Name");
        assert_eq!(table.columns[1].align, Some("right"));
    }

    #[test]
    fn a_hit_is_its_entry() {
        let table = Table::of(&[json!({ "id": 3, "score": 0.5, "why": {}, "entry": {
            "timestamp": 1_767_225_600, "operation": "container_create", "target": "web-01",
            "metadata": { "outcome": "done", "actor": { "name": "root", "uid": 0 } },
        }})]);
        let row = &table.rows[0];
        assert_eq!(row["operation"], "container_create");
        assert_eq!(
            (row["outcome"].as_str(), row["actor"].as_str()),
            ("done", "root")
        );
        assert!(!table.columns.iter().any(|column| column.key == "score"));
    }

    #[test]
    fn long_tables_are_cut_and_say_so() {
        let rows: Vec<_> = (0..2000)
            .map(|n| json!({ "name": format!("{n}"), "x": "y".repeat(1000) }))
            .collect();
        let table = Table::of(&rows);
        assert_eq!(table.left_out + table.rows.len(), 2000);
        assert!(table.rows[0]["x"].len() < 310 && !table.rows.is_empty());
        assert!(serde_json::to_string(&table).unwrap().len() < (128 << 10));
    }

    #[test]
    fn rows_without_anything_in_common_do_no_harm() {
        let table = Table::of(&[
            json!({ "a": null }),
            json!({ "b": [] }),
            json!(7),
            json!({ "b": "x" }),
        ]);
        assert_eq!(table.columns.len(), 1);
        assert_eq!(table.rows.len(), 4);
    }
}
