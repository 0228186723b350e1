//! Which entries to show.

use rusqlite::types::Value;

use crate::entry::Entry;

/// Which entries to show; everything that is set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Recorded then or later, in seconds since 1970-01-01 UTC.
    pub since: Option<i64>,
    /// Recorded then or earlier, in seconds since 1970-01-01 UTC.
    pub until: Option<i64>,
    /// With exactly that operation.
    pub operation: Option<String>,
    /// With exactly that target.
    pub target: Option<String>,
    /// With that text as `run` in the metadata.
    pub run: Option<String>,
    /// With that text as `actor.name` in the metadata.
    pub actor: Option<String>,
    /// With a greater id.
    pub after_id: Option<i64>,
    /// With a smaller id.
    pub before_id: Option<i64>,
    /// At most so many: the first ones in the order that is asked for.
    pub limit: Option<usize>,
    /// From the last entry to the first, instead of from the first to the last.
    pub newest_first: bool,
}

impl Filter {
    /// The query and its values.
    pub(crate) fn select(&self) -> (String, Vec<Value>) {
        let text = |text: &Option<String>| text.clone().map(Value::Text);
        let conditions = [
            ("timestamp >= ?", self.since.map(Value::Integer)),
            ("timestamp <= ?", self.until.map(Value::Integer)),
            ("operation = ?", text(&self.operation)),
            ("target = ?", text(&self.target)),
            // A tampered row may hold anything; CASE does not look at it as JSON then.
            (
                "CASE WHEN json_valid(metadata) THEN metadata ->> '$.run' = ? END",
                text(&self.run),
            ),
            (
                "CASE WHEN json_valid(metadata) THEN metadata ->> '$.actor.name' = ? END",
                text(&self.actor),
            ),
            ("id > ?", self.after_id.map(Value::Integer)),
            ("id < ?", self.before_id.map(Value::Integer)),
        ];
        let mut select = format!("SELECT {} FROM operations", Entry::COLUMNS);
        let mut values = Vec::new();
        for (condition, value) in conditions {
            let Some(value) = value else { continue };
            select.push_str(if values.is_empty() {
                " WHERE "
            } else {
                " AND "
            });
            select.push_str(condition);
            values.push(value);
        }
        select.push_str(if self.newest_first {
            " ORDER BY id DESC"
        } else {
            " ORDER BY id"
        });
        if let Some(limit) = self.limit {
            select.push_str(" LIMIT ?");
            values.push(Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX)));
        }
        (select, values)
    }
}
