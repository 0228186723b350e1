//! What a monitor is told of a row (RFC 7047, section 4.1.6; `ovsdb-server(7)`, section 4.1.14).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::database::{Database, Key, RowChange, RowData};
use super::monitor::{Event, Spec, Updates, Version, Watched};
use super::schema::TableSchema;
use crate::value::Uuid;

/// A row before and after, of which a monitor may see none, one or both.
struct Sight<'a> {
    table: &'a TableSchema,
    uuid: &'a Uuid,
    before: Option<&'a RowData>,
    after: Option<&'a RowData>,
}

impl Spec {
    /// What these changes mean to the monitor; `None` if nothing.
    pub(crate) fn updates(&self, changes: &[RowChange]) -> Option<Json> {
        let mut updates = Updates::default();
        for change in changes {
            let Some(watched) = self.tables.get(&change.table) else {
                continue;
            };
            let table = &self.schema.tables[change.table];
            let sees = |row: &&RowData| watched.sees(&change.uuid, row);
            let sight = Sight {
                table,
                uuid: &change.uuid,
                before: change.before.as_deref().filter(sees),
                after: change.after.as_deref().filter(sees),
            };
            if let Some(update) = watched.update(self.version, false, &sight) {
                updates.add(&table.name, change.uuid.to_string(), update);
            }
        }
        (!updates.is_empty()).then(|| updates.into_json())
    }

    /// All that the monitor sees now.
    pub(crate) fn initial(&self, database: &Database) -> Json {
        let mut updates = Updates::default();
        self.each_row(database, |table, watched, uuid, row| {
            let sight = Sight {
                table,
                uuid,
                before: None,
                after: Some(row).filter(|row| watched.sees(uuid, row)),
            };
            if let Some(update) = watched.update(self.version, true, &sight) {
                updates.add(&table.name, uuid.to_string(), update);
            }
        });
        updates.into_json()
    }

    /// What appears and disappears if these conditions take the place of those of `old`.
    pub(crate) fn in_place_of(&self, old: &Self, database: &Database) -> Option<Json> {
        let mut updates = Updates::default();
        for (number, watched) in &self.tables {
            let Some(former) = old.tables.get(number) else {
                continue;
            };
            if former.condition == watched.condition {
                continue;
            }
            let table = &self.schema.tables[*number];
            for (uuid, row) in &database.tables[*number] {
                let (before, after) = (former.sees(uuid, row), watched.sees(uuid, row));
                if before == after {
                    continue;
                }
                let sight = Sight {
                    table,
                    uuid,
                    before: before.then_some(row),
                    after: after.then_some(row),
                };
                if let Some(update) = watched.update(self.version, false, &sight) {
                    updates.add(&table.name, uuid.to_string(), update);
                }
            }
        }
        (!updates.is_empty()).then(|| updates.into_json())
    }

    fn each_row(
        &self,
        database: &Database,
        mut each: impl FnMut(&TableSchema, &Watched, &Uuid, &RowData),
    ) {
        for (number, watched) in &self.tables {
            for (uuid, row) in &database.tables[*number] {
                each(&self.schema.tables[*number], watched, uuid, row);
            }
        }
    }
}

impl Watched {
    fn sees(&self, uuid: &Uuid, row: &RowData) -> bool {
        self.condition.any(uuid, row)
    }

    fn update(&self, version: Version, initial: bool, sight: &Sight<'_>) -> Option<Json> {
        let event = match (sight.before, sight.after) {
            (None, None) => return None,
            (None, Some(_)) if initial => Event::Initial,
            (None, Some(_)) => Event::Insert,
            (Some(_), None) => Event::Delete,
            (Some(_), Some(_)) => Event::Modify,
        };
        if !self.select.has(event) || event == Event::Modify && !self.has_changed(sight) {
            return None;
        }
        Some(match version {
            Version::One => self.update_one(event, sight),
            Version::Two | Version::Three => self.update_two(event, sight),
        })
    }

    fn has_changed(&self, sight: &Sight<'_>) -> bool {
        let (Some(before), Some(after)) = (sight.before, sight.after) else {
            return true;
        };
        let mut columns = self.columns.iter();
        columns.any(|(column, _)| before.get(sight.uuid, *column) != after.get(sight.uuid, *column))
    }

    fn update_one(&self, event: Event, sight: &Sight<'_>) -> Json {
        let (mut old, mut new) = (Map::new(), Map::new());
        for (column, select) in &self.columns {
            if !select.has(event) {
                continue;
            }
            let name = sight.table.name_of(*column);
            let before = sight.before.map(|row| row.get(sight.uuid, *column));
            let after = sight.after.map(|row| row.get(sight.uuid, *column));
            if let Some(before) = &before
                && Some(before) != after.as_ref()
            {
                old.insert(name.to_owned(), before.to_json());
            }
            if let Some(after) = after {
                new.insert(name.to_owned(), after.to_json());
            }
        }
        match event {
            Event::Initial | Event::Insert => json!({ "new": new }),
            Event::Delete => json!({ "old": old }),
            Event::Modify => json!({ "old": old, "new": new }),
        }
    }

    fn update_two(&self, event: Event, sight: &Sight<'_>) -> Json {
        let columns = self.columns.iter();
        let columns = columns.filter(|(_, select)| select.has(event));
        let row: Map<String, Json> = columns
            .filter_map(|(column, _)| {
                let kind = sight.table.kind_of(*column);
                let after = sight.after?.get(sight.uuid, *column);
                let shown = match sight.before {
                    None => (!after.is_default(kind)).then(|| after.to_json()),
                    Some(before) => {
                        let before = before.get(sight.uuid, *column);
                        (before != after).then(|| before.difference(&after, kind).to_json())
                    }
                };
                Some((sight.table.name_of(*column).to_owned(), shown?))
            })
            .collect();
        match event {
            Event::Initial => json!({ "initial": row }),
            Event::Insert => json!({ "insert": row }),
            Event::Delete => json!({ "delete": null }),
            Event::Modify => json!({ "modify": row }),
        }
    }
}

/// Several transactions as one.
pub(crate) fn merge<'a>(changes: impl Iterator<Item = &'a RowChange>) -> Vec<RowChange> {
    let mut merged: BTreeMap<Key, RowChange> = BTreeMap::new();
    for change in changes {
        let one = merged
            .entry((change.table, change.uuid.clone()))
            .or_insert_with(|| change.clone());
        one.after.clone_from(&change.after);
    }
    let differs = |change: &RowChange| match (&change.before, &change.after) {
        (None, None) => false,
        (Some(before), Some(after)) => !Arc::ptr_eq(before, after),
        _ => true,
    };
    merged.into_values().filter(differs).collect()
}
