//! The tools that every bridge has: what a tool for each property, signal and object would be too many for.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tools::Effect;

use super::catalog::{OBJECT, object};
use super::page;
use crate::backend::{Fault, Hint, ToolInfo};

pub(super) const DESCRIBE: &str = "describe";
pub(super) const OBJECTS: &str = "objects";
pub(super) const GET: &str = "get_properties";
pub(super) const SET: &str = "set_property";
pub(super) const WAIT: &str = "wait_signal";
pub(super) const MORE: &str = "more";

/// The longest that a call waits for a signal, in seconds: clients give up after 60.
pub(super) const LONGEST_WAIT: u64 = 50;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Describe {
    pub(super) interface: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Objects {
    pub(super) interface: Option<String>,
    pub(super) below: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Get {
    pub(super) object_path: String,
    pub(super) interface: Option<String>,
    #[serde(default)]
    pub(super) names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Set {
    pub(super) object_path: String,
    pub(super) interface: String,
    pub(super) property: String,
    pub(super) value: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wait {
    pub(super) interface: String,
    pub(super) signal: String,
    pub(super) object_path: Option<String>,
    pub(super) seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct More {
    pub(super) cursor: String,
}

/// The arguments of a general tool.
pub(super) fn read<T: DeserializeOwned>(arguments: Map<String, Value>) -> Result<T, Fault> {
    serde_json::from_value(Value::Object(arguments)).map_err(|error| {
        Fault::Invalid(format!(
            "the arguments do not fit the tool's schema: {error}"
        ))
    })
}

/// The general tools; the one that sets properties only where some may be set.
pub(super) fn tools(service: &str, sets: bool) -> Vec<ToolInfo> {
    let object_path = json!({ "type": "string", "description": "The object's path" });
    let interface = json!({ "type": "string", "description": "The interface's whole name" });
    let mut tools = vec![
        tool(
            DESCRIBE,
            "What the service offers",
            &format!(
                "The interfaces of {service}, with how many objects have each. With `interface`: its methods \
                 (and why some are no tools), its properties with types and access, and its signals."
            ),
            json!({ "interface": interface }),
            &[],
            json!({ "interfaces": { "type": "object" }, "interface": { "type": "object" } }),
        ),
        tool(
            OBJECTS,
            "List objects",
            "The objects that the service has now, with their interfaces. With `interface`: those that have it. \
             With `below`: those at or below a path.",
            json!({ "interface": interface, "below": object_path }),
            &[],
            json!({
                "objects": { "type": "object", "description": "interfaces by path" },
                "left_out": { "type": "array", "description": "what was cut off, and why" },
            }),
        ),
        tool(
            GET,
            "Read properties",
            "The properties of an object, by interface and name. With `interface`: those of one. With `names` \
             as well: only these. Of an object with very many or very large ones the answer is a part, and says so.",
            json!({
                OBJECT: object_path,
                "interface": interface,
                "names": { "type": "array", "items": { "type": "string" } },
            }),
            &[OBJECT],
            json!({
                "properties": { "type": "object" },
                "left_out": { "type": "array", "description": "what was not asked for any more, and why" },
            }),
        ),
        tool(
            WAIT,
            "Wait for a signal",
            "Waits until the service emits a signal, and gives what comes with it. What was emitted before the \
             call is not heard.",
            json!({
                "interface": interface,
                "signal": { "type": "string", "description": "The signal's name" },
                OBJECT: object_path,
                "seconds": {
                    "type": "integer", "minimum": 1, "maximum": LONGEST_WAIT, "default": 30,
                    "description": "How long to wait at most",
                },
            }),
            &["interface", "signal"],
            json!({
                "received": { "type": "boolean" },
                OBJECT: { "type": "string" },
                "arguments": { "type": "object" },
            }),
        ),
        tool(
            MORE,
            "The rest of a large answer",
            "The next part of what was cut out of an answer, by the cursor in its `_more`. Rests are kept for the \
             last answers only.",
            json!({ "cursor": { "type": "string" } }),
            &["cursor"],
            json!({
                "path": { "type": "string" },
                "rest": { "description": "items, entries or text that follow" },
            }),
        ),
    ];
    if sets {
        let mut set = tool(
            SET,
            "Set a property",
            "Sets a property. `describe` says which can be set and of what type they are.",
            json!({
                OBJECT: object_path,
                "interface": interface,
                "property": { "type": "string", "description": "The property's name" },
                "value": { "description": "The value, of the property's type" },
            }),
            &[OBJECT, "interface", "property", "value"],
            json!({}),
        );
        set.effect = Effect::Write;
        set.hint.idempotent = true;
        tools.push(set);
    }
    tools.sort_by(|a, b| a.name.cmp(&b.name));
    tools
}

fn tool(
    name: &str,
    title: &str,
    description: &str,
    takes: Value,
    required: &[&str],
    mut gives: Value,
) -> ToolInfo {
    gives[page::MORE] = page::schema();
    ToolInfo {
        name: name.to_owned(),
        title: title.to_owned(),
        description: description.to_owned(),
        input: object(json!({
            "type": "object",
            "properties": takes,
            "required": required,
            "additionalProperties": false,
        })),
        output: Some(Arc::clone(&object(
            json!({ "type": "object", "properties": gives }),
        ))),
        effect: Effect::Read,
        hint: Hint::default(),
        domain: "bridge".to_owned(),
    }
}
