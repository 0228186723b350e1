//! Values against a schema that may come from anybody.

use jsonschema::{PatternOptions, ValidationError, Validator};
use serde::Serialize;
use serde_json::Value;

use crate::error::Error;
use crate::limits::{Budget, Limits};
use crate::recursion::{self, long};

/// How many faults of one value are named.
const NAMED: usize = 50;
/// The longest text of a fault, in characters.
const LONGEST: usize = 300;
/// The largest schema, in values.
const MOST_NODES: usize = 20_000;
/// The most parts of a schema times values that it is applied to.
const MOST_STEPS: u64 = 1_000_000_000;
/// The most of them for which all faults are looked for: each is some hundred bytes, and all are made before one is seen.
const MOST_LISTED: u64 = 500_000;

/// Something that a schema does not allow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Where in the value (JSON Pointer, RFC 6901); empty for the whole.
    pub place: String,
    /// What is wrong.
    pub message: String,
    /// Which part of the schema says so (JSON Pointer).
    pub rule: String,
}

/// A schema that values are checked against.
///
/// Nothing outside of the schema is read: `$ref` leads to a place within it. Patterns take time in proportion to
/// the text, and schemas that could take time without bound are refused.
pub struct Checker {
    validator: Validator,
    /// The parts of the schema, references replaced.
    parts: u64,
    /// Whether it has alternatives: what is wrong with all of them is one fault, of any size.
    alternatives: bool,
}

impl Checker {
    /// Takes a JSON Schema, draft 2020-12.
    pub fn new(schema: &Value) -> Result<Self, Error> {
        let bounds = Limits {
            nodes: MOST_NODES,
            ..Limits::default()
        };
        let parts = recursion::check(schema, &mut Budget::new(bounds))?;
        let options = jsonschema::draft202012::options()
            .should_validate_formats(true)
            .with_pattern_options(
                PatternOptions::regex()
                    .size_limit(1 << 20)
                    .dfa_size_limit(4 << 20),
            )
            .offline();
        let validator = options
            .build(schema)
            .map_err(|error| Error::Schema(shortened(&error.to_string())))?;
        Ok(Self {
            validator,
            parts,
            alternatives: has_alternatives(schema),
        })
    }

    /// Everything that is wrong with a value, the first 50. Of a large value it is one fault only, and where the schema has
    /// alternatives only that there is one.
    pub fn faults(&self, value: &Value) -> Result<Vec<Fault>, Error> {
        if self.parts.saturating_mul(nodes(value)) > MOST_STEPS {
            return Err(Error::Schema(
                "it is too large for a value that is so large: it could take minutes".to_owned(),
            ));
        }
        if self.validator.is_valid(value) {
            return Ok(Vec::new());
        }
        if self.parts.saturating_mul(repeated(value, 0)) <= MOST_LISTED {
            let faults = self.validator.iter_errors(value).take(NAMED);
            return Ok(faults.map(|error| fault(&error)).collect());
        }
        if !self.alternatives
            && let Err(error) = self.validator.validate(value)
        {
            return Ok(vec![fault(&error)]);
        }
        Ok(vec![Fault {
            place: String::new(),
            message: "it does not fit, and is too large to say where: check a part of it"
                .to_owned(),
            rule: String::new(),
        }])
    }
}

fn fault(error: &ValidationError<'_>) -> Fault {
    Fault {
        place: error.instance_path().as_str().to_owned(),
        // Values may be long, and secret.
        message: shortened(&error.masked().to_string()),
        rule: error.schema_path().as_str().to_owned(),
    }
}

/// Whether `anyOf` or `oneOf` is anywhere in a schema.
fn has_alternatives(schema: &Value) -> bool {
    match schema {
        Value::Object(map) => {
            ["anyOf", "oneOf"].iter().any(|key| map.contains_key(*key))
                || map.values().any(has_alternatives)
        }
        Value::Array(values) => values.iter().any(has_alternatives),
        _ => false,
    }
}

/// How many values there are in one, counted by what faults repeat: the way to each, which is so long, and its keys.
fn repeated(value: &Value, way: u64) -> u64 {
    match value {
        Value::Array(values) => {
            let below = values.iter().map(|value| repeated(value, way));
            below.sum::<u64>() + 1 + way
        }
        Value::Object(map) => {
            let entries = map
                .iter()
                .map(|(key, value)| long(key) + repeated(value, way + long(key)));
            entries.sum::<u64>() + 1 + way
        }
        _ => 1 + way,
    }
}

/// How many values there are in one.
fn nodes(value: &Value) -> u64 {
    match value {
        Value::Array(values) => values.iter().map(nodes).sum::<u64>() + 1,
        Value::Object(map) => map.values().map(nodes).sum::<u64>() + 1,
        _ => 1,
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn faults_have_their_place() {
        let checker = Checker::new(&json!({
            "type": "object", "required": ["name"],
            "properties": { "ports": { "items": { "type": "integer", "maximum": 65535 } } },
        }))
        .unwrap();
        assert_eq!(
            checker.faults(&json!({ "name": "a", "ports": [1] })),
            Ok(Vec::new())
        );
        let faults = checker.faults(&json!({ "ports": [1, 70000] })).unwrap();
        let places: Vec<_> = faults.iter().map(|fault| fault.place.as_str()).collect();
        assert_eq!(places, ["", "/ports/1"]);
        assert!(faults[1].rule.ends_with("/maximum"));
    }

    #[test]
    fn values_are_not_repeated() {
        let checker = Checker::new(&json!({ "type": "integer" })).unwrap();
        let faults = checker.faults(&json!("hunter2")).unwrap();
        assert!(!faults[0].message.contains("hunter2"), "{faults:?}");
    }

    #[test]
    fn schemas_that_cannot_be_used_are_refused() {
        for schema in [
            json!({ "type": "no such type" }),
            json!({ "pattern": "(" }),
            json!({ "$ref": "https://example.org/schema" }),
            json!({ "$ref": "file:///etc/passwd" }),
            json!({ "$ref": "#/$defs/none" }),
            json!({ "$dynamicRef": "#x" }),
            json!("text"),
        ] {
            assert!(
                matches!(Checker::new(&schema), Err(Error::Schema(_))),
                "{schema}"
            );
        }
    }

    #[test]
    fn of_many_faults_one_is_told() {
        let parts = vec![json!({ "type": "string" }); 1000];
        let every = json!({ "items": { "allOf": parts.clone() } });
        let value = json!(vec![1; 10_000]);
        let faults = Checker::new(&every).unwrap().faults(&value).unwrap();
        assert_eq!((faults.len(), faults[0].place.as_str()), (1, "/0"));
        assert_eq!(
            Checker::new(&every).unwrap().faults(&json!(["x"])),
            Ok(vec![])
        );
        // Each fault of an alternative would hold those of all its members.
        let any = json!({ "items": { "anyOf": [{ "allOf": parts }, { "type": "null" }] } });
        let faults = Checker::new(&any).unwrap().faults(&value).unwrap();
        assert_eq!((faults.len(), faults[0].place.as_str()), (1, ""));
        // The way to each value is repeated for each.
        let value = json!({ "k".repeat(1 << 20): vec![1; 1000] });
        let strings = json!({ "additionalProperties": { "items": { "type": "string" } } });
        let faults = Checker::new(&strings).unwrap().faults(&value).unwrap();
        assert_eq!(faults.len(), 1);
    }

    #[test]
    fn what_a_keyword_lists_counts() {
        let names: Vec<_> = (0..10_000).map(|name| name.to_string()).collect();
        let value = json!(vec![json!({}); 60]);
        for schema in [
            json!({ "items": { "required": names } }),
            json!({ "items": { "enum": names } }),
        ] {
            let faults = Checker::new(&schema).unwrap().faults(&value).unwrap();
            assert_eq!(faults.len(), 1);
        }
        let many = json!(vec![json!({}); 200_000]);
        let schema = json!({ "items": { "enum": names } });
        assert!(Checker::new(&schema).unwrap().faults(&many).is_err());
    }

    #[test]
    fn patterns_cannot_take_forever() {
        let text = "a".repeat(50_000) + "!";
        for pattern in ["(a+)+$", "(a|a)+$", "^(a*)*b"] {
            let checker = Checker::new(&json!({ "pattern": pattern })).unwrap();
            assert_eq!(checker.faults(&json!(text)).unwrap().len(), 1);
        }
        assert!(Checker::new(&json!({ "pattern": "((a{1000}){1000}){1000}" })).is_err());
    }
}
