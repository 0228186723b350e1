//! The mapping of values, over the types that real services have.
#![allow(clippy::unwrap_used)]

mod samples;

use dbus::mapping::{Mode, Unsupported, decode, encode, input, output};
use jsonschema::Validator;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use zbus::message::Message;
use zbus::{Signature, Structure, Variant};

/// Over the wire and back.
fn sent(value: Variant<'static>) -> Variant<'static> {
    let body = Structure::builder().append_field(value).build().unwrap();
    let message = Message::method_call("/", "Echo").build(&body).unwrap();
    let body = message.body();
    let received: Structure<'_> = body.deserialize().unwrap();
    let received = received.try_clone().unwrap().into_fields();
    // A single structure looks like several arguments.
    let mut fields = match body.signature() {
        Signature::Structure(_) => vec![Variant::Structure(body.deserialize().unwrap())],
        _ => received,
    };
    let value = fields.pop().unwrap();
    value.try_to_owned().unwrap().into()
}

fn schema(schema: Result<Value, Unsupported>) -> Validator {
    let schema = schema.unwrap();
    assert!(jsonschema::draft202012::meta::is_valid(&schema), "{schema}");
    jsonschema::draft202012::new(&schema).unwrap()
}

#[test]
fn the_corpus_is_there() {
    let (types, with_descriptors) = samples::corpus();
    assert!(types.len() > 95, "{}", types.len());
    assert!(!with_descriptors.is_empty());
    for signature in with_descriptors {
        assert!(input(&signature).is_err(), "{signature}");
        assert!(output(&signature, Mode::Plain).is_err(), "{signature}");
    }
}

#[test]
fn json_comes_back_as_it_went_for_every_type() {
    for signature in samples::corpus().0 {
        let given = schema(input(&signature));
        let plain = schema(output(&signature, Mode::Plain));
        let tagged = schema(output(&signature, Mode::Tagged));
        let mut runner = TestRunner::new(Config {
            cases: 40,
            failure_persistence: None,
            ..Config::default()
        });
        let samples = samples::tagged(&signature, 2);
        let result = runner.run(&samples, |value| {
            prop_assert!(given.is_valid(&value), "{signature} does not take {value}");
            let encoded = encode(&signature, &value).unwrap();
            prop_assert_eq!(encoded.value_signature(), &signature);
            let received = sent(encoded);
            let back = decode(&received, Mode::Tagged);
            prop_assert_eq!(&back, &value);
            prop_assert!(tagged.is_valid(&back), "{signature} does not give {back}");
            let shown = decode(&received, Mode::Plain);
            prop_assert!(plain.is_valid(&shown), "{signature} does not give {shown}");
            // What is shown can be given back, apart from the types in variants.
            if !signature.to_string().contains('v') {
                prop_assert!(given.is_valid(&shown), "{signature} does not take {shown}");
                let again = encode(&signature, &shown).unwrap();
                prop_assert_eq!(decode(&again, Mode::Tagged), value);
            }
            Ok(())
        });
        result.unwrap_or_else(|error| panic!("{signature}: {error}"));
    }
}

#[test]
fn no_json_makes_the_encoder_panic_or_pass_what_the_schema_refuses() {
    let anything = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        Just(Value::Null),
    ]
    .prop_recursive(4, 40, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[tv/~0-9a]{0,3}", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    for signature in samples::corpus().0 {
        let given = schema(input(&signature));
        let mut runner = TestRunner::new(Config {
            cases: 30,
            failure_persistence: None,
            ..Config::default()
        });
        let result = runner.run(&anything, |value| {
            if encode(&signature, &value).is_ok() {
                prop_assert!(given.is_valid(&value), "{signature} took {value}");
            }
            Ok(())
        });
        result.unwrap_or_else(|error| panic!("{signature}: {error}"));
    }
}
