//! What is indexed, and where it comes from.

use serde_json::Value;

/// An entry as far as it can be searched.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its place in the chain.
    pub id: i64,
    /// When it was recorded, in seconds since 1970-01-01 UTC.
    pub timestamp: i64,
    /// What was done, such as `container_create`.
    pub operation: String,
    /// What it was done to, such as `web-01`.
    pub target: String,
    /// Who asked, how it ended, and whatever else is said of it.
    pub metadata: Value,
}

/// A place in the chain, with the hash that stands for everything up to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The id of the entry.
    pub id: i64,
    /// Its hash.
    pub hash: String,
}

/// Some records in a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Those that can be read, by id.
    pub records: Vec<Record>,
    /// The last one that was looked at, readable or not.
    pub last: Mark,
}

/// Why records could not be read, in words for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(pub String);

/// Where records come from. It only ever grows at its end, or is another one.
pub trait Source {
    /// At most `limit` records with a greater id than `after`; none when there are no more.
    ///
    /// # Errors
    ///
    /// Where the source as a whole cannot be read; a record that cannot be is left out.
    fn after(&self, after: i64, limit: usize) -> Result<Option<Batch>, SourceError>;

    /// The record with that id, if there is one that can be read.
    ///
    /// # Errors
    ///
    /// Where the source as a whole cannot be read.
    fn get(&self, id: i64) -> Result<Option<Record>, SourceError>;

    /// The hash of the entry with that id.
    ///
    /// # Errors
    ///
    /// Where the source as a whole cannot be read.
    fn hash(&self, id: i64) -> Result<Option<String>, SourceError>;

    /// The last entry.
    ///
    /// # Errors
    ///
    /// Where the source as a whole cannot be read.
    fn head(&self) -> Result<Mark, SourceError>;
}

/// What says nothing of what an entry is about.
const SILENT: [&str; 12] = [
    "actor",
    "deadline_ms",
    "duration_ms",
    "effect",
    "genesis_hash",
    "left_out_before",
    "outcome",
    "place",
    "plan_hash",
    "run",
    "uid",
    "pid",
];

/// Names of members that stand around what is said.
const FRAMES: [&str; 7] = [
    "after",
    "arguments",
    "before",
    "changes",
    "error",
    "reason",
    "state",
];

/// The longest text of one value, and of all, in characters.
const LONGEST: usize = 300;
const LONGEST_OF_ALL: usize = 2000;

impl Record {
    /// Who asked for it, by login name.
    pub fn actor(&self) -> Option<&str> {
        self.metadata.pointer("/actor/name")?.as_str()
    }

    /// How it ended, such as `done` or `failed`.
    pub fn outcome(&self) -> Option<&str> {
        self.metadata.get("outcome")?.as_str()
    }

    /// What is said of it besides operation and target, in words: errors first, then arguments and states.
    pub fn details(&self) -> String {
        let mut out = String::new();
        for first in ["error", "reason"] {
            if let Some(text) = self.metadata.get(first).and_then(Value::as_str) {
                push(&mut out, text);
            }
        }
        if let Some(all) = self.metadata.as_object() {
            let rest = all
                .iter()
                .filter(|(key, _)| !matches!(key.as_str(), "error" | "reason"));
            rest.for_each(|(key, value)| say(&mut out, key, value));
        }
        out
    }

    /// The whole of it as one text, which is what an embedding is made of.
    pub fn text(&self) -> String {
        let words = self.operation.replace('_', " ");
        let outcome = match self.outcome() {
            None | Some("done") => "",
            Some(outcome) => outcome,
        };
        format!("{words} {} {outcome} {}", self.target, self.details())
    }
}

fn say(out: &mut String, key: &str, value: &Value) {
    if SILENT.contains(&key) || out.len() > LONGEST_OF_ALL {
        return;
    }
    let name = |out: &mut String| {
        if !FRAMES.contains(&key) {
            push(out, &key.replace('_', " "));
        }
    };
    match value {
        Value::String(text) if !is_digest(text) => {
            name(out);
            push(out, text);
        }
        Value::Number(number) => {
            name(out);
            push(out, &number.to_string());
        }
        Value::Bool(true) => name(out),
        Value::Array(list) if !list.is_empty() => {
            name(out);
            list.iter().for_each(|value| say(out, "state", value));
        }
        Value::Object(map) => {
            if !map.is_empty() {
                name(out);
            }
            map.iter().for_each(|(key, value)| say(out, key, value));
        }
        _ => {}
    }
}

fn push(out: &mut String, text: &str) {
    if out.len() > LONGEST_OF_ALL {
        return;
    }
    if !out.is_empty() {
        out.push(' ');
    }
    out.extend(text.chars().take(LONGEST));
}

/// Long runs of hexadecimal digits are not looked for by their parts.
fn is_digest(text: &str) -> bool {
    text.len() >= 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn details_are_what_people_would_say() {
        let record = Record {
            id: 7,
            timestamp: 0,
            operation: "container_create".into(),
            target: "web-01".into(),
            metadata: json!({
                "actor": { "name": "alice", "uid": 1000 },
                "arguments": { "template": "debian-12", "memory": 512, "start": true, "force": false },
                "error": "no space left on device",
                "outcome": "failed",
                "duration_ms": 12,
                "plan_hash": "0123456789abcdef0123456789abcdef",
                "key": "0123456789abcdef0123456789abcdef",
            }),
        };
        let details = record.details();
        assert_eq!(
            details,
            "no space left on device memory 512 start template debian-12"
        );
        assert_eq!(
            record.text(),
            format!("container create web-01 failed {details}")
        );
        assert_eq!(
            (record.actor(), record.outcome()),
            (Some("alice"), Some("failed"))
        );
    }

    #[test]
    fn what_is_large_is_cut() {
        let list: Vec<_> = (0..10_000)
            .map(|n| json!({ "name": "x".repeat(1000), "n": n }))
            .collect();
        let record = Record {
            id: 1,
            timestamp: 0,
            operation: "a".into(),
            target: "b".into(),
            metadata: json!({ "arguments": list }),
        };
        assert!(record.details().len() < LONGEST_OF_ALL + LONGEST + 10);
    }
}
