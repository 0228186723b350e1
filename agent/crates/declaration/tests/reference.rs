//! What is published about the declaration is what the code does.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use declaration::{Declaration, EXAMPLE, reference, schema};
use serde_json::Value;

#[test]
fn the_reference_in_the_book_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/reference/declaration.md");
    if std::env::var_os("WRITE_EXPECTED").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, reference()).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == reference(),
        "docs/reference/declaration.md is old: run this test with WRITE_EXPECTED=1"
    );
}

#[test]
fn the_schema_of_the_nixos_options_is_that_of_the_code() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../modules/declaration.schema.json");
    let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("WRITE_EXPECTED").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &text).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == text,
        "modules/declaration.schema.json is old: run this test with WRITE_EXPECTED=1"
    );
}

#[test]
fn the_example_is_good_and_has_every_key() {
    let declaration = Declaration::from_yaml(EXAMPLE).unwrap_or_else(|error| panic!("{error}"));
    let json = serde_json::to_string(&declaration).unwrap();
    assert_eq!(Declaration::from_json(&json).as_ref(), Ok(&declaration));
    for (name, definition) in schema()["$defs"].as_object().unwrap() {
        let keys = definition["properties"].as_object().into_iter().flatten();
        for (key, _) in keys {
            assert!(EXAMPLE.contains(&format!("{key}:")), "{name}.{key}");
        }
    }
}

fn validates(schema: &jsonschema::Validator, document: &Value) -> Result<(), String> {
    let errors: Vec<_> = schema
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors.join("\n"))
    }
}

#[test]
fn the_schema_takes_what_the_code_writes() {
    let validator = jsonschema::draft202012::new(&schema()).unwrap();
    for declaration in [
        Declaration::default(),
        Declaration::from_yaml(EXAMPLE).unwrap(),
    ] {
        let document = serde_json::to_value(&declaration).unwrap();
        validates(&validator, &document).unwrap_or_else(|errors| panic!("{errors}"));
    }
}
