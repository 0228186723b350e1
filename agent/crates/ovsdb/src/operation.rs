//! The operations of a transaction (RFC 7047, section 5.2).

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::value::{Atom, Uuid, Value};

/// Which rows: those for which every column has the value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Where(Vec<(String, Value)>);

impl Where {
    /// Every row of the table.
    pub fn all() -> Self {
        Self::default()
    }

    /// One row.
    pub fn uuid(uuid: &Uuid) -> Self {
        Self(vec![("_uuid".to_owned(), Value::of(uuid.clone()))])
    }

    /// A row that the same transaction has inserted under this name, or an existing one.
    pub fn row(row: &Atom) -> Self {
        Self(vec![("_uuid".to_owned(), Value::Set(vec![row.clone()]))])
    }

    fn to_json(&self) -> Json {
        let conditions = self.0.iter();
        conditions
            .map(|(column, value)| json!([column, "==", value.to_json()]))
            .collect()
    }
}

/// How a mutation changes a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutator {
    /// Adds a number.
    Add,
    /// Adds elements to a set or pairs to a map; pairs whose key is there stay.
    Insert,
    /// Takes elements away, or a map's pairs: those given, or those whose keys are in a set.
    Delete,
}

impl Mutator {
    fn word(self) -> &'static str {
        match self {
            Self::Add => "+=",
            Self::Insert => "insert",
            Self::Delete => "delete",
        }
    }
}

/// One operation.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// A new row; other operations may name it [`Atom::Named`].
    Insert {
        /// The table.
        table: &'static str,
        /// Its columns; the others get their defaults.
        row: BTreeMap<&'static str, Value>,
        /// The name.
        name: String,
    },
    /// New values of columns.
    Update {
        /// The table.
        table: &'static str,
        /// Which rows.
        rows: Where,
        /// The columns.
        row: BTreeMap<&'static str, Value>,
    },
    /// Changes of columns.
    Mutate {
        /// The table.
        table: &'static str,
        /// Which rows.
        rows: Where,
        /// Column, how, and with what.
        mutations: Vec<(&'static str, Mutator, Value)>,
    },
    /// Rows go.
    Delete {
        /// The table.
        table: &'static str,
        /// Which rows.
        rows: Where,
    },
    /// Reads columns.
    Select {
        /// The table.
        table: &'static str,
        /// Which rows.
        rows: Where,
        /// Which columns.
        columns: Vec<&'static str>,
    },
    /// Refuses the transaction unless the one row found has exactly these values. It does not wait for
    /// them to come.
    Require {
        /// The table.
        table: &'static str,
        /// Which row.
        rows: Where,
        /// Its columns.
        row: BTreeMap<&'static str, Value>,
    },
    /// A line for the database's log.
    Comment(String),
}

impl Operation {
    pub(crate) fn to_json(&self) -> Json {
        let columns = |row: &BTreeMap<&'static str, Value>| -> Json {
            let columns = row.iter();
            let columns = columns.map(|(column, value)| ((*column).to_owned(), value.to_json()));
            Json::Object(columns.collect())
        };
        match self {
            Self::Insert { table, row, name } => {
                json!({ "op": "insert", "table": table, "row": columns(row), "uuid-name": name })
            }
            Self::Update { table, rows, row } => {
                json!({ "op": "update", "table": table, "where": rows.to_json(), "row": columns(row) })
            }
            Self::Mutate {
                table,
                rows,
                mutations,
            } => {
                let mutations = mutations.iter();
                let mutations: Json = mutations
                    .map(|(column, how, with)| json!([column, how.word(), with.to_json()]))
                    .collect();
                json!({ "op": "mutate", "table": table, "where": rows.to_json(), "mutations": mutations })
            }
            Self::Delete { table, rows } => {
                json!({ "op": "delete", "table": table, "where": rows.to_json() })
            }
            Self::Select {
                table,
                rows,
                columns,
            } => {
                json!({ "op": "select", "table": table, "where": rows.to_json(), "columns": columns })
            }
            Self::Require { table, rows, row } => json!({
                "op": "wait", "timeout": 0, "table": table, "where": rows.to_json(), "until": "==",
                "columns": row.keys().collect::<Vec<_>>(), "rows": [columns(row)],
            }),
            Self::Comment(text) => json!({ "op": "comment", "comment": text }),
        }
    }
}
