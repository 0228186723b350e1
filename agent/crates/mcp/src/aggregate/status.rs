//! The tool that says how the upstream servers stand.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tools::Effect;

use crate::backend::{Hint, ToolInfo};
use crate::upstream::Report;

/// Its name.
pub(crate) const NAME: &str = "upstream_status";

/// The tool as clients see it.
pub(super) fn tool() -> ToolInfo {
    let upstream = json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "description": "The prefix of its tools." },
            "standing": { "enum": ["serving", "waiting", "away"] },
            "protocol": { "type": "string", "description": "The revision of the protocol that it speaks." },
            "tools": { "type": "integer", "description": "How many of its tools are passed on." },
            "filtered": { "type": "integer", "description": "How many the operator leaves out." },
            "left_out": {
                "type": "array",
                "description": "What is not passed on, and why; the first 20.",
                "items": {
                    "type": "object",
                    "properties": { "tool": { "type": "string" }, "reason": { "type": "string" } },
                    "required": ["tool", "reason"],
                },
            },
            "left_out_more": { "type": "integer", "description": "How many more are not." },
            "starts": { "type": "integer", "description": "How often it was started or connected to." },
            "error": { "type": "string", "description": "The last failure." },
        },
        "required": ["name", "standing", "tools", "filtered", "left_out", "left_out_more", "starts"],
    });
    ToolInfo {
        name: NAME.to_owned(),
        title: "Upstream servers".to_owned(),
        description: "Says how the upstream MCP servers of this host stand: which of their tools are passed on, \
            which are left out and why, and the last failure of each."
            .to_owned(),
        input: object(json!({ "type": "object", "additionalProperties": false })),
        output: Some(object(json!({
            "type": "object",
            "properties": {
                "upstreams": { "type": "array", "items": upstream },
                "not_in_profile": {
                    "type": "array",
                    "description": "Tools that are passed on, but for which this profile has no room.",
                    "items": { "type": "string" },
                },
            },
            "required": ["upstreams"],
        }))),
        effect: Effect::Read,
        hint: Hint {
            idempotent: true,
            open_world: false,
            upstream: true,
        },
        domain: "mcp".to_owned(),
    }
}

/// Its answer.
pub(super) fn answer(reports: &[Report]) -> Value {
    json!({ "upstreams": reports })
}

fn object(value: Value) -> Arc<Map<String, Value>> {
    match value {
        Value::Object(map) => Arc::new(map),
        _ => Arc::default(),
    }
}
