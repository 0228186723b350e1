//! Metadata in its stored form: canonical JSON (RFC 8785) of an object that is I-JSON (RFC 7493).

use serde_json::Value;

/// The largest whole number that every reader of JSON reads alike (RFC 7493, section 2.2): 2^53 − 1.
const LARGEST: f64 = 9_007_199_254_740_991.0;
/// Deepest nesting; readers of JSON commonly stop at 128.
const DEEPEST: usize = 100;

/// Why a value cannot be the metadata of an entry.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum NotMetadata {
    #[error("it must be a JSON object")]
    NotAnObject,
    #[error(
        "the number {0} is beyond ±(2^53 − 1), where readers of JSON differ; write it as a string"
    )]
    NumberTooLarge(serde_json::Number),
    #[error("it is nested more than {DEEPEST} levels deep")]
    TooDeep,
    #[error("{0}")]
    NotJson(String),
}

/// The stored form. Reading it back gives `metadata` again, and writing that the same text.
pub(crate) fn canonical(metadata: &Value) -> Result<String, NotMetadata> {
    if !metadata.is_object() {
        return Err(NotMetadata::NotAnObject);
    }
    check(metadata, DEEPEST)?;
    serde_json_canonicalizer::to_string(metadata).map_err(|e| NotMetadata::NotJson(e.to_string()))
}

/// What a stored form says.
pub(crate) fn read(text: &str) -> Result<Value, NotMetadata> {
    serde_json::from_str(text).map_err(|error| NotMetadata::NotJson(error.to_string()))
}

fn check(value: &Value, levels: usize) -> Result<(), NotMetadata> {
    let below = || levels.checked_sub(1).ok_or(NotMetadata::TooDeep);
    match value {
        Value::Number(number) if !number.as_f64().is_some_and(|n| n.abs() <= LARGEST) => {
            Err(NotMetadata::NumberTooLarge(number.clone()))
        }
        Value::Array(values) => {
            let levels = below()?;
            values.iter().try_for_each(|value| check(value, levels))
        }
        Value::Object(members) => {
            let levels = below()?;
            members.values().try_for_each(|value| check(value, levels))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Any metadata that can be stored.
    pub(crate) fn object() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-(1_i64 << 53) + 1..1_i64 << 53).prop_map(Value::from),
            (-LARGEST..LARGEST).prop_map(Value::from),
            (-1.0..1.0).prop_map(|n: f64| Value::from(n.powi(99))),
            any::<String>().prop_map(Value::from),
        ];
        let value = leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::hash_map(any::<String>(), inner, 0..6)
                    .prop_map(|members| members.into_iter().collect()),
            ]
        });
        proptest::collection::hash_map(any::<String>(), value, 0..6)
            .prop_map(|members| members.into_iter().collect())
    }

    #[test]
    fn members_are_sorted_by_utf_16_and_numbers_are_short() {
        // RFC 8785, section 3.2.3: U+1F600 comes before U+FB33 by its first UTF-16 unit.
        let value =
            json!({ "\u{fb33}": 1.0, "\u{1f600}": 1e-7, "\u{80}": -0.0, "\r": true, "1": [] });
        let text = "{\"\\r\":true,\"1\":[],\"\u{80}\":0,\"\u{1f600}\":1e-7,\"\u{fb33}\":1}";
        assert_eq!(canonical(&value).unwrap(), text);
    }

    #[test]
    fn what_readers_would_not_agree_on_is_refused() {
        assert_eq!(canonical(&json!([])), Err(NotMetadata::NotAnObject));
        assert_eq!(canonical(&json!(null)), Err(NotMetadata::NotAnObject));
        for number in [
            json!(1_u64 << 53),
            json!(u64::MAX),
            json!(i64::MIN),
            json!(1e300),
            json!(f64::MAX),
        ] {
            let refused = canonical(&json!({ "a": [number] }));
            assert!(
                matches!(refused, Err(NotMetadata::NumberTooLarge(_))),
                "{number}"
            );
        }
        assert!(canonical(&json!({ "a": (1_u64 << 53) - 1 })).is_ok());
    }

    #[test]
    fn deep_nesting_is_refused() {
        let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!({ "a": inner }));
        assert!(canonical(&nested(DEEPEST)).is_ok());
        assert_eq!(canonical(&nested(DEEPEST + 1)), Err(NotMetadata::TooDeep));
        assert_eq!(canonical(&nested(500)), Err(NotMetadata::TooDeep));
    }

    proptest! {
        #[test]
        fn the_stored_form_reads_back_and_is_stable(metadata in object()) {
            let text = canonical(&metadata).unwrap();
            let read = read(&text).unwrap();
            prop_assert_eq!(&canonical(&read).unwrap(), &text);
            prop_assert!(same(&read, &metadata), "{} {}", read, metadata);
        }
    }

    /// Equal as JSON, where 1 and 1.0 are one number.
    fn same(a: &Value, b: &Value) -> bool {
        match (a, b) {
            (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
            (Value::Array(a), Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
            }
            (Value::Object(a), Value::Object(b)) => {
                a.len() == b.len()
                    && a.iter()
                        .all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
            }
            _ => a == b,
        }
    }
}
