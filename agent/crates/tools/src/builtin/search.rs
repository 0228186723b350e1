//! Search: entries of the ledger by time, name, words and likeness together.

use std::ops::ControlFlow;

use cache::{Key, Kind};
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

/// How many entries a model embeds while somebody waits for an answer: about a second's work.
const AT_ONCE: i64 = 200;

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

/// An answer without the entries, which are read again each time.
#[derive(Serialize, Deserialize)]
struct Kept {
    understood: serde_json::Map<String, Value>,
    passing: usize,
    hits: Vec<KeptHit>,
}

#[derive(Serialize, Deserialize)]
struct KeptHit {
    id: i64,
    score: f64,
    why: serde_json::Map<String, Value>,
}

impl Kept {
    fn of(answer: Answer) -> Result<Self, ToolError> {
        let hits = answer.hits.iter().map(|hit| {
            Ok(KeptHit {
                id: hit.id,
                score: hit.score,
                why: map(&hit.why)?,
            })
        });
        Ok(Self {
            understood: map(&answer.understood)?,
            passing: answer.passing,
            hits: hits.collect::<Result<_, ToolError>>()?,
        })
    }

    /// Whether it is the same tomorrow.
    fn is_timeless(&self) -> bool {
        let is_none = |key| self.understood.get(key).is_none_or(Value::is_null);
        is_none("since") && is_none("until")
    }
}

#[derive(Deserialize, JsonSchema)]
struct Nothing {}

/// What was done for the index.
#[derive(Serialize, JsonSchema)]
struct Indexed {
    /// The model whose vectors are complete now.
    model: String,
    /// Entries taken in.
    taken_in: usize,
    /// What to know of it.
    notes: Vec<String>,
}

pub(super) fn tools() -> Vec<Tool> {
    vec![
        Tool::read(
            Domain::Ledger,
            "search_index",
            "Complete the search index",
            "Takes all entries of the ledger into the search index, with vectors of the declared model. Goes on where it \
             was stopped, and leaves the ledger as it is. Vectors of models that are no longer declared go.",
            reindex,
        )
.says(&["reindex the ledger", "complete the search index"])
        .for_role(crate::caller::Role::Operator)
        .example(json!({})),
        Tool::read(
            Domain::Ledger,
            "search",
            "Search the ledger",
            "Finds entries of the ledger by a question in words. Times (yesterday, last week, since Monday, \
             2026-01..2026-03), operations, targets, people and outcomes in it are filters; the rest is matched by words \
             and by likeness. Says how the question was understood, and why each entry was found.",
            find,
        )
.says(&["what containers were created yesterday?", "who deleted web-01?", "what failed since Monday?", "search the ledger for \"disk full\""])
        .example(json!({ "query": "containers created last week" }))
        .example(json!({ "query": "what failed on web-01 since Monday", "limit": 5 })),
    ]
}

fn find(call: &Call<'_>, input: Search) -> Result<Found, ToolError> {
    let ledger = call.site.ledger()?;
    let source = Entries(&ledger);
    let index = index(call.site)?;
    let mut notes = Vec::new();
    let limit = input.limit.unwrap_or(LIMIT).clamp(1, 100);
    let model = call.site.model().unwrap_or_else(|error| {
        notes.push(format!("not by the declared model: {error}"));
        None
    });
    let key = key(&source, model.as_deref(), &input.query, limit)?;
    // A bad declaration has no bounds to keep to, and the index answers all the same.
    let cache = call.site.cache().ok();
    if notes.is_empty()
        && let Some(cache) = &cache
        && let Some((kept, _)) = cache.get(Kind::Queries, key)
        && let Ok(answer) = serde_json::from_slice::<Kept>(&kept)
    {
        return show(&ledger, answer, notes);
    }
    take_in(&index, &source, model.as_deref(), call, &mut notes)?;
    call.check()?;
    let mut models: Vec<&dyn Embedder> = Vec::new();
    models.extend(model.as_deref());
    models.push(&BuiltIn);
    let likeness = Likeness::by(&models);
    let answer = index
        .search(&source, &likeness, &input.query, &Zoned::now(), limit)
        .map_err(failed)?;
    notes.extend(behind(&index, &source));
    notes.extend(answer.notes.iter().cloned());
    let answer = Kept::of(answer)?;
    if let Some(cache) = &cache
        && notes.is_empty()
        && answer.is_timeless()
    {
        let bytes = serde_json::to_vec(&answer);
        cache.put(Kind::Queries, key, bytes.unwrap_or_default());
    }
    show(&ledger, answer, notes)
}

/// Takes in what was recorded since the last time. A model that lacks many entries is left to the daemon, or to
/// `search_index`: the built-in embedding answers until it has them.
fn take_in(
    index: &EntryIndex,
    source: &Entries<'_>,
    model: Option<&dyn Embedder>,
    call: &Call<'_>,
    notes: &mut Vec<String>,
) -> Result<(), ToolError> {
    let lacking = |model: &dyn Embedder| lacking(index, source, model);
    if let Some(model) = model {
        match lacking(model)? {
            lacking if lacking > AT_ONCE => notes.push(format!(
                "the model has still to read {lacking} entries: the daemon lets it, or `op-dbus search --reindex`"
            )),
            _ => match grow(index, source, model, call) {
                Ok(growth) => {
                    notes.extend(told(&growth));
                    return Ok(());
                }
                Err(EntryError::Absent { .. }) => return Ok(()),
                Err(error) => notes.push(format!("not by the declared model: {error}")),
            },
        }
    }
    match grow(index, source, &BuiltIn, call) {
        Ok(growth) => notes.extend(told(&growth)),
        // A reader without rights asks what somebody else made.
        Err(EntryError::Absent { .. }) => {}
        Err(error) => return Err(failed(error)),
    }
    Ok(())
}

/// How many entries have no vector of a model yet.
pub(crate) fn lacking(
    index: &EntryIndex,
    source: &Entries<'_>,
    model: &dyn Embedder,
) -> Result<i64, ToolError> {
    let head = source
        .head()
        .map_err(|error| ToolError::Failed(error.0))?
        .id;
    let last = match index.status(source) {
        Ok(status) => {
            let id = model.id();
            let mut models = status.vectors.into_iter();
            let last = models.find(|(model, _)| model == id.as_str());
            last.map_or(-1, |(_, last)| last)
        }
        // Absent or damaged: it is made anew.
        Err(_) => -1,
    };
    Ok(head - last)
}

/// What an answer is found by: the question, the end of the chain, and the model.
fn key(
    source: &Entries<'_>,
    model: Option<&dyn Embedder>,
    query: &str,
    limit: usize,
) -> Result<Key, ToolError> {
    let head = source.head().map_err(|error| ToolError::Failed(error.0))?;
    let model = model.map_or_else(|| BuiltIn.id(), Embedder::id);
    Ok(Key::of([
        "search-1",
        query,
        &limit.to_string(),
        &head.id.to_string(),
        &head.hash,
        model.as_str(),
    ]))
}

fn reindex(call: &Call<'_>, _: Nothing) -> Result<Indexed, ToolError> {
    let ledger = call.site.ledger()?;
    let source = Entries(&ledger);
    let index = index(call.site)?;
    let model = call.site.model()?;
    let embedder = model.as_deref().unwrap_or(&BuiltIn);
    let growth = grow(&index, &source, embedder, call).map_err(failed)?;
    call.check()?;
    // Vectors of a model that was there before are of no use to anybody.
    let keep = [embedder.id(), BuiltIn.id()];
    index.forget_others(&source, &keep).map_err(failed)?;
    Ok(Indexed {
        model: embedder.id().to_string(),
        taken_in: growth.taken_in,
        notes: told(&growth),
    })
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

fn show(ledger: &Ledger, answer: Kept, notes: Vec<String>) -> Result<Found, ToolError> {
    let mut hits = Vec::new();
    for hit in answer.hits {
        let entry = match ledger.get(hit.id) {
            // Tampered with since the answer was kept: it is left out, as it would be now.
            Err(ledger::Error::Unreadable { .. }) => None,
            read => read?,
        };
        if let Some(entry) = entry {
            hits.push(Hit {
                id: hit.id,
                score: hit.score,
                why: hit.why,
                entry: map(&entry)?,
            });
        }
    }
    Ok(Found {
        understood: answer.understood,
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
