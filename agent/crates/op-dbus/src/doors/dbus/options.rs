//! `a{sv}` as callers on the bus write options and arguments, and JSON as tools take them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tools::Options;
use zbus::wire::{OwnedVariant, Variant};

use super::error::Error;

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
            ("timeout_ms", Value::Number(limit)) => {
                let limit = limit.as_u64().map(Duration::from_millis);
                options.deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
            }
            _ => {
                return Err(Error::Invalid(format!(
                    "there is no option `{key}` with the value {value}; there are dry_run (b), plan (s) and \
                     timeout_ms (t)"
                )));
            }
        }
    }
    Ok(options)
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
        Variant::F64(value) => json!(value),
        Variant::Str(value) => json!(value.as_str()),
        Variant::Variant(value) => plain(key, value)?,
        Variant::Array(values) => {
            let values: Result<Vec<_>, _> = values.iter().map(|value| plain(key, value)).collect();
            json!(values?)
        }
        other => {
            return Err(Error::Invalid(format!(
                "`{key}` has the type {}, for which there is no use here",
                other.value_signature()
            )));
        }
    })
}
