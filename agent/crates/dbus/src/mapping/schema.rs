//! JSON Schemas (draft 2020-12) of the types of the bus.

use serde_json::{Value, json};
use zbus::Signature;

use super::{Mode, Unsupported, has_descriptor};

/// What is accepted for a value of the type.
pub fn input(signature: &Signature) -> Result<Value, Unsupported> {
    supported(signature)?;
    Ok(of(signature, Side::In))
}

/// What is given for a value of the type.
pub fn output(signature: &Signature, mode: Mode) -> Result<Value, Unsupported> {
    supported(signature)?;
    Ok(of(signature, Side::Out(mode)))
}

fn supported(signature: &Signature) -> Result<(), Unsupported> {
    match has_descriptor(signature) {
        true => Err(Unsupported(signature.to_string())),
        false => Ok(()),
    }
}

#[derive(Clone, Copy)]
enum Side {
    In,
    Out(Mode),
}

fn of(signature: &Signature, side: Side) -> Value {
    match signature {
        Signature::U8 => whole(u8::MIN, u8::MAX),
        Signature::I16 => whole(i16::MIN, i16::MAX),
        Signature::U16 => whole(u16::MIN, u16::MAX),
        Signature::I32 => whole(i32::MIN, i32::MAX),
        Signature::U32 => whole(u32::MIN, u32::MAX),
        Signature::I64 => json!({ "anyOf": [
            whole(i64::MIN, i64::MAX),
            { "type": "string", "pattern": "^-?[0-9]{1,19}$" },
        ]}),
        Signature::U64 => json!({ "anyOf": [
            whole(u64::MIN, u64::MAX),
            { "type": "string", "pattern": "^[0-9]{1,20}$" },
        ]}),
        Signature::F64 => json!({ "anyOf": [
            { "type": "number" },
            { "enum": ["NaN", "Infinity", "-Infinity"] },
        ]}),
        Signature::Bool => json!({ "type": "boolean" }),
        Signature::Str => json!({ "type": "string" }),
        Signature::ObjectPath => json!({
            "type": "string",
            "description": "an object path",
            "pattern": OBJECT_PATH,
        }),
        Signature::Signature => json!({
            "type": "string",
            "description": "a type signature",
            "maxLength": 255,
        }),
        Signature::Array(item) if matches!(**item, Signature::U8) => bytes(side),
        Signature::Array(item) => json!({ "type": "array", "items": of(item, side) }),
        Signature::Dict { key, value } => dict(key, of(value, side)),
        Signature::Structure(fields) => structure(fields.iter().map(|field| of(field, side))),
        Signature::Variant => variant(side),
        // Nothing: callers ask `supported` first.
        Signature::Fd | Signature::Unit => json!(false),
    }
}

/// As the specification of D-Bus has it, "Valid Object Paths".
const OBJECT_PATH: &str = "^/([A-Za-z0-9_]+(/[A-Za-z0-9_]+)*)?$";

fn whole(least: impl Into<Value>, most: impl Into<Value>) -> Value {
    json!({ "type": "integer", "minimum": least.into(), "maximum": most.into() })
}

fn structure(fields: impl Iterator<Item = Value>) -> Value {
    let fields: Vec<_> = fields.collect();
    let count = fields.len();
    json!({
        "type": "array",
        "prefixItems": fields,
        "items": false,
        "minItems": count,
        "maxItems": count,
    })
}

fn dict(key: &Signature, value: Value) -> Value {
    let mut schema = json!({ "type": "object", "additionalProperties": value });
    let pattern = match key {
        Signature::U8 | Signature::U16 | Signature::U32 | Signature::U64 => "^[0-9]{1,20}$",
        Signature::I16 | Signature::I32 | Signature::I64 => "^-?[0-9]{1,19}$",
        Signature::Bool => "^(true|false)$",
        Signature::F64 => "^(NaN|-?Infinity|-?[0-9][-+.eE0-9]*)$",
        Signature::ObjectPath => OBJECT_PATH,
        _ => return schema,
    };
    schema["propertyNames"] = json!({ "pattern": pattern });
    schema
}

fn bytes(side: Side) -> Value {
    let base64 = json!({
        "type": "string",
        "description": "bytes, in base64",
        "contentEncoding": "base64",
    });
    let text = json!({
        "type": "object",
        "description": "bytes that are text",
        "properties": { "text": { "type": "string" } },
        "required": ["text"],
        "additionalProperties": false,
    });
    match side {
        Side::Out(Mode::Tagged) => base64,
        Side::Out(Mode::Plain) => json!({ "anyOf": [text, base64] }),
        Side::In => {
            let list = json!({ "type": "array", "items": whole(u8::MIN, u8::MAX) });
            json!({ "anyOf": [base64, text, list] })
        }
    }
}

fn variant(side: Side) -> Value {
    let tagged = json!({
        "type": "object",
        "description": "a value with its D-Bus type, such as {\"t\": \"u\", \"v\": 7}",
        "properties": { "t": { "type": "string" }, "v": true },
        "required": ["t", "v"],
        "additionalProperties": false,
    });
    match side {
        Side::Out(Mode::Plain) => json!({ "description": "a value of any type" }),
        Side::Out(Mode::Tagged) => tagged,
        Side::In => json!({ "anyOf": [
            { "type": ["boolean", "number", "string"] },
            { "type": "array", "items": { "type": "string" } },
            tagged,
        ]}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(signature: &str) -> Value {
        input(&signature.try_into().unwrap()).unwrap()
    }

    #[test]
    fn numbers_have_their_types_range() {
        assert_eq!(
            given("y"),
            json!({ "type": "integer", "minimum": 0, "maximum": 255 })
        );
        assert_eq!(given("t")["anyOf"][0]["maximum"], json!(u64::MAX));
        assert_eq!(given("x")["anyOf"][0]["minimum"], json!(i64::MIN));
    }

    #[test]
    fn structures_are_lists_of_a_length() {
        let schema = given("(sb)");
        assert_eq!(schema["minItems"], 2);
        assert_eq!(schema["items"], json!(false));
        assert_eq!(schema["prefixItems"][1], json!({ "type": "boolean" }));
    }

    #[test]
    fn descriptors_are_refused_however_deep() {
        for signature in ["h", "ah", "a{s(ih)}"] {
            let error = input(&signature.try_into().unwrap()).unwrap_err();
            assert_eq!(error, Unsupported(signature.to_owned()));
        }
    }
}
