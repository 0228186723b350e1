//! What is sent to the bus, as an independent reader of it sees it.
#![allow(clippy::unwrap_used)]

mod samples;

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use dbus::Bus;
use dbus::mapping::{Mode, decode, encode};
use futures_util::StreamExt;
use lab::Machine;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngSeed, TestRunner};
use serde_json::{Map, Value, json};
use zbus::message::Type;
use zbus::{MessageStream, Signature, Structure, Variant};

const NAME: &str = "org.example.Shelf";

/// Answers each call with what lies on the shelf.
fn serve(bus: &Bus, shelf: Arc<Mutex<Variant<'static>>>) {
    let connection = bus.connection().clone();
    bus.wait(async {
        let mut calls = MessageStream::from(connection.clone());
        connection.request_name(NAME).await.unwrap();
        tokio::spawn(async move {
            while let Some(Ok(call)) = calls.next().await {
                if call.message_type() == Type::MethodCall {
                    let value = shelf.lock().unwrap().try_clone().unwrap();
                    let body = Structure::builder().append_field(value).build().unwrap();
                    connection.reply(&call.header(), &body).await.unwrap();
                }
            }
        });
    });
}

/// What busctl prints, in the form of the tagged mode.
fn translated(signature: &Signature, value: &Value) -> Value {
    match signature {
        Signature::I64 if value.as_i64().unwrap().unsigned_abs() >= 1 << 53 => {
            value.to_string().into()
        }
        Signature::U64 if value.as_u64().unwrap() >= 1 << 53 => value.to_string().into(),
        Signature::F64 => value.as_f64().unwrap().into(),
        Signature::Array(item) if **item == Signature::U8 => {
            let bytes = value.as_array().unwrap().iter();
            let bytes: Vec<u8> = bytes.map(|byte| byte.as_u64().unwrap() as u8).collect();
            BASE64_STANDARD.encode(bytes).into()
        }
        Signature::Array(item) => {
            let items = value.as_array().unwrap().iter();
            items.map(|value| translated(item, value)).collect()
        }
        Signature::Dict { value: item, .. } => {
            let entries = value.as_object().unwrap().iter();
            let entries = entries.map(|(key, value)| (key.clone(), translated(item, value)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
        Signature::Structure(fields) => {
            let values = value.as_array().unwrap();
            let fields = fields.iter().zip(values);
            fields.map(|(field, value)| translated(field, value)).collect()
        }
        Signature::Variant => {
            let tag = value["type"].as_str().unwrap();
            let inner = Signature::try_from(tag).unwrap();
            json!({ "t": tag, "v": translated(&inner, &value["data"]) })
        }
        _ => value.clone(),
    }
}

#[test]
fn busctl_reads_what_was_written() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    if !lab::has("busctl") {
        return lab::skip("needs busctl");
    }
    let Some(_daemon) = machine.system_bus() else {
        return;
    };
    let bus = Bus::system().unwrap();
    let shelf = Arc::new(Mutex::new(Variant::from(true)));
    serve(&bus, Arc::clone(&shelf));
    let mut runner = TestRunner::new(Config {
        rng_seed: RngSeed::Fixed(7),
        failure_persistence: None,
        ..Config::default()
    });
    let mut compared = 0;
    for signature in samples::corpus().0 {
        // Keys of other types are more than busctl writes as JSON.
        let text = signature.to_string();
        if text.match_indices("a{").any(|(at, _)| !text[at + 2..].starts_with(['s', 'o'])) {
            continue;
        }
        // JSON has no such numbers, and busctl writes no other.
        let named = |value: &Value| value.to_string().contains("NaN") || value.to_string().contains("Infinity");
        let samples = samples::tagged(&signature, 0).prop_filter("numbers", move |v| !named(v));
        let value = samples.new_tree(&mut runner).unwrap().current();
        *shelf.lock().unwrap() = encode(&signature, &value).unwrap();
        let call = ["--system", "--json=short", "call", NAME, "/", NAME, "Take"];
        let output = lab::output("busctl", &call);
        assert!(output.status.success(), "{signature} {value}: {output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let printed: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(printed["type"], signature.to_string());
        assert_eq!(translated(&signature, &printed["data"][0]), value, "{signature}: {text}");
        let shown = decode(&shelf.lock().unwrap(), Mode::Tagged);
        assert_eq!(shown, value);
        compared += 1;
    }
    assert!(compared > 95, "{compared}");
}
