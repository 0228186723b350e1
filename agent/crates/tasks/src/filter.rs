//! Which tasks are asked for.

use rusqlite::types::Value;

use crate::task::{State, TaskId};

/// Which tasks are asked for, the newest first.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only those of this owner.
    pub owner: Option<String>,
    /// Only those of this agent.
    pub agent: Option<String>,
    /// Only those in this state.
    pub state: Option<State>,
    /// Only those with a lower number.
    pub before: Option<TaskId>,
    /// So many at most.
    pub limit: usize,
}

impl Filter {
    /// The part of a query after the table, and its values.
    pub(crate) fn sql(&self) -> (String, Vec<Value>) {
        let mut values = Vec::new();
        let mut conditions = vec!["1"];
        let mut add = |condition, value: Option<Value>| {
            if let Some(value) = value {
                conditions.push(condition);
                values.push(value);
            }
        };
        add("owner = ?", self.owner.clone().map(Value::Text));
        add("agent = ?", self.agent.clone().map(Value::Text));
        let state = self.state.map(|state| Value::Text(state.word().to_owned()));
        add("state = ?", state);
        add("id < ?", self.before.map(|id| Value::Integer(id.0)));
        let limit = i64::try_from(self.limit).unwrap_or(i64::MAX);
        values.push(Value::Integer(limit));
        let sql = format!(
            "WHERE {} ORDER BY id DESC LIMIT ?",
            conditions.join(" AND ")
        );
        (sql, values)
    }
}
