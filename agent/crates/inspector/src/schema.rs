//! A JSON Schema (draft 2020-12) for what examples look like.

use serde_json::{Map, Value, json};

use crate::format::Formats;
use crate::secret::sounds_secret;
use crate::shape::{Keys, Objects, Shape, Texts, all};

/// The draft.
pub const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Fewer texts than this say nothing about which others there may be.
const MANY: u64 = 8;
/// Each of few different texts is there so often on average, or there may be others.
const OFTEN: u64 = 4;

impl Shape {
    /// The schema that every value of the shape is valid against.
    ///
    /// Types are those that were seen (an integer and a number make a number). A key is required if every
    /// object has it. Few texts that come again and again are an enumeration; a format is named if all
    /// texts have it; keys that are data (addresses, numbers, identifiers) are not named one by one.
    pub fn schema(&self) -> Value {
        let mut schema = json!({ "$schema": DRAFT });
        if let (Some(whole), Value::Object(mine)) = (schema.as_object_mut(), self.node()) {
            whole.extend(mine);
        }
        schema
    }

    fn node(&self) -> Value {
        let mut types = Vec::new();
        let mut node = Map::new();
        if self.nulls > 0 {
            types.push("null");
        }
        if self.booleans > 0 {
            types.push("boolean");
        }
        if let Some(numbers) = &self.numbers {
            types.push(if numbers.integers {
                "integer"
            } else {
                "number"
            });
        }
        if let Some(texts) = &self.texts {
            types.push("string");
            let alone = texts.count == self.count;
            match (texts.enumeration(), texts.formats.name()) {
                (Some(values), _) if alone => drop(node.insert("enum".to_owned(), values)),
                (_, Some(name)) => drop(node.insert("format".to_owned(), json!(name))),
                _ => {}
            }
        }
        if let Some(lists) = &self.lists {
            types.push("array");
            if lists.items.count > 0 {
                node.insert("items".to_owned(), lists.items.node());
            }
        }
        if let Some(objects) = &self.objects {
            types.push("object");
            objects.describe(&mut node);
        }
        let types = match types.as_slice() {
            [] => return Value::Object(node),
            [only] => json!(only),
            several => json!(several),
        };
        node.insert("type".to_owned(), types);
        Value::Object(node)
    }

    /// A value to begin with: what every example has, filled with what is known of it.
    pub fn template(&self) -> Value {
        match self {
            Self {
                objects: Some(objects),
                ..
            } => match objects.named() {
                Some(keys) => {
                    let needed = keys
                        .iter()
                        .filter(|(_, shape)| shape.count >= objects.count);
                    let entries = needed.map(|(key, shape)| (key.clone(), shape.template()));
                    Value::Object(entries.collect())
                }
                None => json!({}),
            },
            Self {
                lists: Some(lists), ..
            } => match lists.min {
                0 => json!([]),
                _ => json!([lists.items.template()]),
            },
            Self {
                texts: Some(texts), ..
            } => json!(texts.example()),
            Self {
                numbers: Some(numbers),
                ..
            } if numbers.integers => json!(numbers.min as i64),
            Self {
                numbers: Some(numbers),
                ..
            } => json!(numbers.min),
            Self { booleans: 1.., .. } => json!(false),
            _ => Value::Null,
        }
    }
}

impl Texts {
    fn enumeration(&self) -> Option<Value> {
        let values = self.values.as_ref()?;
        let often = self.count >= MANY.max(OFTEN.saturating_mul(values.len() as u64));
        (often && self.formats == Formats::default()).then(|| json!(values))
    }

    fn example(&self) -> String {
        let first = self.values.as_ref().and_then(|values| values.first());
        first.cloned().unwrap_or_default()
    }
}

impl Objects {
    /// The keys with their shapes, unless they are data.
    pub(crate) fn named(&self) -> Option<&std::collections::BTreeMap<String, Shape>> {
        match &self.keys {
            Keys::Named(keys) if !keys_are_data(keys.keys()) => Some(keys),
            _ => None,
        }
    }

    fn describe(&self, node: &mut Map<String, Value>) {
        let values = match (&self.keys, self.named()) {
            (_, Some(keys)) => {
                let required: Vec<_> = keys
                    .iter()
                    .filter(|(_, shape)| shape.count >= self.count)
                    .map(|(key, _)| key)
                    .collect();
                if !required.is_empty() {
                    node.insert("required".to_owned(), json!(required));
                }
                let properties: Map<_, _> = keys
                    .iter()
                    .map(|(key, shape)| (key.clone(), property(key, shape)))
                    .collect();
                node.insert("properties".to_owned(), Value::Object(properties));
                return;
            }
            (Keys::Many(values), None) => values.node(),
            (Keys::Named(keys), None) => all(keys.clone()).node(),
        };
        node.insert("additionalProperties".to_owned(), values);
    }
}

fn property(key: &str, shape: &Shape) -> Value {
    let mut node = shape.node();
    if sounds_secret(key) && shape.texts.is_some() {
        node["writeOnly"] = json!(true);
    }
    node
}

/// Whether keys are data and no names: at least two, and all numbers, addresses, paths or identifiers.
fn keys_are_data<'k>(keys: impl Iterator<Item = &'k String>) -> bool {
    let mut count = 0;
    for key in keys {
        count += 1;
        if !is_data(key) {
            return false;
        }
    }
    count >= 2
}

fn is_data(key: &str) -> bool {
    let digits = key.bytes().all(|byte| byte.is_ascii_digit());
    let hexadecimal = key.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mac = key.len() == 17
        && key.split(':').count() == 6
        && key
            .bytes()
            .all(|byte| byte == b':' || byte.is_ascii_hexdigit());
    !key.is_empty()
        && (digits
            || (hexadecimal && key.len() >= 12)
            || mac
            || (key.starts_with('/') && key.len() > 1)
            || matches!(
                Formats::of(key).name(),
                Some("uuid" | "date" | "date-time" | "ipv4" | "ipv6" | "email" | "uri")
            ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e300..1e300).prop_map(Value::from),
            prop::sample::select(vec![
                "",
                "a",
                "b",
                "on",
                "off",
                "10.0.0.1",
                "fd00::1",
                "2026-01-01",
                "2026-01-01T00:00:00Z",
                "x@y.org",
                "https://a.example/b",
                "7d444840-9dc0-11d1-b245-5ffdce74fad2",
                "12:00:00Z",
            ])
            .prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            let keys = prop_oneof![
                prop::sample::select(vec!["a", "b", "c", "1", "2", "/x", "10.0.0.1", "password"])
                    .prop_map(str::to_owned),
                "\\PC{0,6}",
            ];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(keys, inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn merged(mut one: Shape, other: Shape) -> Shape {
        one.merge(other);
        one
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn every_example_is_valid(examples in prop::collection::vec(values(), 1..12)) {
            let schema = Shape::of_all(&examples).schema();
            prop_assert!(jsonschema::draft202012::meta::is_valid(&schema), "{schema}");
            let validator = jsonschema::draft202012::options()
                .should_validate_formats(true)
                .build(&schema)
                .unwrap();
            for example in &examples {
                prop_assert!(validator.is_valid(example), "{example} against {schema}");
            }
        }

        #[test]
        fn the_order_makes_no_difference(a in values(), b in values(), c in values()) {
            let [a, b, c] = [a, b, c].map(|value| Shape::of(&value));
            let one = merged(merged(a.clone(), b.clone()), c.clone());
            let other = merged(a.clone(), merged(b.clone(), c.clone()));
            prop_assert_eq!(&one, &other);
            prop_assert_eq!(&one, &merged(c, merged(b, a.clone())));
            prop_assert_eq!(&merged(a.clone(), Shape::default()), &a);
            prop_assert_eq!(&merged(Shape::default(), a.clone()), &a);
        }

        #[test]
        fn shapes_are_kept_as_they_are(value in values()) {
            let shape = Shape::of(&value);
            let text = serde_json::to_string(&shape).unwrap();
            prop_assert_eq!(serde_json::from_str::<Shape>(&text).unwrap(), shape);
        }
    }

    #[test]
    fn too_many_keys_are_one_shape_in_any_order() {
        let part = |from: usize| -> Value {
            let keys = from..from + 200;
            Value::Object(
                keys.map(|key| (format!("key-{key}"), json!({ "n": key })))
                    .collect(),
            )
        };
        let [a, b, c] = [0, 150, 300].map(|from| Shape::of(&part(from)));
        let one = merged(merged(a.clone(), b.clone()), c.clone());
        let other = merged(merged(c, a), b);
        assert_eq!(one, other);
        assert_eq!(
            one.schema()["additionalProperties"]["properties"]["n"]["type"],
            "integer"
        );
    }

    #[test]
    fn examples_say_what_is_required_and_of_what_type() {
        let examples = [
            json!({ "name": "a", "port": 1, "note": null }),
            json!({ "name": "b", "port": 1.5, "tags": ["x"] }),
        ];
        assert_eq!(
            Shape::of_all(&examples).schema(),
            json!({
                "$schema": DRAFT, "type": "object", "required": ["name", "port"],
                "properties": {
                    "name": { "type": "string" },
                    "port": { "type": "number" },
                    "note": { "type": "null" },
                    "tags": { "type": "array", "items": { "type": "string" } },
                },
            })
        );
    }

    #[test]
    fn only_many_texts_make_an_enumeration_and_no_secret_does() {
        let examples = |count: usize| -> Vec<Value> {
            let word = |place| ["on", "off"][place % 2];
            (0..count)
                .map(|place| json!({ "state": word(place), "password": word(place) }))
                .collect()
        };
        let few = Shape::of_all(&examples(7)).schema();
        assert_eq!(few["properties"]["state"], json!({ "type": "string" }));
        let many = Shape::of_all(&examples(8)).schema();
        assert_eq!(
            many["properties"]["state"],
            json!({ "type": "string", "enum": ["off", "on"] })
        );
        assert_eq!(
            many["properties"]["password"],
            json!({ "type": "string", "writeOnly": true })
        );
        let shape = serde_json::to_string(&Shape::of(&json!({ "token": ["hunter2"] }))).unwrap();
        assert!(!shape.contains("hunter2"));
    }

    #[test]
    fn keys_that_are_data_are_not_named() {
        let shape = Shape::of(&json!({ "10.0.0.1": { "up": true }, "10.0.0.2": { "up": false } }));
        let schema = shape.schema();
        assert_eq!(schema["additionalProperties"]["required"], json!(["up"]));
        assert!(schema.get("properties").is_none());
    }

    #[test]
    fn a_template_has_what_every_example_has() {
        let examples = [
            json!({ "name": "a", "port": 8, "on": true, "tags": ["x"], "token": "t" }),
            json!({ "name": "b", "port": 9, "on": true, "tags": ["y"], "token": "u", "more": 1 }),
        ];
        assert_eq!(
            Shape::of_all(&examples).template(),
            json!({ "name": "a", "port": 8, "on": false, "tags": ["x"], "token": "" })
        );
    }
}
