//! Schemas that could take a validator time without bound, found before one is made.
//!
//! Without references, validation visits each part of a schema once for each value that it is applied to. Keywords and
//! what they list (`enum`, `required`) count as parts, as each takes time and may give rise to a fault.
//! References multiply that. Those that do not lead back to themselves are counted as what they stand for. For
//! those that do, each level of the value must be visited by one way only: a schema object may reach
//! a reference cycle by one keyword, and by one member of that; only `properties` and `prefixItems` may do so by many,
//! as each of their members is about another value. And no cycle may stay at the same value.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::error::Error;
use crate::limits::Budget;

/// The most parts of a schema once each reference is replaced by what it stands for.
const MOST: u64 = 100_000;

/// Keywords whose value is one schema.
const ONE: [&str; 13] = [
    "additionalItems",
    "additionalProperties",
    "contains",
    "contentSchema",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
    "$ref",
];
/// Keywords whose value is a list of schemas.
const LIST: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
/// Keywords whose value is a map of schemas. `dependencies` is of older drafts, and works all the same.
const MAP: [&str; 4] = [
    "dependencies",
    "dependentSchemas",
    "patternProperties",
    "properties",
];
/// Keywords whose schemas count where a reference leads to them.
const DEFINITIONS: [&str; 2] = ["$defs", "definitions"];
/// Keywords that apply to the same value, and not to one below it.
const SAME: [&str; 10] = [
    "$ref",
    "allOf",
    "anyOf",
    "dependencies",
    "dependentSchemas",
    "else",
    "if",
    "not",
    "oneOf",
    "then",
];

/// Refuses a schema that refers to the outside, or that could take time without bound. The number of its parts
/// once each reference is replaced by what it stands for.
pub(crate) fn check(schema: &Value, budget: &mut Budget) -> Result<u64, Error> {
    if !matches!(schema, Value::Object(_) | Value::Bool(_)) {
        return Err(Error::Schema(
            "it is neither an object nor true or false".to_owned(),
        ));
    }
    bounded(schema, 0, budget)?;
    let mut walk = Walk {
        root: schema,
        known: HashMap::new(),
        open: Vec::new(),
    };
    walk.visit(schema, false, 0).map(|extent| extent.parts)
}

/// Size, depth, and keywords that change what references mean.
fn bounded(value: &Value, depth: usize, budget: &mut Budget) -> Result<(), Error> {
    budget.take(1)?;
    budget.deep(depth)?;
    match value {
        Value::Array(values) => values
            .iter()
            .try_for_each(|value| bounded(value, depth + 1, budget)),
        Value::Object(map) => {
            for key in ["$dynamicRef", "$recursiveRef"] {
                if map.get(key).is_some_and(Value::is_string) {
                    return Err(Error::Schema(format!("`{key}` is not supported")));
                }
            }
            if depth > 0 && map.get("$id").is_some_and(Value::is_string) {
                return Err(Error::Schema(
                    "`$id` below the root is not supported".to_owned(),
                ));
            }
            map.values()
                .try_for_each(|value| bounded(value, depth + 1, budget))
        }
        _ => Ok(()),
    }
}

/// How many values there are in one, long texts and keys counted by their length too.
pub(crate) fn weight(value: &Value) -> u64 {
    match value {
        Value::String(text) => 1 + long(text),
        Value::Array(values) => values.iter().map(weight).sum::<u64>() + 1,
        Value::Object(map) => {
            let entries = map.iter().map(|(key, value)| long(key) + weight(value));
            entries.sum::<u64>() + 1
        }
        _ => 1,
    }
}

/// A fault that repeats a text takes as much more room as so many faults do.
pub(crate) fn long(text: &str) -> u64 {
    const BYTES: u64 = 256;
    text.len() as u64 / BYTES
}

/// What is known of a part of the schema.
#[derive(Clone, Copy)]
struct Extent {
    /// Its parts, references replaced.
    parts: u64,
    /// Whether it leads back to something that it is part of.
    cyclic: bool,
}

/// A part that is being visited, by its address in the document.
struct Open {
    part: *const Value,
    /// Whether the step from it was to a schema of the same value.
    same: bool,
}

struct Walk<'s> {
    root: &'s Value,
    known: HashMap<*const Value, Extent>,
    open: Vec<Open>,
}

impl<'s> Walk<'s> {
    fn visit(&mut self, part: &'s Value, same: bool, depth: usize) -> Result<Extent, Error> {
        /// References may follow each other so often.
        const DEEPEST: usize = 300;
        let address = std::ptr::from_ref(part);
        if let Some(open) = self.open.iter().position(|open| open.part == address) {
            let steps = self.open[open + 1..].iter().map(|open| open.same);
            return match steps.chain([same]).all(|same| same) {
                true => Err(Error::Schema("a `$ref` leads back to itself".to_owned())),
                false => Ok(Extent {
                    parts: 1,
                    cyclic: true,
                }),
            };
        }
        if let Some(known) = self.known.get(&address) {
            return Ok(*known);
        }
        if depth > DEEPEST {
            return Err(Error::Schema(format!(
                "more than {DEEPEST} schemas within each other"
            )));
        }
        let Value::Object(map) = part else {
            return Ok(Extent {
                parts: weight(part),
                cyclic: false,
            });
        };
        self.open.push(Open {
            part: address,
            same,
        });
        let extent = self.object(map, depth);
        self.open.pop();
        let extent = extent?;
        // Within a cycle the extent depends on where one came in; outside of all it does not.
        if self.open.is_empty() || !extent.cyclic {
            self.known.insert(address, extent);
        }
        Ok(extent)
    }

    fn object(&mut self, map: &'s Map<String, Value>, depth: usize) -> Result<Extent, Error> {
        let mut parts = 1_u64;
        let mut ways = 0;
        for (key, value) in map {
            let key = key.as_str();
            let below: Vec<&Value> = match value {
                Value::String(target) if key == "$ref" => vec![self.target(target)?],
                Value::Object(_) | Value::Bool(_) if ONE.contains(&key) => vec![value],
                Value::Array(list) if LIST.contains(&key) => list.iter().collect(),
                Value::Object(members) if MAP.contains(&key) => members.values().collect(),
                _ if DEFINITIONS.contains(&key) => continue,
                _ => {
                    parts = parts.saturating_add(weight(value));
                    continue;
                }
            };
            let mut cyclic = 0;
            for part in below {
                let extent = self.visit(part, SAME.contains(&key), depth + 1)?;
                parts = parts.saturating_add(extent.parts);
                cyclic += usize::from(extent.cyclic);
            }
            ways += match key {
                "properties" | "prefixItems" => cyclic.min(1),
                _ => cyclic,
            };
        }
        if parts > MOST {
            return Err(Error::Schema(format!(
                "more than {MOST} parts once references are replaced"
            )));
        }
        if ways > 1 {
            return Err(Error::Schema(
                "it leads back to itself by several ways at once, which could take forever"
                    .to_owned(),
            ));
        }
        Ok(Extent {
            parts,
            cyclic: ways > 0,
        })
    }

    fn target(&self, reference: &str) -> Result<&'s Value, Error> {
        let outside = || {
            Error::Schema(
                "a `$ref` leads elsewhere than to `#` or `#/…` within the schema".to_owned(),
            )
        };
        let pointer = reference.strip_prefix('#').ok_or_else(outside)?;
        if !(pointer.is_empty() || pointer.starts_with('/')) || pointer.contains('%') {
            return Err(outside());
        }
        let found = self.root.pointer(pointer);
        found.ok_or_else(|| Error::Schema("a `$ref` leads to nothing".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::limits::Limits;

    fn checked(schema: &Value) -> Result<u64, Error> {
        check(schema, &mut Budget::new(Limits::default()))
    }

    #[test]
    fn recursive_structures_are_good() {
        for schema in [
            json!({ "properties": { "left": { "$ref": "#" }, "right": { "$ref": "#" } } }),
            json!({ "$defs": { "n": { "anyOf": [{ "type": "null" }, { "items": { "$ref": "#/$defs/n" } }] } },
                    "$ref": "#/$defs/n" }),
            json!({ "additionalProperties": { "$ref": "#" } }),
            json!({ "$defs": { "a": { "type": "text" } }, "allOf": [{ "$ref": "#/$defs/a" }, { "$ref": "#/$defs/a" }] }),
        ] {
            assert!(checked(&schema).is_ok(), "{schema}");
        }
    }

    #[test]
    fn what_could_take_forever_is_refused() {
        let mut doubling = json!({ "a0": { "type": "null" } });
        for level in 1..40 {
            let below = json!({ "$ref": format!("#/$defs/a{}", level - 1) });
            doubling[format!("a{level}")] = json!({ "allOf": [below.clone(), below] });
        }
        for schema in [
            json!({ "$ref": "#" }),
            json!({ "dependencies": { "a": { "$ref": "#" } } }),
            json!({ "anyOf": [{ "$ref": "#" }, { "type": "null" }] }),
            json!({ "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } }, "$ref": "#/$defs/a" }),
            json!({ "$defs": doubling, "$ref": "#/$defs/a39" }),
            json!({ "allOf": [{ "items": { "$ref": "#" } }, { "items": { "$ref": "#" } }] }),
            json!({ "patternProperties": { "a": { "$ref": "#" }, "b": { "$ref": "#" } } }),
            json!({ "items": { "$ref": "#" }, "contains": { "$ref": "#" } }),
        ] {
            assert!(checked(&schema).is_err(), "{schema}");
        }
    }
}
