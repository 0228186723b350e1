//! Schemas of strangers: bounded before anything walks them, and compiled so that no value can hold them up.

use jsonschema::{PatternOptions, Validator};
use serde_json::{Map, Value};

use super::bounds;
use super::text::clean;

/// How many faults of one value are named.
const NAMED: usize = 5;

/// A schema as it is passed on, and what checks values against it.
pub(super) struct Checked {
    pub(super) schema: Map<String, Value>,
    pub(super) validator: Validator,
}

/// Bounds a schema and compiles it; the reason if it cannot be used.
pub(super) fn check(schema: &Map<String, Value>) -> Result<Checked, String> {
    let mut schema = Value::Object(schema.clone());
    let size = schema.to_string().len();
    if size > bounds::SCHEMA {
        return Err(format!("it has {size} bytes, more than {}", bounds::SCHEMA));
    }
    let mut left = bounds::SCHEMA_VALUES;
    measure(&schema, &schema, 0, &mut left)?;
    tidy(&mut schema);
    // Without look-around a pattern takes time in proportion to the text.
    let options = jsonschema::draft202012::options()
        .with_pattern_options(PatternOptions::regex().size_limit(1 << 20));
    let validator = options
        .build(&schema)
        .map_err(|error| clean(&error.to_string(), bounds::ERROR))?;
    match schema {
        Value::Object(schema) => Ok(Checked { schema, validator }),
        _ => Err("it is no object".to_owned()),
    }
}

/// Counts values with what they refer to in place. A small schema whose definitions refer to others twice each
/// is large in truth, and one that refers to itself has no end.
fn measure(root: &Value, value: &Value, depth: usize, left: &mut usize) -> Result<(), String> {
    if depth > bounds::SCHEMA_DEPTH {
        return Err(format!(
            "it is nested more than {} deep, or refers to itself",
            bounds::SCHEMA_DEPTH
        ));
    }
    *left = left.checked_sub(1).ok_or_else(|| {
        format!(
            "it has more than {} values, with what it refers to",
            bounds::SCHEMA_VALUES
        )
    })?;
    match value {
        Value::Array(list) => list
            .iter()
            .try_for_each(|value| measure(root, value, depth + 1, left)),
        Value::Object(map) => {
            let nested = depth > 0;
            for key in ["$dynamicRef", "$recursiveRef", "$dynamicAnchor", "$anchor"] {
                if map.contains_key(key) {
                    return Err(format!("it uses `{key}`"));
                }
            }
            if nested && map.get("$id").is_some_and(Value::is_string) {
                return Err("a part of it has an `$id` of its own".to_owned());
            }
            if let Some(Value::String(reference)) = map.get("$ref") {
                let found = reference
                    .strip_prefix('#')
                    .and_then(|pointer| root.pointer(pointer))
                    .ok_or_else(|| {
                        let reference = clean(reference, 100);
                        format!("it refers to `{reference}`, which is not in it")
                    })?;
                measure(root, found, depth + 1, left)?;
            }
            map.values()
                .try_for_each(|value| measure(root, value, depth + 1, left))
        }
        _ => Ok(()),
    }
}

/// Cleans the texts in a schema that only people and models read.
fn tidy(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(tidy),
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                match value {
                    Value::String(text)
                        if matches!(key.as_str(), "description" | "title" | "$comment") =>
                    {
                        *text = clean(text, bounds::DESCRIPTION / 4);
                    }
                    other => tidy(other),
                }
            }
        }
        _ => {}
    }
}

/// What is wrong with a value, in a sentence a fault; of a large one, only that something is.
pub(super) fn faults(validator: &Validator, value: &Value) -> Option<String> {
    let values = count(value);
    if values > bounds::VALUES {
        return Some(too_many(values));
    }
    if validator.is_valid(value) {
        return None;
    }
    if values > bounds::VALUES_NAMED {
        return Some("it does not fit the schema".to_owned());
    }
    let named: Vec<_> = validator
        .iter_errors(value)
        .take(NAMED)
        .map(|error| {
            // Neither the value nor the schema may fill the message.
            let text = clean(&error.to_string(), 200);
            match error.instance_path().as_str() {
                "" => text,
                path => format!("{}: {text}", clean(path, 100)),
            }
        })
        .collect();
    Some(named.join("; "))
}

/// What is wrong with a value of so many.
pub(super) fn too_many(values: usize) -> String {
    format!("it has {values} values, more than {}", bounds::VALUES)
}

/// How many values there are in one, with itself.
pub(super) fn count(value: &Value) -> usize {
    let within: usize = match value {
        Value::Array(list) => list.iter().map(count).sum(),
        Value::Object(map) => map.values().map(count).sum(),
        _ => 0,
    };
    within + 1
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reason(schema: Value) -> String {
        check(schema.as_object().unwrap())
            .err()
            .unwrap_or_else(|| "taken".to_owned())
    }

    #[test]
    fn an_ordinary_schema_is_taken() {
        let schema = json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "object",
            "properties": { "at": { "$ref": "#/$defs/place" }, "to": { "$ref": "#/$defs/place" } },
            "$defs": { "place": { "type": "string", "description": "a\u{1b}[2Jb" } },
        });
        let checked = check(schema.as_object().unwrap()).unwrap();
        assert_eq!(checked.schema["$defs"]["place"]["description"], "ab");
        assert_eq!(faults(&checked.validator, &json!({ "at": "x" })), None);
        let said = faults(&checked.validator, &json!({ "at": 1 })).unwrap();
        assert!(said.starts_with("/at: "), "{said}");
    }

    #[test]
    fn schemas_that_would_hold_us_up_are_refused() {
        let cases = [
            (json!({ "$ref": "#" }), "refers to itself"),
            (
                json!({ "properties": { "a": { "$ref": "#" } } }),
                "refers to itself",
            ),
            (json!({ "$ref": "https://example.net/schema" }), "not in it"),
            (json!({ "$ref": "file:///etc/passwd" }), "not in it"),
            (json!({ "$dynamicRef": "#x" }), "$dynamicRef"),
            (
                json!({ "properties": { "a": { "$id": "http://x/", "$ref": "#" } } }),
                "$id",
            ),
            (json!({ "type": "objekt" }), "objekt"),
            (json!({ "pattern": "(?=a)b(" }), "(?=a)b("),
            (json!({ "description": "x".repeat(70_000) }), "bytes"),
        ];
        for (schema, expected) in cases {
            let said = reason(schema);
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn what_doubles_at_each_step_is_counted_as_it_is() {
        let mut definitions = Map::new();
        for step in 0..25 {
            let next = json!({ "$ref": format!("#/$defs/d{}", step + 1) });
            definitions.insert(format!("d{step}"), json!({ "allOf": [next, next] }));
        }
        definitions.insert("d25".to_owned(), json!({ "type": "object" }));
        let said = reason(json!({ "$ref": "#/$defs/d0", "$defs": definitions }));
        assert!(said.contains("more than"), "{said}");
    }

    #[test]
    fn the_faults_of_what_is_large_are_not_named() {
        let branches = vec![json!({ "type": "string" }); 1000];
        let schema = json!({ "items": { "allOf": branches } });
        let checked = check(schema.as_object().unwrap()).unwrap();
        let of = |count: usize| faults(&checked.validator, &Value::from(vec![0; count])).unwrap();
        assert!(of(100).starts_with("/0: "));
        assert_eq!(of(40_000), "it does not fit the schema");
        assert!(of(bounds::VALUES).contains("more than"));
    }

    #[test]
    fn a_pattern_takes_no_exponential_time() {
        let schema = json!({ "properties": { "a": { "pattern": "^(a+)+$" } } });
        let checked = check(schema.as_object().unwrap()).unwrap();
        let value = json!({ "a": format!("{}b", "a".repeat(100_000)) });
        assert!(faults(&checked.validator, &value).is_some());
    }
}
