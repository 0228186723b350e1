//! Names whose values are nobody's business, and are therefore neither shown nor kept.

/// Parts of such names.
const PARTS: [&str; 14] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "credential",
    "private",
    "authorization",
    "api_key",
    "apikey",
    "access_key",
    "accesskey",
    "cookie",
    "psk",
];

/// What is shown instead.
pub const MASK: &str = "…";

/// Whether a name sounds like that of a secret. Dashes and underscores are alike.
pub fn sounds_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace(['-', '.', ' '], "_");
    PARTS.iter().any(|part| name.contains(part))
        || name == "key"
        || name.ends_with("_key")
        || name == "auth"
}

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

    #[test]
    fn secrets_are_known_by_their_names() {
        for name in [
            "DB_PASSWORD",
            "api-key",
            "X-Auth-Token",
            "AWS_SECRET_ACCESS_KEY",
            "psk",
            "key",
        ] {
            assert!(sounds_secret(name), "{name}");
        }
        for name in ["name", "keyboard", "author", "monkey", "path"] {
            assert!(!sounds_secret(name), "{name}");
        }
    }
}
