//! The standard formats of texts (JSON Schema 2020-12, validation §7.3) that a schema may name.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

/// A set of formats.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Formats(u8);

/// Those that are looked for. A text that has one has hardly another; what is named first counts.
const NAMES: [&str; 8] = [
    "uuid",
    "date-time",
    "date",
    "time",
    "ipv4",
    "ipv6",
    "email",
    "uri",
];

/// The checks of the library that validates, so that what is named here is what will be accepted.
static CHECKS: LazyLock<Vec<Option<Validator>>> = LazyLock::new(|| {
    let check = |name: &&str| {
        let options = jsonschema::draft202012::options().should_validate_formats(true);
        options.build(&json!({ "format": name })).ok()
    };
    NAMES.iter().map(check).collect()
});

impl Formats {
    /// The formats of a text.
    pub(crate) fn of(text: &str) -> Self {
        /// The longest text that is looked at, in bytes.
        const LONGEST: usize = 2048;
        if text.len() < 2 || text.len() > LONGEST {
            return Self::default();
        }
        let value = Value::from(text);
        let mut found = 0;
        for (place, (name, check)) in NAMES.iter().zip(CHECKS.iter()).enumerate() {
            let has = |check: &Validator| may_be(name, text) && check.is_valid(&value);
            if check.as_ref().is_some_and(has) {
                found |= 1 << place;
            }
        }
        Self(found)
    }

    /// Those that both have.
    pub(crate) fn both(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The one that a schema names.
    pub fn name(self) -> Option<&'static str> {
        let place = self.0.trailing_zeros() as usize;
        NAMES.get(place).copied()
    }
}

/// A quick look that spares the check of nearly all texts. A URI has to have an authority here: `a:b` is one too,
/// and hardly ever meant as one.
fn may_be(name: &str, text: &str) -> bool {
    let begins_with_digit = text.as_bytes().first().is_some_and(u8::is_ascii_digit);
    match name {
        "uuid" => text.len() == 36,
        "date-time" => begins_with_digit && text.len() >= 19,
        "date" => begins_with_digit && text.len() == 10,
        "time" => begins_with_digit && text.as_bytes().get(2) == Some(&b':'),
        "ipv4" => begins_with_digit && text.len() <= 15,
        "ipv6" => text.contains(':') && text.len() <= 45,
        "email" => text.contains('@'),
        _ => text.contains("://"),
    }
}

impl Serialize for Formats {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let names = NAMES.iter().enumerate();
        let names = names.filter(|(place, _)| self.0 & (1 << place) != 0);
        serializer.collect_seq(names.map(|(_, name)| name))
    }
}

impl<'de> Deserialize<'de> for Formats {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        let bits = NAMES.iter().enumerate();
        let known = bits.filter(|(_, name)| names.iter().any(|found| found == *name));
        Ok(Self(known.fold(0, |set, (place, _)| set | (1 << place))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_known() {
        for (text, name) in [
            ("2026-11-21T14:42:16Z", Some("date-time")),
            ("2026-11-21", Some("date")),
            ("14:42:16Z", Some("time")),
            ("10.0.0.1", Some("ipv4")),
            ("fd00::1", Some("ipv6")),
            ("a@example.org", Some("email")),
            ("https://example.org/x", Some("uri")),
            ("7d444840-9dc0-11d1-b245-5ffdce74fad2", Some("uuid")),
            ("", None),
            ("10.0.0.256", None),
            ("2026-13-01", None),
            ("a:b", None),
            ("word", None),
        ] {
            assert_eq!(Formats::of(text).name(), name, "{text}");
        }
    }
}
