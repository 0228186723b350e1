//! The ledger: log, show, verify.

use ledger::{Entry, Expectations, Filter};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::proof;
use crate::call::Call;
use crate::error::ToolError;
use crate::tool::{Domain, Tool};

#[derive(Deserialize, JsonSchema)]
struct Log {
    /// Not before this time, in seconds since 1970-01-01 UTC.
    #[serde(default)]
    since: Option<i64>,
    /// Not after this time, in seconds since 1970-01-01 UTC.
    #[serde(default)]
    until: Option<i64>,
    /// Only this operation, such as `container_create`.
    #[serde(default)]
    operation: Option<String>,
    /// Only this target, such as the name of a container.
    #[serde(default)]
    target: Option<String>,
    /// Only what this person asked for, by login name.
    #[serde(default)]
    actor: Option<String>,
    /// Only this run.
    #[serde(default)]
    run: Option<String>,
    /// Only entries after this id, oldest first. Without it the newest come first.
    #[serde(default)]
    after: Option<i64>,
    /// Only entries before this id: `next_cursor` of the page before.
    #[serde(default)]
    cursor: Option<String>,
    /// How many entries at most.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
}

#[derive(Serialize, JsonSchema)]
struct Entries {
    /// The entries, each as it is in the chain.
    #[schemars(with = "Vec<serde_json::Map<String, Value>>")]
    entries: Vec<Value>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct Show {
    /// The entry's id.
    id: i64,
}

/// One entry, whole.
#[derive(Serialize, JsonSchema)]
struct Shown {
    /// Its place in the chain.
    id: i64,
    /// What it is, with the hash that binds it to the one before.
    #[serde(flatten)]
    entry: serde_json::Map<String, Value>,
}

#[derive(Deserialize, JsonSchema)]
struct Verify {
    /// A hash that must be in the chain: finds a cut tail.
    #[serde(default)]
    expect_head: Option<String>,
    /// A checkpoint that was kept elsewhere, or that a witness has: its text.
    #[serde(default)]
    checkpoint: Option<String>,
    /// The ledger's public key; without it the host's own.
    #[serde(default)]
    key: Option<String>,
    /// Public keys of witnesses, beside those that are declared.
    #[serde(default)]
    witness_keys: Vec<String>,
}

/// What the verification of the chain, and of all that was published of it, found.
#[derive(Serialize, JsonSchema)]
struct Verified {
    /// The chain is whole, and nothing contradicts it.
    valid: bool,
    /// What is wrong, in sentences.
    wrong: Vec<String>,
    /// What holds, in words.
    holds: String,
    #[serde(flatten)]
    found: serde_json::Map<String, Value>,
}

pub(super) fn tools() -> Vec<Tool> {
    let domain = Domain::Ledger;
    vec![
        Tool::read(
            domain,
            "ledger_log",
            "List ledger entries",
            "Lists what was asked and done on this host, by whom and how it ended, newest first.",
            log,
        )
.says(&["show the ledger", "last 10 ledger entries", "ledger since yesterday", "show the history of web-01"])
        .example(json!({ "limit": 20 }))
        .example(json!({ "operation": "container_create", "target": "web-01" })),
        Tool::read(
            domain,
            "ledger_show",
            "Show a ledger entry",
            "Shows one entry of the ledger, whole, with its hash.",
            show,
        )
.says(&["show ledger entry 17", "ledger entry 17"])
        .example(json!({ "id": 1 })),
        Tool::read(
            domain,
            "ledger_verify",
            "Verify the ledger",
            "Computes the whole chain and its tree again, compares them with what was signed and cosigned, and says \
             whether every entry is as it was written, and by whose word.",
            verify,
        )
.says(&["verify the ledger", "has the ledger been tampered with?"])
        .example(json!({})),
    ]
}

fn map(value: impl Serialize) -> Result<serde_json::Map<String, Value>, ToolError> {
    match serde_json::to_value(value) {
        Ok(Value::Object(map)) => Ok(map),
        other => Err(ToolError::Failed(format!("write an entry: {other:?}"))),
    }
}

fn log(call: &Call<'_>, input: Log) -> Result<Entries, ToolError> {
    let before = match &input.cursor {
        None => None,
        Some(cursor) => Some(cursor.parse::<i64>().map_err(|_| {
            ToolError::Invalid(format!(
                "`{cursor}` is no cursor: take `next_cursor` from the page before"
            ))
        })?),
    };
    let limit = input.limit.unwrap_or(50).clamp(1, 1000);
    let filter = Filter {
        since: input.since,
        until: input.until,
        operation: input.operation,
        target: input.target,
        run: input.run,
        actor: input.actor,
        after_id: input.after,
        before_id: before,
        limit: Some(limit + 1),
        newest_first: input.after.is_none(),
    };
    let mut entries = call.site.ledger()?.query(&filter)?;
    let more = entries.len() > limit;
    entries.truncate(limit);
    let next_cursor = entries
        .last()
        .filter(|_| more && input.after.is_none())
        .map(|entry: &Entry| entry.id.to_string());
    Ok(Entries {
        entries: entries.iter().map(|entry| json!(entry)).collect(),
        next_cursor,
    })
}

fn show(call: &Call<'_>, input: Show) -> Result<Shown, ToolError> {
    let ledger = call.site.ledger()?;
    let Some(entry) = ledger.get(input.id)? else {
        return Err(ToolError::NotFound(format!(
            "the ledger has no entry {}; its last one is {}",
            input.id,
            ledger.head()?.id
        )));
    };
    let mut entry = map(entry)?;
    entry.remove("id");
    Ok(Shown {
        id: input.id,
        entry,
    })
}

fn verify(call: &Call<'_>, input: Verify) -> Result<Verified, ToolError> {
    let known = Expectations {
        head: input.expect_head,
        key: input.key.as_deref().map(proof::key).transpose()?,
        witnesses: proof::keys(&input.witness_keys)?,
        checkpoint: input
            .checkpoint
            .as_deref()
            .map(proof::checkpoint)
            .transpose()?,
    };
    let found = call.site.audit(&call.site.ledger()?, known)?;
    let mut map = map(&found)?;
    map.remove("valid");
    Ok(Verified {
        valid: found.valid,
        wrong: found.wrong(),
        holds: found.guarantee.to_string(),
        found: map,
    })
}
