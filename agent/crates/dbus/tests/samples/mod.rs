//! JSON for the types of real services.
#![allow(dead_code)]

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use dbus::mapping::has_descriptor;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use zbus::Signature;

const CORPUS: &str = include_str!("../corpus/signatures.txt");

/// The types of the corpus, with and without descriptors.
pub(crate) fn corpus() -> (Vec<Signature>, Vec<Signature>) {
    let lines = CORPUS.lines().filter(|line| !line.starts_with('#'));
    let all = lines.map(|line| Signature::try_from(line).unwrap());
    all.partition(|signature| !has_descriptor(signature))
}

/// JSON of a type, as the tagged mode writes it.
pub(crate) fn tagged(signature: &Signature, depth: u32) -> BoxedStrategy<Value> {
    match signature {
        Signature::U8 => any::<u8>().prop_map(Value::from).boxed(),
        Signature::I16 => any::<i16>().prop_map(Value::from).boxed(),
        Signature::U16 => any::<u16>().prop_map(Value::from).boxed(),
        Signature::I32 => any::<i32>().prop_map(Value::from).boxed(),
        Signature::U32 => any::<u32>().prop_map(Value::from).boxed(),
        Signature::I64 => prop_oneof![any::<i64>(), -9..9_i64]
            .prop_map(|number| match number.unsigned_abs() < 1 << 53 {
                true => number.into(),
                false => number.to_string().into(),
            })
            .boxed(),
        Signature::U64 => prop_oneof![any::<u64>(), 0..9_u64]
            .prop_map(|number| match number < 1 << 53 {
                true => number.into(),
                false => number.to_string().into(),
            })
            .boxed(),
        Signature::F64 => prop_oneof![
            8 => (-100_000_000..100_000_000_i64).prop_map(|n| json!(n as f64 / 64.0)),
            1 => Just(json!("NaN")),
            1 => Just(json!("-Infinity")),
        ]
        .boxed(),
        Signature::Bool => any::<bool>().prop_map(Value::from).boxed(),
        Signature::Str => "[^\\x00]{0,12}".prop_map(Value::from).boxed(),
        Signature::ObjectPath => path().prop_map(Value::from).boxed(),
        Signature::Signature => prop_oneof![Just(""), Just("s"), Just("a{sv}"), Just("(iiay)")]
            .prop_map(Value::from)
            .boxed(),
        Signature::Array(item) if **item == Signature::U8 => {
            proptest::collection::vec(any::<u8>(), 0..20)
                .prop_map(|bytes| BASE64_STANDARD.encode(bytes).into())
                .boxed()
        }
        Signature::Array(item) => proptest::collection::vec(tagged(item, depth), 0..4)
            .prop_map(Value::from)
            .boxed(),
        Signature::Dict { key, value } => {
            let key = match &**key {
                Signature::Str => "[^\\x00]{0,6}".boxed(),
                Signature::ObjectPath => path(),
                key => tagged(key, depth)
                    .prop_map(|key| match key {
                        Value::String(text) => text,
                        other => other.to_string(),
                    })
                    .boxed(),
            };
            proptest::collection::vec((key, tagged(value, depth)), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>()))
                .boxed()
        }
        Signature::Structure(fields) => {
            let fields: Vec<_> = fields.iter().map(|field| tagged(field, depth)).collect();
            fields.prop_map(Value::from).boxed()
        }
        Signature::Variant => {
            let inner: &[&'static str] = match depth {
                0 => &["s", "u", "t", "d", "ay", "b"],
                _ => &["s", "x", "as", "ay", "a{sv}", "v", "(ib)", "a{us}", "aav", "o", "g"],
            };
            let inner = proptest::sample::select(inner.to_vec());
            inner
                .prop_flat_map(move |tag| {
                    let signature = Signature::try_from(tag).unwrap();
                    tagged(&signature, depth.saturating_sub(1))
                        .prop_map(move |value| json!({ "t": tag, "v": value }))
                })
                .boxed()
        }
        Signature::Fd | Signature::Unit => unreachable!("not of the corpus"),
    }
}

fn path() -> BoxedStrategy<String> {
    proptest::collection::vec("[A-Za-z0-9_]{1,5}", 0..4)
        .prop_map(|steps| format!("/{}", steps.join("/")))
        .boxed()
}
