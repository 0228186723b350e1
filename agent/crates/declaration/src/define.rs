//! The macros that define records and enumerations, and what their expansions call.

use serde_json::{Map, Value as Json};

use crate::form::Form;
use crate::reader::{Reader, nearest};
use crate::tree::{Node, Value, quote};

/// A struct that is written as a map with known keys.
///
/// A field is `name: Type as Form = default`. Its key is its name, or what stands in brackets behind
/// it; without `as` the type is its own form; without a default the key is required. The doc
/// comments become the descriptions of the schema. With `: Default` behind the name (for records
/// whose fields all have one), the struct implements it.
macro_rules! record {
    (
        $(#[doc = $doc:literal])*
        $vis:vis struct $name:ident: Default { $($body:tt)* }
    ) => {
        record! { $(#[doc = $doc])* $vis struct $name { $($body)* } }
        record! { @impl_default $name { $($body)* } }
    };
    (
        $(#[doc = $doc:literal])*
        $vis:vis struct $name:ident {
            $(
                $(#[doc = $field_doc:literal])*
                $field:ident $(($key:literal))?: $type:ty $(as $form:ty)? $(= $default:expr)?
            ),* $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        $vis struct $name {
            $( $(#[doc = $field_doc])* $vis $field: $type, )*
        }

        impl $crate::form::Form<$name> for $name {
            fn accepted() -> String {
                "a map".to_owned()
            }

            fn decode(
                node: &$crate::tree::Node,
                reader: &mut $crate::reader::Reader,
            ) -> Option<$name> {
                let entries = reader.record(
                    node,
                    &[$(record!(@key $field $($key)?)),*],
                    false $(|| record!(@required $($default)?))*,
                )?;
                $(
                    let $field = reader.field::<$type, record!(@form $type $(, $form)?)>(
                        entries,
                        record!(@key $field $($key)?),
                        record!(@default $($default)?),
                    );
                )*
                Some($name { $($field: $field?),* })
            }

            fn encode(value: &$name) -> serde_json::Value {
                let mut object = serde_json::Map::new();
                $(
                    $crate::define::encode_field::<$type, record!(@form $type $(, $form)?)>(
                        &mut object,
                        record!(@key $field $($key)?),
                        &value.$field,
                    );
                )*
                object.into()
            }

            fn schema(definitions: &mut $crate::schema::Definitions) -> serde_json::Value {
                definitions.define(
                    stringify!($name),
                    concat!($($doc, "\n"),*),
                    |definitions| $crate::schema::Kind::Record(vec![$(
                        definitions.field::<$type, record!(@form $type $(, $form)?)>(
                            record!(@key $field $($key)?),
                            concat!($($field_doc, "\n"),*),
                            record!(@default $($default)?),
                        )
                    ),*]),
                )
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                <$name as $crate::form::Form<$name>>::encode(self).serialize(serializer)
            }
        }
    };
    (@impl_default $name:ident {
        $(
            $(#[doc = $field_doc:literal])*
            $field:ident $(($key:literal))?: $type:ty $(as $form:ty)? = $default:expr
        ),* $(,)?
    }) => {
        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default),* }
            }
        }
    };
    (@key $field:ident) => { stringify!($field) };
    (@key $field:ident $key:literal) => { $key };
    (@form $type:ty) => { $type };
    (@form $type:ty, $form:ty) => { $form };
    (@required) => { true };
    (@required $default:expr) => { false };
    (@default) => { None };
    (@default $default:expr) => { Some(|| $default) };
}

/// An enumeration whose values are written as words.
macro_rules! words {
    (
        $(#[doc = $doc:literal])*
        $vis:vis enum $name:ident {
            $( $(#[doc = $word_doc:literal])* $variant:ident = $word:literal ),* $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $name {
            $( $(#[doc = $word_doc])* $variant, )*
        }

        impl $name {
            /// The word that the document uses.
            $vis const fn as_str(self) -> &'static str {
                match self {
                    $( Self::$variant => $word, )*
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::define::UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $( $word => Ok(Self::$variant), )*
                    _ => Err($crate::define::UnknownWord::new(text, &[$($word),*])),
                }
            }
        }

        impl $crate::form::Form<$name> for $name {
            fn accepted() -> String {
                $crate::define::one_of(&[$($word),*])
            }

            fn decode(
                node: &$crate::tree::Node,
                reader: &mut $crate::reader::Reader,
            ) -> Option<$name> {
                let text = $crate::define::word(node, reader, &[$($word),*])?;
                text.parse().ok()
            }

            fn encode(value: &$name) -> serde_json::Value {
                value.as_str().into()
            }

            fn schema(definitions: &mut $crate::schema::Definitions) -> serde_json::Value {
                definitions.define(
                    stringify!($name),
                    concat!($($doc, "\n"),*),
                    |_| $crate::schema::Kind::Words(vec![
                        $(($word, $crate::schema::prose(concat!($($word_doc, "\n"),*)))),*
                    ]),
                )
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

pub(crate) use {record, words};

/// Adds a field to an encoded record; one without a value is left out.
pub(crate) fn encode_field<T, F: Form<T>>(object: &mut Map<String, Json>, key: &str, value: &T) {
    let value = F::encode(value);
    if !value.is_null() {
        object.insert(key.to_owned(), value);
    }
}

/// The text is none of the words that are accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not {accepted}", quote(.text))]
pub struct UnknownWord {
    text: String,
    accepted: String,
}

impl UnknownWord {
    pub(crate) fn new(text: &str, words: &[&str]) -> Self {
        Self {
            text: text.to_owned(),
            accepted: one_of(words),
        }
    }
}

/// `a`, `b` or `c`.
pub(crate) fn one_of(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// The text of a node that has to be one of some words.
pub(crate) fn word<'n>(node: &'n Node, reader: &mut Reader, words: &[&str]) -> Option<&'n str> {
    match &node.value {
        Value::Text(text) if words.contains(&text.as_str()) => Some(text),
        Value::Text(text) => {
            let lower = text.to_lowercase();
            let hint = nearest(&lower, words).map(|word| format!("did you mean `{word}`?"));
            reader.report(quote(text), one_of(words), hint);
            None
        }
        _ => {
            reader.wrong_type(node, one_of(words), None);
            None
        }
    }
}
