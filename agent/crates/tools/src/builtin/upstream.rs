//! Calls of tools of upstream MCP servers: whether they may be made, and the record of those that were.
//!
//! The servers run beside the doors, with few rights, and not in the daemon. What the daemon has is the
//! declaration, the roles and the ledger; so a door asks here before a call goes out, and says how it ended.

use declaration::{LeastRole, Upstream, UpstreamEffect};
use ledger::Filter;
use reconcile::{Change, Plan, Verb};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::call::Call;
use crate::caller::Role;
use crate::error::ToolError;
use crate::tool::{Domain, Tool};

/// How many of a caller's last entries are looked at for a call: more than can be on their way at once.
const LOOKED_AT: usize = 1000;

#[derive(Deserialize, JsonSchema)]
struct Wanted {
    /// The server's prefix in the declaration.
    #[schemars(length(max = 16))]
    upstream: String,
    /// The tool, by the name that it has there.
    #[schemars(length(max = 256))]
    tool: String,
}

#[derive(Deserialize, JsonSchema)]
struct Announced {
    /// The server's prefix in the declaration.
    #[schemars(length(max = 16))]
    upstream: String,
    /// The tool, by the name that it has there.
    #[schemars(length(max = 256))]
    tool: String,
    /// A random name for this call, by which its outcome is found: 32 hexadecimal digits.
    #[serde(default)]
    #[schemars(regex(pattern = "^[0-9a-f]{32}$"))]
    call: Option<String>,
    /// The SHA-256 of the arguments, without what sounds like a secret, as canonical JSON (RFC 8785).
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    arguments_sha256: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    /// The server answered.
    Done,
    /// It did not, or with an error. Whether something was changed is not known.
    Failed,
}

// What only the ledger reads is a field all the same.
#[allow(dead_code)]
#[derive(Deserialize, JsonSchema)]
struct Ended {
    /// The server's prefix in the declaration.
    #[schemars(length(max = 16))]
    upstream: String,
    /// The tool, by the name that it has there.
    #[schemars(length(max = 256))]
    tool: String,
    /// The name that the call was announced by.
    #[schemars(regex(pattern = "^[0-9a-f]{32}$"))]
    call: String,
    /// How it ended.
    ended: Outcome,
    /// What the server or the connection said.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    error: Option<String>,
    /// How long it took, in milliseconds.
    duration_ms: u64,
}

#[derive(Serialize, JsonSchema)]
struct Permitted {
    /// How many seconds the call may take.
    timeout_seconds: u32,
}

#[derive(Serialize, JsonSchema)]
struct Recorded {
    /// The name of the call.
    call: String,
}

pub(super) fn tools() -> Vec<Tool> {
    let digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let call = "000102030405060708090a0b0c0d0e0f";
    vec![
        Tool::read(
            Domain::Mcp,
            "upstream_read",
            "Permit a reading call",
            "Says whether the caller may call a tool of an upstream MCP server that the declaration says only \
             reads. A door asks before it makes the call.",
            |call, wanted: Wanted| {
                let effect = UpstreamEffect::Read;
                let upstream = permitted(call, &wanted.upstream, &wanted.tool, effect)?;
                Ok(Permitted {
                    timeout_seconds: upstream.timeout,
                })
            },
        )
.says(&["upstream_read upstream=files tool=read_file", "call upstream_read"])
        .example(json!({ "upstream": "files", "tool": "read_file" })),
        Tool::write(
            Domain::Mcp,
            "upstream_write",
            "Announce a changing call",
            "Records that the caller calls a tool of an upstream MCP server that may change something. A door \
             announces the call here before it makes it, and does not make it if this is refused.",
            |call, announced: Announced| preview(call, &announced, UpstreamEffect::Write),
            |call, announced: Announced| announce(call, announced, UpstreamEffect::Write),
        )
.says(&["upstream_write upstream=files tool=write_file", "call upstream_write"])
        .example(json!({ "upstream": "files", "tool": "write_file", "call": call, "arguments_sha256": digest })),
        Tool::destroy(
            Domain::Mcp,
            "upstream_destroy",
            "Announce a destroying call",
            "Records that the caller calls a tool of an upstream MCP server by which something may be lost for \
             good; it has to be confirmed. A door announces the call here before it makes it.",
            |call, announced: Announced| preview(call, &announced, UpstreamEffect::Destroy),
            |call, announced: Announced| announce(call, announced, UpstreamEffect::Destroy),
        )
.says(&["upstream_destroy upstream=files tool=delete_file", "call upstream_destroy"])
        .example(json!({ "upstream": "files", "tool": "delete_file", "call": call, "arguments_sha256": digest })),
        Tool::write(
            Domain::Mcp,
            "upstream_outcome",
            "Record how a call ended",
            "Records, once, how a call that the caller announced by upstream_write or upstream_destroy has ended.",
            |call, ended: Ended| {
                open(call, &ended)?;
                let resource = format!("{}/{}", ended.upstream, ended.tool);
                Ok(plan(resource, json!({ "call": ended.call }), false))
            },
            |call, ended: Ended| {
                open(call, &ended)?;
                Ok(Recorded { call: ended.call })
            },
        )
.says(&["upstream_outcome upstream=files tool=write_file ended=done", "call upstream_outcome"])
        .example(json!({
            "upstream": "files", "tool": "write_file", "call": call, "ended": "done", "duration_ms": 12,
        })),
    ]
}

fn declared(call: &Call<'_>, name: &str) -> Result<Upstream, ToolError> {
    let declaration = call.site.declaration_if_any()?;
    let upstream = declaration.mcp.upstreams.get(name);
    upstream.cloned().ok_or_else(|| {
        ToolError::NotFound(format!(
            "there is no upstream server `{name}` under `mcp.upstreams` of the declaration"
        ))
    })
}

/// Sees that the caller announced this call, and has not said yet how it ended. The ledger knows, also after the
/// daemon was started anew.
fn open(call: &Call<'_>, ended: &Ended) -> Result<(), ToolError> {
    let actor = call.caller.actor();
    let ledger = call.site.ledger()?;
    // The newest entry of this actor for the call, under one of the operations.
    let recorded = |operation: &str| {
        let filter = Filter {
            operation: Some(operation.to_owned()),
            target: Some(ended.upstream.clone()),
            actor: Some(call.caller.name.clone()),
            newest_first: true,
            limit: Some(LOOKED_AT),
            ..Filter::default()
        };
        let entries = ledger.query(&filter)?;
        Ok::<_, ToolError>(entries.iter().any(|entry| {
            let (metadata, arguments) = (&entry.metadata, &entry.metadata["arguments"]);
            metadata["actor"] == actor
                && metadata["outcome"] == "done"
                && arguments["call"] == ended.call.as_str()
                && arguments["tool"] == ended.tool.as_str()
        }))
    };
    if !recorded("upstream_write")? && !recorded("upstream_destroy")? {
        return Err(ToolError::Refused(format!(
            "the call {} of `{}` was not announced by {}, or too long ago",
            ended.call, ended.tool, call.caller.name
        )));
    }
    if recorded("upstream_outcome")? {
        return Err(ToolError::Refused(format!(
            "how the call {} ended is recorded already",
            ended.call
        )));
    }
    Ok(())
}

/// The server, if the caller may call this tool of it as one that does no more than `effect`.
fn permitted(
    call: &Call<'_>,
    name: &str,
    tool: &str,
    effect: UpstreamEffect,
) -> Result<Upstream, ToolError> {
    let upstream = declared(call, name)?;
    if !upstream.passes(tool) {
        return Err(ToolError::Refused(format!(
            "the declaration leaves out `{tool}` of the upstream server {name} (`include`, `exclude`)"
        )));
    }
    let least = match upstream.role {
        LeastRole::Viewer => Role::Viewer,
        LeastRole::Operator => Role::Operator,
        LeastRole::Admin => Role::Admin,
    };
    if call.caller.role.is_none_or(|role| role < least) {
        return Err(ToolError::Refused(format!(
            "tools of the upstream server {name} take the role {least} (`mcp.upstreams.{name}.role`)"
        )));
    }
    let declared = upstream.effect_of(tool);
    if declared > effect {
        return Err(ToolError::Refused(format!(
            "`{tool}` of the upstream server {name} counts as `{declared}`, not as `{effect}` \
             (`mcp.upstreams.{name}.effect`)"
        )));
    }
    Ok(upstream)
}

fn preview(
    call: &Call<'_>,
    announced: &Announced,
    effect: UpstreamEffect,
) -> Result<Plan, ToolError> {
    permitted(call, &announced.upstream, &announced.tool, effect)?;
    let resource = format!("{}/{}", announced.upstream, announced.tool);
    // Not the name of the call: it is another one each time, and the plan that was confirmed is to stay.
    let after = json!({ "arguments_sha256": announced.arguments_sha256 });
    Ok(plan(resource, after, effect == UpstreamEffect::Destroy))
}

fn announce(
    call: &Call<'_>,
    announced: Announced,
    effect: UpstreamEffect,
) -> Result<Recorded, ToolError> {
    permitted(call, &announced.upstream, &announced.tool, effect)?;
    let missing = || ToolError::Invalid("`call` is missing: the call needs a name".to_owned());
    Ok(Recorded {
        call: announced.call.ok_or_else(missing)?,
    })
}

fn plan(resource: String, after: Value, destroys: bool) -> Plan {
    Plan {
        changes: vec![Change {
            destroys,
            ..Change::new("mcp", resource, Verb::Update, Value::Null, after)
        }],
        notes: Vec::new(),
    }
}
