//! The forms of Rust's own types.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::{Value as Json, json};

use crate::form::{Form, Text};
use crate::problem::{Problem, Step};
use crate::reader::Reader;
use crate::schema::Definitions;
use crate::tree::{Node, Value};

impl Form<bool> for bool {
    fn accepted() -> String {
        "true or false".to_owned()
    }

    fn decode(node: &Node, reader: &mut Reader) -> Option<bool> {
        let hint = match &node.value {
            Value::Bool(value) => return Some(*value),
            Value::Text(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "y" => Some("write true, without quotes".to_owned()),
                "false" | "no" | "off" | "n" => Some("write false, without quotes".to_owned()),
                _ => None,
            },
            _ => None,
        };
        reader.wrong_type(node, Self::accepted(), hint);
        None
    }

    fn encode(value: &bool) -> Json {
        (*value).into()
    }

    fn schema(_: &mut Definitions) -> Json {
        json!({ "type": "boolean" })
    }
}

/// A whole number from `LOW` to `HIGH`.
pub(crate) struct In<const LOW: u32, const HIGH: u32>;

impl<const LOW: u32, const HIGH: u32> In<LOW, HIGH> {
    fn number<T: TryFrom<u32>>(node: &Node, reader: &mut Reader) -> Option<T> {
        let hint = match &node.value {
            Value::Integer(number) => match u32::try_from(*number) {
                Ok(number) if (LOW..=HIGH).contains(&number) => return T::try_from(number).ok(),
                _ => None,
            },
            Value::Text(text) => u32::from_str(text)
                .ok()
                .map(|number| format!("write {number}, without quotes")),
            _ => None,
        };
        reader.wrong_type(node, Self::range(), hint);
        None
    }

    fn range() -> String {
        format!("a whole number from {LOW} to {HIGH}")
    }
}

macro_rules! number_in {
    ($($type:ty),*) => { $(
        impl<const LOW: u32, const HIGH: u32> Form<$type> for In<LOW, HIGH> {
            fn accepted() -> String {
                Self::range()
            }

            fn decode(node: &Node, reader: &mut Reader) -> Option<$type> {
                Self::number(node, reader)
            }

            fn encode(value: &$type) -> Json {
                (*value).into()
            }

            fn schema(_: &mut Definitions) -> Json {
                json!({ "type": "integer", "minimum": LOW, "maximum": HIGH })
            }
        }
    )* };
}

number_in!(u8, u16, u32);

/// A value, or null for none.
impl<T, F: Form<T>> Form<Option<T>> for Option<F> {
    fn accepted() -> String {
        F::accepted()
    }

    fn decode(node: &Node, reader: &mut Reader) -> Option<Option<T>> {
        match node.value {
            Value::Null => Some(None),
            _ => F::decode(node, reader).map(Some),
        }
    }

    fn encode(value: &Option<T>) -> Json {
        value.as_ref().map_or(Json::Null, F::encode)
    }

    fn schema(definitions: &mut Definitions) -> Json {
        json!({ "anyOf": [F::schema(definitions), { "type": "null" }] })
    }
}

impl<T, F: Form<T>> Form<Vec<T>> for Vec<F> {
    fn accepted() -> String {
        format!("a list, each element {}", F::accepted())
    }

    fn decode(node: &Node, reader: &mut Reader) -> Option<Vec<T>> {
        let Value::List(nodes) = &node.value else {
            let hint = match &node.value {
                Value::Text(text) if text.len() < 40 => Some(format!("write a list: [{text}]")),
                Value::Null => Some("write `[]` for none, or leave the key out".to_owned()),
                _ => None,
            };
            reader.wrong_type(node, Self::accepted(), hint);
            return None;
        };
        let (indexes, values): (Vec<usize>, Vec<T>) = nodes
            .iter()
            .enumerate()
            .filter_map(|(index, node)| {
                Some((index, reader.step::<T, F>(Step::Index(index), node)?))
            })
            .unzip();
        if values.len() < nodes.len() {
            reader.kept.insert(reader.path.clone(), indexes);
        }
        Some(values)
    }

    fn encode(value: &Vec<T>) -> Json {
        value.iter().map(F::encode).collect()
    }

    fn schema(definitions: &mut Definitions) -> Json {
        json!({ "type": "array", "items": F::schema(definitions) })
    }
}

/// A map from names to values.
impl<K: Ord + Text<K>, T, F: Form<T>> Form<BTreeMap<K, T>> for BTreeMap<K, F> {
    fn accepted() -> String {
        format!("a map, each key {}", K::ACCEPTED)
    }

    fn decode(node: &Node, reader: &mut Reader) -> Option<BTreeMap<K, T>> {
        let Value::Map(entries) = &node.value else {
            let hint = matches!(node.value, Value::Null)
                .then(|| "write `{}` for none, or leave the key out".to_owned());
            reader.wrong_type(node, Self::accepted(), hint);
            return None;
        };
        let mut map = BTreeMap::new();
        for (key, node) in entries {
            let name = K::read(key).map_err(|rejected| {
                reader.findings.push(
                    Problem::new(reader.path.key(key), rejected.found(key), K::ACCEPTED)
                        .hint(rejected.hint),
                );
            });
            let value = reader.step::<T, F>(Step::Key(key.clone()), node);
            if let (Ok(name), Some(value)) = (name, value) {
                map.entry(name).or_insert(value);
            }
        }
        Some(map)
    }

    fn encode(value: &BTreeMap<K, T>) -> Json {
        let entries = value
            .iter()
            .map(|(name, value)| (K::write(name), F::encode(value)));
        Json::Object(entries.collect())
    }

    fn schema(definitions: &mut Definitions) -> Json {
        json!({
            "type": "object",
            "propertyNames": <K as Form<K>>::schema(definitions),
            "additionalProperties": F::schema(definitions),
        })
    }
}
