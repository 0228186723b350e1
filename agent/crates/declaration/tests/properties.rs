//! What holds for all documents, good, damaged and hostile.
#![allow(clippy::unwrap_used)]

mod documents;

use std::sync::LazyLock;

use declaration::{Declaration, DocumentPath, Format, Problem, Problems, Step, schema};
use documents::document;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

static SCHEMA: LazyLock<jsonschema::Validator> =
    LazyLock::new(|| jsonschema::draft202012::new(&schema()).unwrap());

/// The schema takes the document.
fn valid(document: &Value) -> Result<(), TestCaseError> {
    let errors: Vec<_> = SCHEMA
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    prop_assert!(errors.is_empty(), "{document:#}\n{}", errors.join("\n"));
    Ok(())
}

fn read(document: &Value) -> Result<Declaration, Problems> {
    Declaration::from_json(&document.to_string())
}

/// The value at a path, if it is there.
fn at<'a>(document: &'a Value, path: &DocumentPath) -> Option<&'a Value> {
    path.steps()
        .iter()
        .try_fold(document, |value, step| match step {
            Step::Key(key) => value.get(key),
            Step::Index(index) => value.get(index),
        })
}

/// The pointers to all values of a document.
fn places(value: &Value) -> Vec<String> {
    fn collect(value: &Value, place: String, places: &mut Vec<String>) {
        match value {
            Value::Array(values) => (0..).zip(values).for_each(|(index, value): (u32, _)| {
                collect(value, format!("{place}/{index}"), places)
            }),
            Value::Object(entries) => entries
                .iter()
                .for_each(|(key, value)| collect(value, format!("{place}/{key}"), places)),
            _ => {}
        }
        places.push(place);
    }
    let mut places = Vec::new();
    collect(value, String::new(), &mut places);
    places
}

/// What replaces a value, or its key.
fn junk() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u16>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        proptest::sample::select(vec![
            json!([]),
            json!({}),
            json!([{}]),
            json!({ "": 0 }),
            json!("10.0.0.1/24"),
            json!("10.0.0.1"),
            json!("br0"),
            json!("br9"),
            json!("eth0"),
            json!("c1"),
            json!("normal"),
            json!({ "goto": 3 }),
            json!("sock_c0"),
            json!("2GiB"),
            json!("../.."),
            json!("/"),
            json!("@x"),
            json!("arp"),
            json!(0),
        ]),
    ]
}

#[derive(Debug, Clone)]
enum Damage {
    Replace(Value),
    Remove,
    Rename(String),
    /// Puts a copy of another part of the document there.
    Copy(Index),
}

fn damage() -> impl Strategy<Value = (Index, Damage)> {
    let kind = prop_oneof![
        3 => junk().prop_map(Damage::Replace),
        1 => Just(Damage::Remove),
        1 => "[a-z_@/.]{0,6}".prop_map(Damage::Rename),
        1 => any::<Index>().prop_map(Damage::Copy),
    ];
    (any::<Index>(), kind)
}

fn apply(document: &mut Value, (place, damage): &(Index, Damage)) {
    let places = places(document);
    let place = &places[place.index(places.len())];
    let Some((parent, last)) = place.rsplit_once('/') else {
        return;
    };
    let copy = match damage {
        Damage::Replace(value) => value.clone(),
        Damage::Copy(index) => document
            .pointer(&places[index.index(places.len())])
            .cloned()
            .unwrap_or_default(),
        _ => Value::Null,
    };
    match (document.pointer_mut(parent), damage) {
        (Some(Value::Object(entries)), Damage::Remove) => drop(entries.remove(last)),
        (Some(Value::Object(entries)), Damage::Rename(name)) => {
            let value = entries.remove(last).unwrap_or_default();
            entries.insert(name.clone(), value);
        }
        (Some(Value::Array(values)), Damage::Remove | Damage::Rename(_)) => drop(values.pop()),
        (Some(parent), _) => match parent {
            Value::Object(entries) => drop(entries.insert(last.to_owned(), copy)),
            Value::Array(values) => values.push(copy),
            _ => {}
        },
        (None, _) => {}
    }
}

/// What is said of a document, without the lines.
fn said(problems: &Problems) -> Vec<Problem> {
    let unplaced = |problem: &Problem| Problem {
        line: None,
        ..problem.clone()
    };
    problems.iter().map(unplaced).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn good_documents_are_read(document in document()) {
        let declaration = read(&document);
        prop_assert!(declaration.is_ok(), "{document:#}\n{}", declaration.unwrap_err());
    }

    #[test]
    fn good_documents_fit_the_schema(document in document()) {
        valid(&document)?;
    }

    #[test]
    fn what_is_written_is_read_back_the_same(document in document()) {
        let declaration = read(&document).unwrap();
        let written = serde_json::to_value(&declaration).unwrap();
        prop_assert_eq!(read(&written), Ok(declaration.clone()));
        prop_assert_eq!(Declaration::from_yaml(&written.to_string()), Ok(declaration));
        valid(&written)?;
        let again = serde_json::to_value(read(&written).unwrap()).unwrap();
        prop_assert_eq!(written, again);
    }

    #[test]
    fn of_damaged_documents_each_problem_has_its_place(
        document in document(),
        damages in proptest::collection::vec(damage(), 1..4),
    ) {
        let mut document = document;
        damages.iter().for_each(|damage| apply(&mut document, damage));
        if let Err(problems) = read(&document) {
            for problem in &problems {
                prop_assert!(
                    at(&document, &problem.path).is_some() || at(&document, &problem.path.parent()).is_some(),
                    "{problem}\n{document:#}"
                );
                prop_assert!(!problem.found.is_empty() && !problem.accepted.is_empty());
            }
        }
    }

    #[test]
    fn what_the_schema_refuses_is_refused(
        document in document(),
        damages in proptest::collection::vec(damage(), 1..3),
    ) {
        let mut document = document;
        damages.iter().for_each(|damage| apply(&mut document, damage));
        if read(&document).is_ok() {
            valid(&document)?;
        }
    }

    #[test]
    fn json_and_yaml_say_the_same(
        document in document(),
        damages in proptest::collection::vec(damage(), 0..4),
    ) {
        let mut document = document;
        damages.iter().for_each(|damage| apply(&mut document, damage));
        let text = document.to_string();
        match (Declaration::from_json(&text), Declaration::from_yaml(&text)) {
            (Ok(json), Ok(yaml)) => prop_assert_eq!(json, yaml),
            (Err(json), Err(yaml)) => prop_assert_eq!(said(&json), said(&yaml), "{}", text),
            (json, yaml) => prop_assert!(false, "{json:?}\n{yaml:?}\n{text}"),
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = Declaration::from_yaml(&text);
        let _ = Declaration::from_json(&text);
    }

    #[test]
    fn any_yaml_like_text_is_read_or_refused(
        text in r#"([ ]{0,4}(- |\? |: |& ?[a-z]|\*[a-z]|<<: |[a-z0-9.@]{1,6}: ?|"|'|[\[\]{},]|!!?[a-z]*|\||>|#|%|---|\n|\t|[0-9.+eox-]{1,8})){0,24}"#
    ) {
        if let Err(problems) = Declaration::parse(&text, Format::Yaml) {
            prop_assert!(!problems.problems.is_empty());
            prop_assert!(!problems.to_string().is_empty());
        }
    }

    #[test]
    fn a_truncated_document_is_refused_or_read(document in document(), cut in any::<Index>()) {
        let text = serde_json::to_string_pretty(&document).unwrap();
        let cut = cut.index(text.len());
        prop_assume!(text.is_char_boundary(cut));
        prop_assert!(Declaration::from_json(&text[..cut]).is_err());
        let _ = Declaration::from_yaml(&text[..cut]);
    }
}
