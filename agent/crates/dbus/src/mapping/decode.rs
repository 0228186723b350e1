//! JSON from values of the bus.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Number, Value, json};
use zbus::Variant;

use super::{EXACT, Mode};

/// A value as JSON. It fits [`super::output`] of the value's type in the same mode.
///
/// A file descriptor inside a variant is `null`: it means nothing to whoever reads the text.
pub fn decode(value: &Variant<'_>, mode: Mode) -> Value {
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
        Variant::F64(number) => double(*number),
        Variant::Str(text) => text.as_str().into(),
        Variant::Signature(signature) => signature.to_string().into(),
        Variant::ObjectPath(path) => path.as_str().into(),
        Variant::Variant(inner) => match mode {
            Mode::Plain => decode(inner, mode),
            Mode::Tagged => {
                json!({ "t": inner.value_signature().to_string(), "v": decode(inner, mode) })
            }
        },
        Variant::Array(array) if *array.element_signature() == zbus::Signature::U8 => {
            bytes(array.inner(), mode)
        }
        Variant::Array(array) => array.inner().iter().map(|item| decode(item, mode)).collect(),
        Variant::Dict(dict) => {
            let entries = dict.iter().map(|(key, value)| (text_of(key), decode(value, mode)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
        Variant::Structure(structure) => {
            let fields = structure.fields().iter();
            fields.map(|field| decode(field, mode)).collect()
        }
        Variant::Fd(_) => Value::Null,
    }
}

fn double(number: f64) -> Value {
    match Number::from_f64(number) {
        Some(number) => number.into(),
        None if number.is_nan() => "NaN".into(),
        None if number > 0.0 => "Infinity".into(),
        None => "-Infinity".into(),
    }
}

/// A key, which is always of a basic type.
fn text_of(key: &Variant<'_>) -> String {
    match decode(key, Mode::Plain) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

fn bytes(list: &[Variant<'_>], mode: Mode) -> Value {
    let bytes: Vec<u8> = list
        .iter()
        .filter_map(|item| match item {
            Variant::U8(byte) => Some(*byte),
            _ => None,
        })
        .collect();
    match std::str::from_utf8(&bytes) {
        Ok(text) if mode == Mode::Plain && is_readable(text) => json!({ "text": text }),
        _ => BASE64_STANDARD.encode(&bytes).into(),
    }
}

/// Whether people would call it a text; many peers end theirs with a NUL as C does.
fn is_readable(text: &str) -> bool {
    let text = text.strip_suffix('\0').unwrap_or(text);
    !text.is_empty() && !text.chars().any(char::is_control)
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
            (Variant::from(f64::NEG_INFINITY), literal!("-Infinity")),
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
                literal!({ "text": "eth0\0" }),
            ),
            (Variant::from(Array::from(vec![0_u8, 159])), literal!("AJ8=")),
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
            assert_eq!(decode(&value, Mode::Plain), expected, "{value:?}");
        }
    }

    #[test]
    fn tagged_variants_name_their_type() {
        let value = Variant::Variant(Box::new(Variant::from(7_u8)));
        assert_eq!(
            decode(&value, Mode::Tagged),
            literal!({ "t": "y", "v": 7 })
        );
    }
}
