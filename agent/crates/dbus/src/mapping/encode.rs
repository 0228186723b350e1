//! Values of the bus from JSON.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value};
use zbus::{Array, Dict, ObjectPath, Signature, Structure, Variant};

use super::{EXACT, Problem, Problems, has_descriptor};

/// The longest signature of a value, in bytes (the specification of D-Bus, "Valid Signatures").
const LONGEST_SIGNATURE: usize = 255;
/// How many problems are collected before the rest of the value is left alone.
const MOST_PROBLEMS: usize = 100;

/// A value of the type, from what fits [`super::input`] of that type.
pub fn encode(signature: &Signature, value: &Value) -> Result<Variant<'static>, Problems> {
    let mut problems = Vec::new();
    match encode_at("", signature, value, &mut problems) {
        Some(value) if problems.is_empty() => Ok(value),
        _ => Err(Problems(problems)),
    }
}

/// As [`encode`], for a part of something larger: the value stands at `path` there, and what is wrong with it
/// is added to `problems`. `None` only if something was.
pub fn encode_at(
    path: &str,
    signature: &Signature,
    value: &Value,
    problems: &mut Vec<Problem>,
) -> Option<Variant<'static>> {
    let mut encoder = Encoder {
        path: path.to_owned(),
        problems,
    };
    encoder.encode(signature, value)
}

struct Encoder<'a> {
    path: String,
    problems: &'a mut Vec<Problem>,
}

impl Encoder<'_> {
    fn encode(&mut self, signature: &Signature, value: &Value) -> Option<Variant<'static>> {
        if self.problems.len() >= MOST_PROBLEMS {
            return None;
        }
        match signature {
            Signature::U8 => self.whole::<u8>(value),
            Signature::I16 => self.whole::<i16>(value),
            Signature::U16 => self.whole::<u16>(value),
            Signature::I32 => self.whole::<i32>(value),
            Signature::U32 => self.whole::<u32>(value),
            Signature::I64 => self.long::<i64>(value),
            Signature::U64 => self.long::<u64>(value),
            Signature::F64 => self.double(value),
            Signature::Bool => match value.as_bool() {
                Some(flag) => Some(flag.into()),
                None => self.wrong(value, "true or false"),
            },
            Signature::Str => Some(self.text(value)?.into()),
            Signature::ObjectPath => {
                let text = self.text(value)?;
                match ObjectPath::try_from(text) {
                    Ok(path) => Some(path.into()),
                    Err(_) => self.wrong(value, "an object path such as /org/example/Thing"),
                }
            }
            Signature::Signature => self.signature(value),
            Signature::Array(item) if matches!(**item, Signature::U8) => self.bytes(value),
            Signature::Array(item) => self.array(item, value),
            Signature::Dict { key, value: item } => self.dict(key, item, value),
            Signature::Structure(fields) => {
                let fields: Vec<_> = fields.iter().collect();
                self.structure(&fields, value)
            }
            Signature::Variant => {
                let inner = self.variant(value)?;
                Some(Variant::Variant(Box::new(inner)))
            }
            Signature::Fd | Signature::Unit => {
                self.wrong(value, "nothing, since file descriptors cannot be sent")
            }
        }
    }

    /// Notes that the value is not what it should be.
    fn wrong<T>(&mut self, value: &Value, expected: &str) -> Option<T> {
        let text = format!("{} was given, this must be {expected}", shown(value));
        self.problem(text)
    }

    fn problem<T>(&mut self, text: String) -> Option<T> {
        self.problems.push(Problem {
            path: self.path.clone(),
            text,
        });
        None
    }

    /// Encodes what stands one step further down.
    fn below(
        &mut self,
        step: &str,
        signature: &Signature,
        value: &Value,
    ) -> Option<Variant<'static>> {
        let length = self.path.len();
        self.path.push('/');
        self.path
            .push_str(&step.replace('~', "~0").replace('/', "~1"));
        let encoded = self.encode(signature, value);
        self.path.truncate(length);
        encoded
    }

    fn whole<T: Whole>(&mut self, value: &Value) -> Option<Variant<'static>> {
        match integer(value).and_then(|number| T::try_from(number).ok()) {
            Some(number) => Some(number.into()),
            None => self.wrong(value, &T::range()),
        }
    }

    fn long<T: Whole>(&mut self, value: &Value) -> Option<Variant<'static>> {
        let number = match value {
            Value::String(digits) => digits.parse().ok(),
            value => integer(value),
        };
        match number.and_then(|number| T::try_from(number).ok()) {
            Some(number) => Some(number.into()),
            None => self.wrong(value, &T::range()),
        }
    }

    fn double(&mut self, value: &Value) -> Option<Variant<'static>> {
        match value {
            Value::Number(number) => Some(number.as_f64()?.into()),
            Value::String(name) if name == "NaN" => Some(f64::NAN.into()),
            Value::String(name) if name == "Infinity" => Some(f64::INFINITY.into()),
            Value::String(name) if name == "-Infinity" => Some(f64::NEG_INFINITY.into()),
            value => self.wrong(value, "a number, \"NaN\", \"Infinity\" or \"-Infinity\""),
        }
    }

    fn text(&mut self, value: &Value) -> Option<String> {
        match value.as_str() {
            Some(text) if !text.contains('\0') => Some(text.to_owned()),
            Some(_) => self.wrong(value, "text without a NUL"),
            None => self.wrong(value, "text"),
        }
    }

    fn signature(&mut self, value: &Value) -> Option<Variant<'static>> {
        let text = self.text(value)?;
        match single(&text) {
            Some(signature) => Some(signature.into()),
            None if text.is_empty() => Some(Signature::Unit.into()),
            None => self.wrong(value, "the signature of one type, such as a{sv}"),
        }
    }

    fn bytes(&mut self, value: &Value) -> Option<Variant<'static>> {
        let bytes = match value {
            Value::String(text) => match BASE64_STANDARD.decode(text) {
                Ok(bytes) => bytes,
                Err(_) => {
                    return self.wrong(value, "base64, {\"text\": …} or a list of numbers");
                }
            },
            Value::Object(object) if object.len() == 1 && object.contains_key("text") => {
                match object.get("text").and_then(Value::as_str) {
                    Some(text) => text.as_bytes().to_vec(),
                    None => return self.wrong(value, "{\"text\": …} with text in it"),
                }
            }
            Value::Array(_) => return self.array(&Signature::U8, value),
            value => return self.wrong(value, "base64, {\"text\": …} or a list of numbers"),
        };
        Some(Array::from(bytes).into())
    }

    fn array(&mut self, item: &Signature, value: &Value) -> Option<Variant<'static>> {
        let Value::Array(items) = value else {
            return self.wrong(value, "a list");
        };
        let mut array = Array::new(item);
        let mut whole = true;
        for (index, value) in items.iter().enumerate() {
            match self.below(&index.to_string(), item, value) {
                Some(value) => whole &= self.fits(array.append(value)),
                None => whole = false,
            }
        }
        whole.then(|| array.into())
    }

    fn dict(
        &mut self,
        key: &Signature,
        item: &Signature,
        value: &Value,
    ) -> Option<Variant<'static>> {
        let Value::Object(entries) = value else {
            return self.wrong(value, "an object");
        };
        let mut dict = Dict::new(key, item);
        let mut whole = true;
        for (name, value) in entries {
            let name_value = key_value(key, name);
            let encoded_key = self.below(name, key, &name_value);
            let encoded = self.below(name, item, value);
            match (encoded_key, encoded) {
                (Some(key), Some(value)) => whole &= self.fits(dict.append(key, value)),
                _ => whole = false,
            }
        }
        whole.then(|| dict.into())
    }

    /// What is put into a container has its type, since this module made it so.
    fn fits<E: std::fmt::Display>(&mut self, appended: Result<(), E>) -> bool {
        match appended {
            Ok(()) => true,
            Err(error) => self.problem::<()>(error.to_string()).is_some(),
        }
    }

    fn structure(&mut self, fields: &[&Signature], value: &Value) -> Option<Variant<'static>> {
        let Value::Array(items) = value else {
            return self.wrong(value, &format!("a list of {} items", fields.len()));
        };
        if items.len() != fields.len() {
            let text = format!(
                "a list of {} items was given, this must be one of {}",
                items.len(),
                fields.len()
            );
            return self.problem(text);
        }
        let mut structure = Structure::builder();
        let mut whole = true;
        for (index, (signature, value)) in fields.iter().zip(items).enumerate() {
            match self.below(&index.to_string(), signature, value) {
                Some(value) => structure = structure.append_field(value),
                None => whole = false,
            }
        }
        if !whole {
            return None;
        }
        match structure.build() {
            Ok(structure) => Some(structure.into()),
            Err(error) => self.problem(error.to_string()),
        }
    }

    /// What a variant holds: tagged with its type, or of a type that is plain to see.
    fn variant(&mut self, value: &Value) -> Option<Variant<'static>> {
        match value {
            Value::Bool(flag) => Some((*flag).into()),
            Value::Number(_) => self.encode(inferred(value), value),
            Value::String(_) => self.encode(&Signature::Str, value),
            Value::Array(items) if items.iter().all(Value::is_string) => {
                self.array(&Signature::Str, value)
            }
            Value::Object(object) => match tagged(object) {
                Some((tag, value)) => match single(tag) {
                    Some(signature) if !has_descriptor(&signature) => {
                        self.below("v", &signature, value)
                    }
                    Some(_) => self.problem(format!(
                        "`{tag}` holds a file descriptor, which cannot be sent"
                    )),
                    None => self.problem(format!(
                        "`{tag}` is not the signature of one type; s, u, as and a{{sv}} are some"
                    )),
                },
                None => self.wrong(value, UNTAGGED),
            },
            value => self.wrong(value, UNTAGGED),
        }
    }
}

const UNTAGGED: &str = "a boolean, a number, text, a list of texts, or a value with its type, \
    such as {\"t\": \"a{sv}\", \"v\": {}}";

/// The signature of one complete type.
fn single(text: &str) -> Option<Signature> {
    if text.is_empty() || text.len() > LONGEST_SIGNATURE {
        return None;
    }
    let signature = Signature::try_from(text).ok()?;
    // Several types in a row are parsed as if they were a structure.
    (signature.to_string() == text).then_some(signature)
}

fn tagged(object: &Map<String, Value>) -> Option<(&str, &Value)> {
    let tag = object.get("t")?.as_str()?;
    let value = object.get("v")?;
    (object.len() == 2).then_some((tag, value))
}

/// A whole number, also one that is written as `3.0`: JSON Schema makes no difference.
fn integer(value: &Value) -> Option<i128> {
    let whole = value.as_i64().map(i128::from);
    whole.or(value.as_u64().map(i128::from)).or_else(|| {
        let number = value.as_f64()?;
        let exact = number.fract() == 0.0 && number.abs() <= EXACT as f64;
        exact.then_some(number as i128)
    })
}

/// The type that a number has where nobody says which.
fn inferred(number: &Value) -> &'static Signature {
    match (number.as_i64(), number.as_u64()) {
        (Some(number), _) if i32::try_from(number).is_ok() => &Signature::I32,
        (Some(_), _) => &Signature::I64,
        (None, Some(_)) => &Signature::U64,
        (None, None) => &Signature::F64,
    }
}

/// A key as the JSON value that its text stands for.
fn key_value(key: &Signature, name: &str) -> Value {
    let is_text = matches!(
        key,
        Signature::Str | Signature::ObjectPath | Signature::Signature
    );
    match serde_json::from_str(name) {
        Ok(value @ (Value::Number(_) | Value::Bool(_))) if !is_text => value,
        _ => name.into(),
    }
}

/// A value in an error message: short, whatever it is.
fn shown(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("a list of {} items", items.len()),
        Value::Object(entries) => format!("an object of {} entries", entries.len()),
        Value::String(text) if text.chars().count() > 40 => {
            let start: String = text.chars().take(40).collect();
            format!("{:?} and more", start)
        }
        other => other.to_string(),
    }
}

/// A whole number of the bus.
trait Whole: TryFrom<i128> + Into<Variant<'static>> {
    fn range() -> String;
}

macro_rules! whole {
    ($($number:ty)*) => { $(
        impl Whole for $number {
            fn range() -> String {
                format!("a whole number from {} to {}", <$number>::MIN, <$number>::MAX)
            }
        }
    )* };
}

whole!(u8 i16 u16 i32 u32 i64 u64);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn encoded(signature: &str, value: Value) -> Result<Variant<'static>, String> {
        let signature = Signature::try_from(signature).unwrap();
        encode(&signature, &value).map_err(|problems| problems.to_string())
    }

    #[test]
    fn numbers_are_checked_against_their_range() {
        assert_eq!(encoded("y", json!(255)), Ok(255_u8.into()));
        assert_eq!(encoded("t", json!(3.0)), Ok(3_u64.into()));
        let error = encoded("y", json!(256)).unwrap_err();
        assert_eq!(
            error,
            "256 was given, this must be a whole number from 0 to 255"
        );
        for (signature, value) in [
            ("n", json!(-32769)),
            ("q", json!(-1)),
            ("i", json!(2_147_483_648_u32)),
            ("u", json!(1.5)),
            ("u", json!("7")),
            ("t", json!(-1)),
            ("t", json!("18446744073709551616")),
            ("x", json!(u64::MAX)),
            ("x", json!(1e30)),
        ] {
            assert!(
                encoded(signature, value.clone()).is_err(),
                "{signature} {value}"
            );
        }
        assert_eq!(
            encoded("t", json!(u64::MAX.to_string())),
            Ok(u64::MAX.into())
        );
        assert_eq!(encoded("x", json!(i64::MIN)), Ok(i64::MIN.into()));
    }

    #[test]
    fn every_problem_is_named_with_its_path() {
        let error = encoded(
            "a{s(iau)}",
            json!({ "a/b": [1, [2, -3]], "c": ["x", []], "d": [1] }),
        );
        assert_eq!(
            error.unwrap_err(),
            "/a~1b/1/1: -3 was given, this must be a whole number from 0 to 4294967295\n\
             /c/0: \"x\" was given, this must be a whole number from -2147483648 to 2147483647\n\
             /d: a list of 1 items was given, this must be one of 2"
        );
        let many = json!(vec!["x"; 100_000]);
        let error = encoded("ai", many).unwrap_err();
        assert!(error.ends_with("… and 90 more"), "{error}");
    }

    #[test]
    fn variants_take_plain_and_tagged_values() {
        let plain = [
            (json!(true), "b"),
            (json!(1), "i"),
            (json!(1_i64 << 40), "x"),
            (json!(u64::MAX), "t"),
            (json!(0.5), "d"),
            (json!("x"), "s"),
            (json!(["x"]), "as"),
            (json!({ "t": "ay", "v": "AJ8=" }), "ay"),
        ];
        for (value, expected) in plain {
            let Ok(Variant::Variant(inner)) = encoded("v", value.clone()) else {
                panic!("{value}");
            };
            assert_eq!(*inner.value_signature(), *expected, "{value}");
        }
        for value in [
            json!(null),
            json!({}),
            json!([1, 2]),
            json!({ "t": "ss", "v": [] }),
            json!({ "t": "ah", "v": [] }),
            json!({ "t": "i", "v": "x" }),
            json!({ "t": "i", "v": 1, "w": 2 }),
        ] {
            assert!(encoded("v", value.clone()).is_err(), "{value}");
        }
    }

    #[test]
    fn bytes_are_taken_in_three_forms() {
        let expected: Variant<'_> = Array::from(b"home".to_vec()).into();
        for value in [
            json!("aG9tZQ=="),
            json!({ "text": "home" }),
            json!([104, 111, 109, 101]),
        ] {
            assert_eq!(encoded("ay", value).unwrap(), expected);
        }
        assert!(encoded("ay", json!("home!")).is_err());
        assert!(encoded("ay", json!([256])).is_err());
    }

    #[test]
    fn texts_that_the_bus_cannot_carry_are_refused() {
        assert!(encoded("s", json!("a\0b")).is_err());
        assert!(encoded("o", json!("not/absolute")).is_err());
        assert!(encoded("g", json!("a{")).is_err());
        assert!(encoded("h", json!(3)).is_err());
    }
}
