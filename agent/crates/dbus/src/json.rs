//! Values of the bus as plain JSON.

use serde_json::{Map, Number, Value};
use zbus::Variant;

/// The largest number that every reader of JSON takes in exactly (RFC 8259 §6).
const EXACT: u64 = (1 << 53) - 1;

/// A value as plain JSON: maps with text keys are objects, structures and arrays are lists, bytes that are
/// text are a string, and numbers that JSON readers would round are strings of digits.
pub fn json(value: &Variant<'_>) -> Value {
    match value {
        Variant::U8(number) => (*number).into(),
        Variant::Bool(flag) => (*flag).into(),
        Variant::I16(number) => (*number).into(),
        Variant::U16(number) => (*number).into(),
        Variant::I32(number) => (*number).into(),
        Variant::U32(number) => (*number).into(),
        Variant::I64(number) if number.unsigned_abs() > EXACT => number.to_string().into(),
        Variant::I64(number) => (*number).into(),
        Variant::U64(number) if *number > EXACT => number.to_string().into(),
        Variant::U64(number) => (*number).into(),
        Variant::F64(number) => match Number::from_f64(*number) {
            Some(number) => number.into(),
            None => number.to_string().into(),
        },
        Variant::Str(text) => text.as_str().into(),
        Variant::Signature(signature) => signature.to_string().into(),
        Variant::ObjectPath(path) => path.as_str().into(),
        Variant::Variant(inner) => json(inner),
        Variant::Array(array) => {
            bytes(array.inner()).unwrap_or_else(|| array.inner().iter().map(json).collect())
        }
        Variant::Dict(dict) => {
            let entries = dict.iter().map(|(key, value)| (key_text(key), json(value)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
        Variant::Structure(structure) => structure.fields().iter().map(json).collect(),
        // A descriptor means nothing to whoever reads the text.
        Variant::Fd(_) => Value::Null,
    }
}

fn key_text(key: &Variant<'_>) -> String {
    match json(key) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// Bytes that are text.
fn bytes(list: &[Variant<'_>]) -> Option<Value> {
    let bytes = list.iter().map(|item| match item {
        Variant::U8(byte) => Some(*byte),
        _ => None,
    });
    let bytes: Vec<u8> = bytes.collect::<Option<_>>()?;
    let text = String::from_utf8(bytes).ok()?;
    let text = text.strip_suffix('\0').unwrap_or(&text);
    let plain = !text.is_empty() && !text.chars().any(char::is_control);
    plain.then(|| text.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json as literal;
    use zbus::{Array, Dict, ObjectPath, Signature, Str, Structure};

    use super::*;

    #[test]
    fn every_kind_of_value_has_a_plain_form() {
        let mut dict = Dict::new(&Signature::U32, &Signature::Variant);
        dict.append(
            Variant::from(7_u32),
            Variant::Variant(Box::new(Variant::from("x"))),
        )
        .unwrap();
        let cases = [
            (Variant::from(true), literal!(true)),
            (Variant::from(-3_i16), literal!(-3)),
            (Variant::from(u64::MAX), literal!("18446744073709551615")),
            (Variant::from(EXACT), literal!(9_007_199_254_740_991_u64)),
            (Variant::from(i64::MIN), literal!("-9223372036854775808")),
            (Variant::from(0.5), literal!(0.5)),
            (Variant::from(f64::NAN), literal!("NaN")),
            (Variant::from("text"), literal!("text")),
            (
                Variant::from(ObjectPath::try_from("/a").unwrap()),
                literal!("/a"),
            ),
            (
                Variant::from(Array::from(vec!["a", "b"])),
                literal!(["a", "b"]),
            ),
            (
                Variant::from(Array::from(b"eth0\0".to_vec())),
                literal!("eth0"),
            ),
            (
                Variant::from(Array::from(vec![0_u8, 159])),
                literal!([0, 159]),
            ),
            (
                Variant::from(Array::from(Vec::<Str<'_>>::new())),
                literal!([]),
            ),
            (
                Variant::from(Structure::from((1_u8, "a"))),
                literal!([1, "a"]),
            ),
            (Variant::Dict(dict), literal!({ "7": "x" })),
        ];
        for (value, expected) in cases {
            assert_eq!(json(&value), expected, "{value:?}");
        }
    }
}
