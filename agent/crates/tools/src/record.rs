//! What the ledger keeps of a call.

use jsonschema::Validator;
use ledger::NewEntry;
use secret_names::sounds_secret;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::caller::Caller;
use crate::error::ToolError;
use crate::tool::Tool;

/// Longer texts are kept as their length and hash.
const LONGEST: usize = 1024;

/// Longer arguments, all together, are kept as their length and hash.
const LONGEST_OF_ALL: usize = 16 << 10;

/// The largest number that the ledger keeps as one (RFC 8785, section 3.2.2.3).
const LARGEST_NUMBER: f64 = 9_007_199_254_740_991.0;

/// Arguments that name what a call is about, the most telling first.
const TARGETS: [&str; 8] = [
    "name", "unit", "path", "bridge", "packages", "plugin", "upstream", "target",
];

/// How a call ended.
pub(crate) struct Ended<'a> {
    pub(crate) result: Result<&'a Value, &'a ToolError>,
    pub(crate) plan_hash: Option<&'a str>,
    pub(crate) duration_ms: u64,
}

/// The one entry of a call.
pub(crate) fn entry(
    tool: &Tool,
    caller: &Caller,
    arguments: &Value,
    ended: &Ended<'_>,
) -> NewEntry {
    let mut metadata = json!({
        "actor": caller.actor(),
        "effect": tool.effect,
        "arguments": bounded(redacted(&tool.input(), arguments)),
        "duration_ms": ended.duration_ms,
    });
    if let Some(plan_hash) = ended.plan_hash {
        metadata["plan_hash"] = bounded_text(plan_hash);
    }
    match ended.result {
        Ok(result) => {
            metadata["outcome"] = json!("done");
            if let Some(run) = result.get("run").filter(|run| run.is_string()) {
                metadata["run"] = run.clone();
            }
        }
        Err(error) => {
            let outcome = if error.is_refusal() {
                "refused"
            } else {
                "failed"
            };
            metadata["outcome"] = json!(outcome);
            metadata["error"] = json!(beginning(&error.to_string()));
            if let ToolError::RolledBack(changed) = error {
                metadata["run"] = json!(changed.run);
            }
        }
    }
    NewEntry {
        operation: tool.name.to_owned(),
        target: target(arguments),
        metadata,
    }
}

fn target(arguments: &Value) -> String {
    let named = TARGETS.iter().find_map(|key| match arguments.get(key)? {
        Value::String(text) => Some(text.clone()),
        Value::Array(list) => {
            let texts: Vec<_> = list.iter().filter_map(Value::as_str).collect();
            Some(texts.join(" "))
        }
        _ => None,
    });
    named
        .filter(|name| !name.is_empty() && name.len() <= LONGEST)
        .unwrap_or_else(|| "host".to_owned())
}

/// Arguments without secrets and long texts: what the schema calls `writeOnly`, and keys that sound like it.
pub(crate) fn redacted(schema: &Value, arguments: &Value) -> Value {
    match arguments {
        Value::Object(map) => {
            let clean = |(key, value): (&String, &Value)| {
                let below = &schema["properties"][key];
                let secret = below["writeOnly"] == json!(true) || sounds_secret(key);
                let value = match secret {
                    true => digest(value),
                    false => redacted(below, value),
                };
                (key.clone(), value)
            };
            Value::Object(map.iter().map(clean).collect::<Map<_, _>>())
        }
        Value::Array(list) => {
            let items = list.iter();
            items.map(|item| redacted(&schema["items"], item)).collect()
        }
        Value::String(text) if text.len() > LONGEST => digest(arguments),
        // A caller whose call is refused may have sent any; the refusal has to be kept all the same.
        Value::Number(number)
            if !number
                .as_f64()
                .is_some_and(|value| value.abs() <= LARGEST_NUMBER) =>
        {
            json!(number.to_string())
        }
        other => other.clone(),
    }
}

/// Arguments, or their digest where there is too much of them.
pub(crate) fn bounded(arguments: Value) -> Value {
    match arguments.to_string().len() > LONGEST_OF_ALL {
        true => digest(&arguments),
        false => arguments,
    }
}

/// A text, or its digest where it is long.
fn bounded_text(text: &str) -> Value {
    match text.len() > LONGEST {
        true => digest(&json!(text)),
        false => json!(text),
    }
}

/// The beginning of a text that may be very long.
fn beginning(text: &str) -> String {
    match text.char_indices().nth(LONGEST_OF_ALL / 4) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// What a value was, for who knows it: its length; and its hash where nobody could guess it.
fn digest(value: &Value) -> Value {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.len() > LONGEST {
        true => {
            let hash = hex::encode(Sha256::digest(&text));
            json!(format!("{} bytes, SHA-256 {hash}", text.len()))
        }
        false => json!("redacted"),
    }
}

/// Whether arguments fit; the faults in sentences if not.
pub(crate) fn fits(validator: &Validator, tool: &Tool, arguments: &Value) -> Result<(), ToolError> {
    match crate::schema::faults(validator, arguments) {
        None => Ok(()),
        Some(faults) => Err(ToolError::Invalid(format!(
            "the arguments of {} are wrong:\n{faults}\n`op-dbus tool show {}` says what it takes",
            tool.name, tool.name
        ))),
    }
}
