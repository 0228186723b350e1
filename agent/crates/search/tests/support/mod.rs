//! A ledger in memory.

use search::entries::{Batch, Mark, Record, Source, SourceError};
use serde_json::{Value, json};

/// Records whose hashes are made of a name for the chain and their id.
pub(crate) struct Chain {
    pub(crate) name: &'static str,
    pub(crate) records: Vec<Record>,
}

impl Chain {
    pub(crate) fn new(records: Vec<Record>) -> Self {
        Self {
            name: "one",
            records,
        }
    }

    fn mark(&self, id: i64) -> Mark {
        Mark {
            id,
            hash: format!("{}-{id}", self.name),
        }
    }
}

impl Source for Chain {
    fn after(&self, after: i64, limit: usize) -> Result<Option<Batch>, SourceError> {
        let begin = self.records.partition_point(|record| record.id <= after);
        let records: Vec<_> = self.records[begin..].iter().take(limit).cloned().collect();
        let last = records.last().map(|record| self.mark(record.id));
        Ok(last.map(|last| Batch { records, last }))
    }

    fn get(&self, id: i64) -> Result<Option<Record>, SourceError> {
        let place = self.records.binary_search_by_key(&id, |record| record.id);
        Ok(place.ok().map(|place| self.records[place].clone()))
    }

    fn hash(&self, id: i64) -> Result<Option<String>, SourceError> {
        Ok(self.get(id)?.map(|record| self.mark(record.id).hash))
    }

    fn head(&self) -> Result<Mark, SourceError> {
        Ok(self.mark(self.records.last().map_or(-1, |record| record.id)))
    }
}

/// A record of a call that was done.
pub(crate) fn record(
    id: i64,
    timestamp: i64,
    operation: &str,
    target: &str,
    arguments: Value,
) -> Record {
    Record {
        id,
        timestamp,
        operation: operation.to_owned(),
        target: target.to_owned(),
        metadata: json!({ "actor": { "name": "alice", "uid": 1000 }, "outcome": "done", "arguments": arguments }),
    }
}
