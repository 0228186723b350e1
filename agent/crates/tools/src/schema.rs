//! JSON Schemas from Rust types, and the check of values against them.

use jsonschema::Validator;
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

/// How many faults of one value are named.
const NAMED: usize = 10;

/// The schema (draft 2020-12) of what a tool takes: an object with no other keys than the named ones.
pub(crate) fn of_input<T: JsonSchema>() -> Value {
    let mut schema = of::<T>();
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("type".to_owned(), json!("object"));
        schema
            .entry("additionalProperties")
            .or_insert_with(|| json!(false));
    }
    schema
}

/// The schema of what a tool gives.
pub(crate) fn of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
        settings.transforms = vec![Box::new(RecursiveTransform(portable))];
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.remove("title");
    RecursiveTransform(portable).transform(&mut schema);
    schema.to_value()
}

/// Takes out what clients trip over: formats that are Rust's own and not of JSON Schema.
fn portable(schema: &mut Schema) {
    let own = schema.get("format").and_then(Value::as_str);
    if own.is_some_and(|format| {
        format.starts_with("uint")
            || format.starts_with("int")
            || matches!(format, "float" | "double")
    }) {
        schema.remove("format");
    }
}

/// A validator of a schema that this program made.
pub(crate) fn validator(schema: &Value) -> Result<Validator, String> {
    jsonschema::draft202012::new(schema).map_err(|error| error.to_string())
}

/// Everything that is wrong with a value, in a sentence a fault.
pub(crate) fn faults(validator: &Validator, value: &Value) -> Option<String> {
    let mut errors = validator.iter_errors(value);
    let named: Vec<_> = errors
        .by_ref()
        .take(NAMED)
        .map(|error| match error.instance_path().as_str() {
            "" => error.to_string(),
            path => format!("{path}: {error}"),
        })
        .collect();
    if named.is_empty() {
        return None;
    }
    let more = match errors.count() {
        0 => String::new(),
        more => format!("\n… and {more} more"),
    };
    Some(named.join("\n") + &more)
}
