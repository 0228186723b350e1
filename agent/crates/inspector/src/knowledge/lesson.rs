//! What is to be learned.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{EXAMPLES, KnowledgeError};
use crate::error::Error;
use crate::recognise::Format;
use crate::shape::Shape;
use crate::validate::Checker;

/// The longest note, in bytes.
const LONGEST_NOTE: usize = 4096;

/// The name of something learned: letters, digits, `.`, `_`, `-`, at most 64, a letter or digit first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Name(pub(super) String);

impl std::str::FromStr for Name {
    type Err = KnowledgeError;

    fn from_str(text: &str) -> Result<Self, KnowledgeError> {
        let first = text
            .as_bytes()
            .first()
            .is_some_and(u8::is_ascii_alphanumeric);
        let all = text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        match first && all && text.len() <= 64 {
            true => Ok(Self(text.to_owned())),
            false => Err(KnowledgeError::Invalid(format!(
                "`{}` is no name: it has letters, digits, `.`, `_` and `-`, at most 64, and begins with a letter or digit",
                text.escape_debug().take(80).collect::<String>()
            ))),
        }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// One example, without its content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// Where it came from.
    pub source: String,
    /// The SHA-256 of its bytes, as hexadecimal digits.
    pub sha256: String,
    /// Its length in bytes.
    pub bytes: u64,
}

/// One example, with what it looks like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taught {
    /// What it was.
    pub example: Example,
    /// What it looks like.
    pub shape: Shape,
}

/// What is to be learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lesson {
    /// What the examples are.
    pub format: Format,
    /// The examples; those that were learned from before are passed over.
    pub examples: Vec<Taught>,
    /// A schema that values have to fit besides, written by a person; the one there is stays if this is none.
    #[serde(default)]
    pub rules: Option<Value>,
    /// What it is about, for the search; as for rules.
    #[serde(default)]
    pub note: Option<String>,
}

/// Whether a lesson is within the bounds, and makes sense.
pub(super) fn fits(lesson: &Lesson) -> Result<(), KnowledgeError> {
    let invalid = |text: String| Err(KnowledgeError::Invalid(text));
    if lesson.examples.is_empty() || lesson.examples.len() > EXAMPLES as usize {
        return invalid(format!("there have to be 1 to {EXAMPLES} examples"));
    }
    let mut examples = lesson.examples.iter();
    if let Some(Taught { example, .. }) = examples.find(|Taught { example, shape }| {
        shape.count == 0
            || example.source.len() > 4096
            || example.sha256.len() != 64
            || !example.sha256.bytes().all(|byte| byte.is_ascii_hexdigit())
            || i64::try_from(example.bytes).is_err()
    }) {
        return invalid(format!(
            "the example {:?} is not described as one",
            example.source
        ));
    }
    if lesson
        .note
        .as_ref()
        .is_some_and(|note| note.len() > LONGEST_NOTE)
    {
        return invalid(format!("the note has more than {LONGEST_NOTE} bytes"));
    }
    if let Some(rules) = &lesson.rules {
        let checked = Checker::new(rules).map(drop);
        checked.map_err(|error: Error| KnowledgeError::Invalid(format!("the rules: {error}")))?;
    }
    Ok(())
}
