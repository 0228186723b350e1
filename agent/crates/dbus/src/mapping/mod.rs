//! Values of the bus as JSON, and back: schemas for signatures, JSON for values, values from JSON.
//!
//! | bus | JSON |
//! |---|---|
//! | `y n q i u` | a number within the type's range |
//! | `x t` | a number; a string of digits beyond 2⁵³ - 1, which not every reader takes in exactly (RFC 8259 §6) |
//! | `d` | a number, or `"NaN"`, `"Infinity"`, `"-Infinity"` |
//! | `b` | a boolean |
//! | `s o g` | a string |
//! | `ay` | base64 (RFC 4648 §4), or `{"text": …}` for bytes that are text; a list of numbers is taken in too |
//! | `aX` | a list |
//! | `(…)` | a list of as many items |
//! | `a{sX}` | an object; other keys are written as text |
//! | `v` | tagged `{"t": signature, "v": value}`, or the plain value |
//! | `h` | nothing: a descriptor cannot be text |

mod decode;
mod encode;
mod schema;

use std::fmt;

pub use decode::decode;
pub use encode::{encode, encode_at};
pub use schema::{input, output};

/// The largest whole number that every reader of JSON takes in exactly (RFC 8259 §6).
const EXACT: u64 = (1 << 53) - 1;

/// How variants and bytes are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// For people and models: a variant is its value, and bytes that are text are `{"text": …}`.
    #[default]
    Plain,
    /// Nothing is lost: a variant is `{"t": signature, "v": value}`, and bytes are base64.
    Tagged,
}

/// A type that JSON cannot carry: it holds a file descriptor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` holds a file descriptor, which cannot be written as JSON")]
pub struct Unsupported(pub String);

/// One thing that is wrong with a JSON value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it is: a JSON Pointer (RFC 6901), empty for the whole value.
    pub path: String,
    /// What was found, and what would be accepted.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.text),
            path => write!(f, "{path}: {}", self.text),
        }
    }
}

/// Everything that is wrong with a JSON value, in its order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

/// How many problems are named in words.
const NAMED: usize = 10;

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().take(NAMED).enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        match self.0.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, "\n… and {more} more"),
        }
    }
}

/// Whether a value of the type can hold a file descriptor, apart from inside variants.
pub fn has_descriptor(signature: &zbus::Signature) -> bool {
    signature.to_string().contains('h')
}
