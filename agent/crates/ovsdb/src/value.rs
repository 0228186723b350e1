//! Values as RFC 7047, section 5.1, writes them in JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde_json::{Value as Json, json};

/// What is not a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an OVSDB {expected}: {found}")]
pub struct ValueError {
    expected: &'static str,
    found: String,
}

impl ValueError {
    pub(crate) fn new(expected: &'static str, found: &Json) -> Self {
        let mut found = found.to_string();
        // Enough to find it; the whole could be megabytes.
        if let Some((cut, _)) = found.char_indices().nth(80) {
            found.truncate(cut);
            found.push('…');
        }
        Self { expected, found }
    }
}

/// A row's identity, in the form `8-4-4-4-12` hex digits (RFC 4122).
// In place and not on the heap: identities are copied and compared at every step of a transaction.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid([u8; 36]);

impl Uuid {
    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uuid({self})")
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Uuid {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = || ValueError::new("UUID", &json!(text));
        let mut bytes: [u8; 36] = text.as_bytes().try_into().map_err(|_| wrong())?;
        let fits = bytes.iter().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
        if !fits {
            return Err(wrong());
        }
        bytes.make_ascii_lowercase();
        Ok(Self(bytes))
    }
}

/// A single value.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub enum Atom {
    /// A whole number.
    Integer(i64),
    /// A real number.
    Real(f64),
    /// True or false.
    Boolean(bool),
    /// A text.
    String(String),
    /// A row.
    Uuid(Uuid),
    /// A row that the same transaction inserts under this name: an identifier, `[A-Za-z_][A-Za-z0-9_]*`.
    Named(String),
}

impl Atom {
    /// As JSON.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Integer(number) => json!(number),
            // A whole number is written as one, as `ovsdb-server` does.
            #[allow(clippy::cast_possible_truncation)]
            Self::Real(number) if number.fract() == 0.0 && number.abs() < 1e15 => {
                json!(*number as i64)
            }
            Self::Real(number) => json!(number),
            Self::Boolean(truth) => json!(truth),
            Self::String(text) => json!(text),
            Self::Uuid(uuid) => json!(["uuid", uuid.as_str()]),
            Self::Named(name) => json!(["named-uuid", name]),
        }
    }

    /// From JSON.
    pub fn from_json(json: &Json) -> Result<Self, ValueError> {
        let wrong = || ValueError::new("atom", json);
        match json {
            Json::Bool(truth) => Ok(Self::Boolean(*truth)),
            Json::String(text) => Ok(Self::String(text.clone())),
            Json::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(number), _) => Ok(Self::Integer(number)),
                (None, Some(number)) => Ok(Self::Real(number)),
                (None, None) => Err(wrong()),
            },
            Json::Array(pair) => match pair.as_slice() {
                [Json::String(tag), Json::String(text)] if tag == "uuid" => {
                    Ok(Self::Uuid(text.parse()?))
                }
                [Json::String(tag), Json::String(text)] if tag == "named-uuid" => {
                    Ok(Self::Named(text.clone()))
                }
                _ => Err(wrong()),
            },
            Json::Null | Json::Object(_) => Err(wrong()),
        }
    }
}

impl From<&str> for Atom {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<i64> for Atom {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<Uuid> for Atom {
    fn from(uuid: Uuid) -> Self {
        Self::Uuid(uuid)
    }
}

/// A column's value. A set with one element and that element alone are the same on the wire.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Any number of atoms; one atom is a set of one.
    Set(Vec<Atom>),
    /// Pairs.
    Map(Vec<(Atom, Atom)>),
}

impl Value {
    /// No element.
    pub const EMPTY: Self = Self::Set(Vec::new());

    /// One atom.
    pub fn of(atom: impl Into<Atom>) -> Self {
        Self::Set(vec![atom.into()])
    }

    /// A map from texts to texts.
    pub fn map<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let pairs = pairs.into_iter();
        Self::Map(
            pairs
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
        )
    }

    /// As JSON. An empty map is `["map",[]]`, which no set can be.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Set(atoms) => match atoms.as_slice() {
                [atom] => atom.to_json(),
                atoms => json!(["set", atoms.iter().map(Atom::to_json).collect::<Vec<_>>()]),
            },
            Self::Map(pairs) => {
                let pairs = pairs
                    .iter()
                    .map(|(key, value)| json!([key.to_json(), value.to_json()]));
                json!(["map", pairs.collect::<Vec<_>>()])
            }
        }
    }

    /// From JSON.
    pub fn from_json(json: &Json) -> Result<Self, ValueError> {
        let wrong = || ValueError::new("value", json);
        if let Json::Array(parts) = json
            && let [Json::String(tag), Json::Array(items)] = parts.as_slice()
        {
            return match tag.as_str() {
                "set" => Ok(Self::Set(
                    items
                        .iter()
                        .map(Atom::from_json)
                        .collect::<Result<_, _>>()?,
                )),
                "map" => {
                    let pair = |item: &Json| match item.as_array().map(Vec::as_slice) {
                        Some([key, value]) => Ok((Atom::from_json(key)?, Atom::from_json(value)?)),
                        _ => Err(wrong()),
                    };
                    Ok(Self::Map(items.iter().map(pair).collect::<Result<_, _>>()?))
                }
                _ => Err(wrong()),
            };
        }
        Ok(Self::Set(vec![Atom::from_json(json)?]))
    }

    /// The only element, if it is a text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Set(atoms) => match atoms.as_slice() {
                [Atom::String(text)] => Some(text),
                _ => None,
            },
            Self::Map(_) => None,
        }
    }

    /// The only element, if it is a whole number.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Set(atoms) => match atoms.as_slice() {
                [Atom::Integer(number)] => Some(*number),
                _ => None,
            },
            Self::Map(_) => None,
        }
    }

    /// The rows among the elements.
    pub fn uuids(&self) -> Vec<Uuid> {
        let atoms = match self {
            Self::Set(atoms) => atoms.as_slice(),
            Self::Map(_) => &[],
        };
        let uuid = |atom: &Atom| match atom {
            Atom::Uuid(uuid) => Some(uuid.clone()),
            _ => None,
        };
        atoms.iter().filter_map(uuid).collect()
    }

    /// The pairs of texts among the elements.
    pub fn strings(&self) -> BTreeMap<String, String> {
        let pairs = match self {
            Self::Map(pairs) => pairs.as_slice(),
            Self::Set(_) => &[],
        };
        let pair = |pair: &(Atom, Atom)| match pair {
            (Atom::String(key), Atom::String(value)) => Some((key.clone(), value.clone())),
            _ => None,
        };
        pairs.iter().filter_map(pair).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn atom() -> impl Strategy<Value = Atom> {
        prop_oneof![
            any::<i64>().prop_map(Atom::Integer),
            any::<bool>().prop_map(Atom::Boolean),
            ".*".prop_map(Atom::String),
            "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
                .prop_map(|text| Atom::Uuid(text.parse().unwrap())),
            "[a-z_][a-z0-9_]{0,8}".prop_map(Atom::Named),
        ]
    }

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            prop::collection::vec(atom(), 0..5).prop_map(Value::Set),
            prop::collection::vec((atom(), atom()), 0..5).prop_map(Value::Map),
        ]
    }

    proptest! {
        #[test]
        fn values_survive_the_wire(value in value()) {
            let text = value.to_json().to_string();
            prop_assert_eq!(Value::from_json(&serde_json::from_str(&text).unwrap()).unwrap(), value);
        }

        #[test]
        fn no_json_does_harm(text in r#"(\[|\]|"set"|"map"|"uuid"|,|1|"x"|null|\{\}){0,20}"#) {
            if let Ok(json) = serde_json::from_str::<Json>(&text) {
                let _ = Value::from_json(&json);
            }
        }
    }

    #[test]
    fn the_forms_of_the_wire() {
        assert_eq!(Value::EMPTY.to_json(), json!(["set", []]));
        assert_eq!(Value::map([]).to_json(), json!(["map", []]));
        assert_eq!(Value::of("x").to_json(), json!("x"));
        // A bare reference is a set of one, not a set called `uuid`.
        let uuid = "01234567-89ab-cdef-0123-456789abcdef";
        assert_eq!(
            Value::from_json(&json!(["uuid", uuid]))
                .unwrap()
                .uuids()
                .len(),
            1
        );
        assert!(Value::from_json(&json!(["uuid", "short"])).is_err());
        assert!(Value::from_json(&json!({})).is_err());
    }
}
