//! `a{sv}` as callers on the bus write options and arguments, and JSON as tools take them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tools::Options;
use zbus::wire::{OwnedVariant, Variant};

use super::error::Error;

/// How much of a text that is no use is repeated to who sent it.
const SHOWN: usize = 64;

/// Named values of a call.
pub(super) type Named = HashMap<String, OwnedVariant>;

/// Arguments of a tool.
pub(super) fn arguments(named: &Named) -> Result<Map<String, Value>, Error> {
    named
        .iter()
        .map(|(key, value)| Ok((key.clone(), plain(key, value)?)))
        .collect()
}

/// How a call is to be carried out: `dry_run` (b), `plan` (s), `timeout_ms` (any whole number).
pub(super) fn options(named: &Named) -> Result<Options, Error> {
    let mut options = Options::default();
    for (key, value) in named {
        let value = plain(key, value)?;
        match (key.as_str(), &value) {
            ("dry_run", Value::Bool(dry_run)) => options.dry_run = *dry_run,
            ("plan", Value::String(plan)) => options.plan = Some(plan.clone()),
            ("timeout_ms", Value::Number(limit)) if limit.is_u64() => {
                let limit = limit.as_u64().map(Duration::from_millis);
                options.deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
            }
            _ => {
                return Err(Error::Invalid(format!(
                    "`{}` is no option, or not as it should be: there are dry_run (b), plan (s) and timeout_ms (t)",
                    brief(key)
                )));
            }
        }
    }
    Ok(options)
}

/// The beginning of a text that may be very long.
pub(super) fn brief(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn plain(key: &str, value: &Variant<'_>) -> Result<Value, Error> {
    Ok(match value {
        Variant::Bool(value) => json!(value),
        Variant::U8(value) => json!(value),
        Variant::I16(value) => json!(value),
        Variant::U16(value) => json!(value),
        Variant::I32(value) => json!(value),
        Variant::U32(value) => json!(value),
        Variant::I64(value) => json!(value),
        Variant::U64(value) => json!(value),
        Variant::F64(value) if value.is_finite() => json!(value),
        Variant::Str(value) => json!(value.as_str()),
        Variant::Variant(value) => plain(key, value)?,
        Variant::Array(values) => {
            let values: Result<Vec<_>, _> = values.iter().map(|value| plain(key, value)).collect();
            json!(values?)
        }
        other => {
            return Err(Error::Invalid(format!(
                "`{}` has the type {}, or a value, for which there is no use here",
                brief(key),
                other.value_signature()
            )));
        }
    })
}
