//! What turns texts into vectors: the built-in embedding, or a model in its place.

use std::fmt;
use std::str::FromStr;

use crate::embedding::{Embedding, VERSION, embed};

/// The longest name of a model, in bytes.
const LONGEST: usize = 64;

/// Names a model and its version, such as `built-in-1`. Vectors compare only where it is the same.
///
/// Up to 64 ASCII letters, digits, `.`, `_` and `-`, beginning with a letter or a digit: it names a file as well.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelId(String);

/// A name that no model can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` names no model: up to {LONGEST} letters, digits, `.`, `_` and `-`, the first a letter or a digit"
)]
pub struct NotAModelId(String);

impl ModelId {
    /// The name of the built-in embedding.
    pub fn built_in() -> Self {
        Self(format!("built-in-{VERSION}"))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ModelId {
    type Err = NotAModelId;

    fn from_str(text: &str) -> Result<Self, NotAModelId> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let begins = text
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric());
        match begins && text.len() <= LONGEST && text.bytes().all(allowed) {
            true => Ok(Self(text.to_owned())),
            false => Err(NotAModelId(text.chars().take(2 * LONGEST).collect())),
        }
    }
}

/// Why texts could not be embedded, in words for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EmbedError(pub String);

/// Turns texts into vectors of [`crate::DIMENSIONS`] numbers.
///
/// The same text gives the same vector, whatever else stands in the batch, for as long as the id is the same.
pub trait Embedder: Send + Sync {
    /// The model and its version.
    fn id(&self) -> ModelId;

    /// One vector for each text, in their order.
    ///
    /// # Errors
    ///
    /// Where the model cannot be read or run; nothing was embedded then.
    fn embed(&self, texts: &[&str]) -> Result<Vec<Embedding>, EmbedError>;

    /// How much its rank counts beside that of words, which counts 1.
    fn weight(&self) -> f64 {
        1.0
    }

    /// How many texts are best given at once.
    fn batch(&self) -> usize {
        256
    }
}

/// The built-in embedding, which needs no model and never fails.
#[derive(Debug, Clone, Copy, Default)]
pub struct BuiltIn;

impl Embedder for BuiltIn {
    fn id(&self) -> ModelId {
        ModelId::built_in()
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Embedding>, EmbedError> {
        Ok(texts.iter().map(|text| embed(text)).collect())
    }

    /// Less than words, since it knows little more than they do.
    fn weight(&self) -> f64 {
        0.5
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_has_a_name_that_a_file_may_have() {
        assert_eq!(ModelId::built_in().as_str(), "built-in-1");
        for good in ["built-in-1", "minilm-l6-int8.0a1b2c3d", "9"] {
            assert_eq!(good.parse::<ModelId>().unwrap().to_string(), good);
        }
        let long = "a".repeat(LONGEST + 1);
        for bad in ["", ".", "../x", "a/b", "-a", "a b", "\u{e4}", long.as_str()] {
            assert!(bad.parse::<ModelId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_built_in_one_gives_a_vector_for_each_text() {
        let vectors = BuiltIn.embed(&["restart nginx", ""]).unwrap();
        assert_eq!(vectors, [embed("restart nginx"), embed("")]);
    }
}
