//! Why something could not be looked at.

use std::time::Duration;

/// Why something could not be looked at. No content is repeated in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There are more bytes than the limit, packed or unpacked.
    #[error("it has more than {0} bytes, which is the most that is looked at")]
    TooLarge(usize),
    /// It is nested deeper than the limit.
    #[error("it is nested deeper than {0} levels, which is the most that is looked at")]
    TooDeep(usize),
    /// It has more values than the limit, those that aliases repeat included.
    #[error("it has more than {0} values, which is the most that is looked at")]
    TooMany(usize),
    /// It took longer than the limit.
    #[error("it was not done within {0:?}")]
    TimedOut(Duration),
    /// It is not what it should be.
    #[error("it is no {format}: {reason}")]
    Syntax {
        /// What it should be, such as `JSON`.
        format: &'static str,
        /// What is wrong with it, and where.
        reason: String,
    },
    /// A file could not be read.
    #[error("{path}: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why not.
        reason: String,
    },
    /// A schema that cannot be used.
    #[error("the schema cannot be used: {0}")]
    Schema(String),
}

impl Error {
    /// Something that is not what it should be.
    pub(crate) fn syntax(format: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::Syntax {
            format,
            reason: bounded(&reason.to_string()),
        }
    }

    /// Whether it is a bound that was met, and not a fault in what was looked at.
    pub fn is_limit(&self) -> bool {
        matches!(
            self,
            Self::TooLarge(_) | Self::TooDeep(_) | Self::TooMany(_) | Self::TimedOut(_)
        )
    }
}

/// The first line of a parser's message, and not more of it than people read.
fn bounded(text: &str) -> String {
    const SHOWN: usize = 200;
    let line: String = text.lines().next().unwrap_or_default().to_owned();
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
