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
    pub(crate) fn update(&mut self, updates: Json) -> Result<(), ValueError> {
        for (table, rows) in object(updates)? {
            let known = self.0.entry(table).or_default();
            for (uuid, change) in object(rows)? {
                let uuid: Uuid = uuid.parse()?;
                match object(change)?.remove("new") {
                    Some(new) => {
                        let columns = object(new)?.into_iter();
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

fn object(json: Json) -> Result<serde_json::Map<String, Json>, ValueError> {
    match json {
        Json::Object(object) => Ok(object),
        other => Err(ValueError::new("table update", &other)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const ONE: &str = "01234567-89ab-cdef-0123-456789abcdef";

    #[test]
    fn rows_come_change_and_go() {
        let mut tables = Tables::default();
        let update = |new: Json| json!({ "T": { ONE: new } });
        let uuid: Uuid = ONE.parse().unwrap();
        tables.update(update(json!({ "new": { "n": 1 } }))).unwrap();
        tables
            .update(update(json!({ "old": { "n": 1 }, "new": { "n": 2 } })))
            .unwrap();
        assert_eq!(tables.row("T", &uuid).unwrap()["n"].as_i64(), Some(2));
        tables.update(update(json!({ "old": { "n": 2 } }))).unwrap();
        assert_eq!(tables.rows("T").count(), 0);
        assert_eq!(tables.rows("elsewhere").count(), 0);
    }

    fn json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<i64>().prop_map(Json::from),
            Just(json!(["uuid", ONE])),
            ".{0,4}".prop_map(Json::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            let key = prop_oneof![Just("new".to_owned()), Just(ONE.to_owned()), ".{0,3}"];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
                prop::collection::vec((key, inner), 0..4)
                    .prop_map(|pairs| Json::Object(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn hostile_updates_do_no_harm(updates in json()) {
            let _ = Tables::default().update(updates);
        }
    }
}
