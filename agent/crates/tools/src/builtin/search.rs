//! Search: entries of the ledger by time, name, words and likeness together.

use std::ops::ControlFlow;

use jiff::Zoned;
use ledger::{Entry, Filter, Ledger};
use schemars::JsonSchema;
use search::entries::{
    Answer, Batch, EntryError, EntryIndex, Growth, Likeness, Mark, Record, Source, SourceError,
};
use search::{BuiltIn, Embedder};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::call::Call;
use crate::engine::Site;
use crate::error::ToolError;
use crate::tool::{Domain, Tool};

/// How many entries an answer has at most, unless it is said.
const LIMIT: usize = 10;

#[derive(Deserialize, JsonSchema)]
struct Search {
    /// What is looked for, as one would say it: `containers created last week`, `what failed since Monday`, `web-01
    /// before 2026-02`.
    #[schemars(length(max = 1000))]
    query: String,
    /// How many entries at most.
    #[serde(default)]
    #[schemars(range(min = 1, max = 100))]
    limit: Option<usize>,
}

#[derive(Serialize, JsonSchema)]
struct Found {
    /// What the question was taken to mean: filters, and the words that are looked for.
    understood: serde_json::Map<String, Value>,
    /// What to know of the answer, such as a filter that was given up since nothing passes it.
    notes: Vec<String>,
    /// How many entries pass the filters.
    passing: usize,
    /// The entries, best first.
    hits: Vec<Hit>,
}

#[derive(Serialize, JsonSchema)]
struct Hit {
    /// The entry's id.
    id: i64,
    /// How well it matches, by the ranks of words and of likeness; 0 where only filters were asked.
    score: f64,
    /// Why it was found: filters that it passes, words that it shares, how alike it is.
    why: serde_json::Map<String, Value>,
    /// The entry, as it is in the chain.
    entry: serde_json::Map<String, Value>,
}

pub(super) fn tools() -> Vec<Tool> {
    vec![
        Tool::read(
            Domain::Ledger,
            "search",
            "Search the ledger",
            "Finds entries of the ledger by a question in words. Times (yesterday, last week, since Monday, \
             2026-01..2026-03), operations, targets, people and outcomes in it are filters; the rest is matched by words \
             and by likeness. Says how the question was understood, and why each entry was found.",
            find,
        )
        .example(json!({ "query": "containers created last week" }))
        .example(json!({ "query": "what failed on web-01 since Monday", "limit": 5 })),
    ]
}

fn find(call: &Call<'_>, input: Search) -> Result<Found, ToolError> {
    let ledger = call.site.ledger()?;
    let source = Entries(&ledger);
    let index = index(call.site)?;
    let mut notes = Vec::new();
    match grow(&index, &source, &BuiltIn, call) {
        Ok(growth) => notes.extend(told(&growth)),
        // A reader without rights asks what somebody else made.
        Err(EntryError::Absent { .. }) => {}
        Err(error) => return Err(failed(error)),
    }
    call.check()?;
    let models: [&dyn Embedder; 1] = [&BuiltIn];
    let limit = input.limit.unwrap_or(LIMIT).clamp(1, 100);
    let likeness = Likeness::by(&models);
    let answer = index
        .search(&source, &likeness, &input.query, &Zoned::now(), limit)
        .map_err(failed)?;
    notes.extend(behind(&index, &source));
    show(&ledger, answer, notes)
}

/// The index beside the ledger.
pub(crate) fn index(site: &Site) -> Result<EntryIndex, ToolError> {
    let dir = site.paths()?.vectors();
    match dir.is_dir() {
        true => Ok(EntryIndex::new(dir)),
        false => Err(ToolError::Unavailable(format!(
            "there is no place for the search index at {}: `op-dbus apply` makes it",
            dir.display()
        ))),
    }
}

/// Takes in what was recorded since the last time, unless the call is taken back meanwhile.
pub(crate) fn grow(
    index: &EntryIndex,
    source: &Entries<'_>,
    embedder: &dyn Embedder,
    call: &Call<'_>,
) -> Result<Growth, EntryError> {
    index.grow(source, embedder, &mut |progress| {
        if progress.done < progress.total {
            call.progress("index the ledger: entries", progress.done, progress.total);
        }
        match call.check() {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    })
}

fn told(growth: &Growth) -> Vec<String> {
    let rebuilt = growth.rebuilt.iter();
    rebuilt
        .map(|reason| format!("made anew: {reason}"))
        .collect()
}

/// What the index still lacks, where it may not be written to.
fn behind(index: &EntryIndex, source: &Entries<'_>) -> Option<String> {
    let status = index.status(source).ok()?;
    let behind = status.head - status.words;
    (behind > 0).then(|| format!("the last {behind} entries are not in the index yet"))
}

fn show(ledger: &Ledger, answer: Answer, mut notes: Vec<String>) -> Result<Found, ToolError> {
    notes.extend(answer.notes);
    let mut hits = Vec::new();
    for hit in answer.hits {
        if let Some(entry) = ledger.get(hit.id)? {
            hits.push(Hit {
                id: hit.id,
                score: hit.score,
                why: map(&hit.why)?,
                entry: map(&entry)?,
            });
        }
    }
    Ok(Found {
        understood: map(&answer.understood)?,
        notes,
        passing: answer.passing,
        hits,
    })
}

fn map(value: &impl Serialize) -> Result<serde_json::Map<String, Value>, ToolError> {
    match serde_json::to_value(value) {
        Ok(Value::Object(map)) => Ok(map),
        other => Err(ToolError::Failed(format!("write the answer: {other:?}"))),
    }
}

pub(crate) fn failed(error: EntryError) -> ToolError {
    match error {
        EntryError::Absent { .. } => ToolError::Unavailable(error.to_string()),
        other => ToolError::Failed(other.to_string()),
    }
}

/// The entries of a ledger, for the index.
pub(crate) struct Entries<'a>(pub(crate) &'a Ledger);

fn record(entry: Entry) -> Record {
    Record {
        id: entry.id,
        timestamp: entry.timestamp,
        operation: entry.operation,
        target: entry.target,
        metadata: entry.metadata,
    }
}

fn unreadable(error: ledger::Error) -> SourceError {
    SourceError(error.to_string())
}

impl Entries<'_> {
    fn read(&self, after: i64, limit: usize) -> ledger::Result<Vec<Entry>> {
        self.0.query(&Filter {
            after_id: Some(after),
            limit: Some(limit),
            ..Filter::default()
        })
    }
}

impl Source for Entries<'_> {
    fn after(&self, after: i64, limit: usize) -> Result<Option<Batch>, SourceError> {
        let entries = match self.read(after, limit) {
            // An entry that was tampered with is left out; verification says more about it.
            Err(ledger::Error::Unreadable { id, .. }) => {
                let before = usize::try_from(id - after - 1).unwrap_or(0);
                let mut entries = match before {
                    0 => Vec::new(),
                    before => self.read(after, before.min(limit)).map_err(unreadable)?,
                };
                entries.retain(|entry| entry.id < id);
                if entries.is_empty() {
                    let last = Mark {
                        id,
                        hash: self.hash(id)?.unwrap_or_default(),
                    };
                    return Ok(Some(Batch {
                        records: Vec::new(),
                        last,
                    }));
                }
                entries
            }
            read => read.map_err(unreadable)?,
        };
        let last = entries.last().map(|entry| Mark {
            id: entry.id,
            hash: entry.current_hash.to_string(),
        });
        let records = entries.into_iter().map(record).collect();
        Ok(last.map(|last| Batch { records, last }))
    }

    fn get(&self, id: i64) -> Result<Option<Record>, SourceError> {
        match self.0.get(id) {
            Err(ledger::Error::Unreadable { .. }) => Ok(None),
            read => Ok(read.map_err(unreadable)?.map(record)),
        }
    }

    fn hash(&self, id: i64) -> Result<Option<String>, SourceError> {
        match self.0.get(id) {
            Err(ledger::Error::Unreadable { .. }) => Ok(None),
            read => Ok(read
                .map_err(unreadable)?
                .map(|entry| entry.current_hash.to_string())),
        }
    }

    fn head(&self) -> Result<Mark, SourceError> {
        let head = self.0.head().map_err(unreadable)?;
        Ok(Mark {
            id: head.id,
            hash: head.hash.to_string(),
        })
    }
}
