//! The cache: how full it is and how useful, and emptying it.

use std::time::Duration;

use cache::{Kind, Removed};
use reconcile::{Change, Plan, Verb};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::call::Call;
use crate::error::ToolError;
use crate::tool::{Domain, Tool};

/// How many seconds a day has.
const DAY: u64 = 24 * 3600;

#[derive(Deserialize, JsonSchema)]
struct Nothing {}

/// A directory of the cache.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Which {
    /// Vectors of texts.
    Embeddings,
    /// Answers to questions.
    Queries,
    /// Anything else.
    Blocks,
}

impl Which {
    fn kind(self) -> Kind {
        match self {
            Self::Embeddings => Kind::Embeddings,
            Self::Queries => Kind::Queries,
            Self::Blocks => Kind::Blocks,
        }
    }
}

#[derive(Deserialize, JsonSchema)]
struct Clear {
    /// Only this; without it everything.
    #[serde(default)]
    kind: Option<Which>,
}

#[derive(Deserialize, JsonSchema)]
struct Clean {
    /// What was not used for so many days goes; without it as the declaration says.
    #[serde(default)]
    #[schemars(range(max = 36500))]
    days: Option<u32>,
}

#[derive(Serialize, JsonSchema)]
struct Stats {
    /// What is kept, and how often it was of use since this process began to use it.
    kinds: Vec<Stock>,
    /// Bytes in memory.
    memory_bytes: u64,
    /// The most bytes in memory.
    memory_bound: u64,
    /// The most bytes on disk.
    disk_bound: u64,
    /// How many days something may go unused.
    days: u64,
    /// The model whose vectors are kept.
    model: ModelState,
    /// Where threads work.
    numa: NumaState,
}

#[derive(Serialize, JsonSchema)]
struct Stock {
    /// The name of the directory.
    kind: &'static str,
    /// How many things are known.
    entries: u64,
    /// Bytes of their content, before the file system compresses it.
    bytes: u64,
    /// Found in memory.
    memory_hits: u64,
    /// Found on disk.
    disk_hits: u64,
    /// Not found.
    misses: u64,
    /// The part that was found, 0 to 1.
    hit_rate: Option<f64>,
}

#[derive(Serialize, JsonSchema)]
struct ModelState {
    /// Its name; none where none is declared or it cannot be used.
    id: Option<String>,
    /// Why it is not used.
    error: Option<String>,
    /// The process that runs it; none while nothing is embedded.
    process: Option<u32>,
    /// How many texts that process embeds side by side.
    threads: Option<usize>,
}

#[derive(Serialize, JsonSchema)]
struct NumaState {
    /// What is done, in words.
    state: String,
    /// The nodes of this machine.
    nodes: Vec<NodeState>,
    /// Where a thread that was placed now is, as the kernel says; none where threads are not placed.
    placed: Option<PlacedState>,
}

#[derive(Serialize, JsonSchema)]
struct NodeState {
    /// Its number.
    id: u32,
    /// Its processors, as ranges.
    processors: String,
    /// Its memory.
    memory_bytes: u64,
    /// What of it is free.
    free_bytes: u64,
    /// How far each node is, by number: 10 is local.
    distances: std::collections::BTreeMap<String, u32>,
}

#[derive(Serialize, JsonSchema)]
struct PlacedState {
    /// The node that was chosen.
    node: u32,
    /// The processors that the thread may use.
    processors: String,
    /// Where its memory comes from.
    memory: String,
}

#[derive(Serialize, JsonSchema)]
struct Gone {
    /// Things that are no longer known.
    entries: u64,
    /// Bytes of files that are no longer there.
    bytes: u64,
    /// Files that nothing referred to.
    orphans: u64,
    /// Files that were missing or not as they had been written.
    damaged: u64,
    /// `changed`, or `unchanged` if there was nothing to take out.
    outcome: &'static str,
}

pub(super) fn tools() -> Vec<Tool> {
    let domain = Domain::Cache;
    vec![
        Tool::read(
            domain,
            "cache_stats",
            "Show the cache",
            "Shows what is kept of what was computed, how often it was of use, the model, and on which NUMA nodes threads \
             work.",
            stats,
        )
.says(&["show the cache", "how well does the cache work?"])
        .example(json!({})),
        Tool::write(
            domain,
            "cache_clear",
            "Clear the cache",
            "Takes everything out of the cache, or all of one kind. It is computed again when it is needed.",
            |_, input: Clear| Ok(plan("clear", json!({ "kind": input.kind }))),
            |call, input: Clear| {
                let kind = input.kind.map(Which::kind);
                call.site.cache()?.clear(kind).map(gone).map_err(failed)
            },
        )
.says(&["clear the cache", "empty the cache"])
        .example(json!({ "kind": "queries" })),
        Tool::write(
            domain,
            "cache_clean",
            "Clean the cache",
            "Takes out of the cache what is too old or too much, what is damaged, and files that nothing refers to. Each \
             file is read.",
            |_, input: Clean| Ok(plan("clean", json!({ "days": input.days }))),
            clean,
        )
.says(&["clean the cache", "clean the cache of what is older than 30 days"])
        .example(json!({ "days": 30 })),
    ]
}

fn stats(call: &Call<'_>, _: Nothing) -> Result<Stats, ToolError> {
    let cache = call.site.cache()?;
    let kinds = cache.stock().map_err(failed)?.into_iter();
    let kinds = kinds.map(|(kind, stock)| {
        let counts = cache.tally().of(kind);
        Stock {
            kind: kind.name(),
            entries: stock.entries,
            bytes: stock.bytes,
            memory_hits: counts.memory,
            disk_hits: counts.disk,
            misses: counts.misses,
            hit_rate: counts.hit_rate(),
        }
    });
    let bounds = cache.bounds();
    Ok(Stats {
        kinds: kinds.collect(),
        memory_bytes: cache.memory_bytes(),
        memory_bound: bounds.memory,
        disk_bound: bounds.disk,
        days: bounds.age.as_secs() / DAY,
        model: model(call),
        numa: numa_state(call)?,
    })
}

fn model(call: &Call<'_>) -> ModelState {
    let (id, error) = match call.site.model() {
        Ok(model) => (model.map(|model| model.id().to_string()), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let process = call.site.model_process();
    ModelState {
        id,
        error,
        process: process.map(|(process, _)| process),
        threads: process.map(|(_, threads)| threads),
    }
}

fn numa_state(call: &Call<'_>) -> Result<NumaState, ToolError> {
    let placer = call.site.placer()?;
    // A thread of its own is placed and asked, so that this one stays where it is.
    let placed = match placer.is_active() {
        false => None,
        true => {
            let placed = std::thread::scope(|scope| scope.spawn(|| placer.place()).join());
            placed
                .map_err(|_| ToolError::Failed("place a thread".to_owned()))?
                .map_err(|error| ToolError::failed("place a thread", error))?
        }
    };
    let nodes = placer.topology().nodes().iter().map(|node| NodeState {
        id: node.id,
        processors: node.cpus.to_string(),
        memory_bytes: node.memory,
        free_bytes: node.free,
        distances: node
            .distances
            .iter()
            .map(|(node, distance)| (node.to_string(), *distance))
            .collect(),
    });
    Ok(NumaState {
        state: placer.to_string(),
        nodes: nodes.collect(),
        placed: placed.map(|placed| PlacedState {
            node: placed.node,
            processors: placed.cpus.to_string(),
            memory: placed.memory.to_string(),
        }),
    })
}

fn clean(call: &Call<'_>, input: Clean) -> Result<Gone, ToolError> {
    let cache = call.site.cache()?;
    let age = input.days.map_or(cache.bounds().age, |days| {
        Duration::from_secs(u64::from(days) * DAY)
    });
    cache.clean(age).map(gone).map_err(failed)
}

fn gone(removed: Removed) -> Gone {
    Gone {
        entries: removed.entries,
        bytes: removed.bytes,
        orphans: removed.orphans,
        damaged: removed.damaged,
        outcome: match removed == Removed::default() {
            true => "unchanged",
            false => "changed",
        },
    }
}

fn plan(what: &str, after: Value) -> Plan {
    Plan {
        changes: vec![Change::new("cache", what, Verb::Update, Value::Null, after)],
        notes: Vec::new(),
    }
}

fn failed(error: cache::Error) -> ToolError {
    ToolError::Failed(error.to_string())
}
