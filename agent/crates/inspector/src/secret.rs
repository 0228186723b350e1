//! Names whose values are nobody's business, and are therefore neither shown nor kept.

pub use secret_names::sounds_secret;

/// What is shown instead.
pub const MASK: &str = "…";

/// A value without what stands under names that sound secret.
pub fn masked(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(map) => map
            .into_iter()
            .map(
                |(key, value)| match sounds_secret(&key) && !matches!(value, Value::Object(_)) {
                    true => (key, MASK.into()),
                    false => (key, masked(value)),
                },
            )
            .collect(),
        Value::Array(values) => values.into_iter().map(masked).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_of_secrets_are_masked_and_their_structure_is_not() {
        let value = json!({ "name": "a", "api-key": "b", "auth": { "user": "c", "pwd": "d" }, "list": [{ "psk": 1 }] });
        let shown = json!({ "name": "a", "api-key": MASK, "auth": { "user": "c", "pwd": MASK }, "list": [{ "psk": MASK }] });
        assert_eq!(masked(value), shown);
    }
}
