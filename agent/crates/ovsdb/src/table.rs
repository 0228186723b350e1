//! The monitor's cache: what the database holds, as far as it is watched.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::value::{Uuid, Value, ValueError};

/// A row's watched columns.
pub type Row = BTreeMap<String, Value>;

/// The watched tables.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tables(BTreeMap<String, BTreeMap<Uuid, Row>>);

impl Tables {
    /// The rows of a table; none if it is not watched.
    pub fn rows(&self, table: &str) -> impl Iterator<Item = (&Uuid, &Row)> {
        self.0.get(table).into_iter().flatten()
    }

    /// One row.
    pub fn row(&self, table: &str, uuid: &Uuid) -> Option<&Row> {
        self.0.get(table)?.get(uuid)
    }

    /// Takes in table updates (RFC 7047, section 4.1.6).
    pub(crate) fn update(&mut self, updates: &Json) -> Result<(), ValueError> {
        let object = |json: &Json| json.as_object().cloned();
        let wrong = || ValueError::new("table update", updates);
        for (table, rows) in object(updates).ok_or_else(wrong)? {
            let known = self.0.entry(table).or_default();
            for (uuid, change) in object(&rows).ok_or_else(wrong)? {
                let uuid: Uuid = uuid.parse()?;
                match change.get("new") {
                    Some(new) => {
                        let columns = object(new).ok_or_else(wrong)?;
                        let columns = columns.into_iter();
                        let row =
                            columns.map(|(name, value)| Ok((name, Value::from_json(&value)?)));
                        known.insert(uuid, row.collect::<Result<Row, ValueError>>()?);
                    }
                    None => {
                        known.remove(&uuid);
                    }
                }
            }
        }
        Ok(())
    }
}
