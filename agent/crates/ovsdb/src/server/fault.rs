//! Errors as the server writes them (RFC 7047, section 4.1.3 and 3.1, `<error>`).

use serde_json::{Value as Json, json};

/// The `error` member of an `<error>`: what programs look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Kind {
    /// The request does not have the form that it must have.
    #[error("syntax error")]
    Syntax,
    /// The server has no database of that name.
    #[error("unknown database")]
    UnknownDatabase,
    /// The table has no column of that name.
    #[error("unknown column")]
    UnknownColumn,
    /// No such condition function.
    #[error("unknown function")]
    UnknownFunction,
    /// No such mutator.
    #[error("unknown mutator")]
    UnknownMutator,
    /// The value, the row or the table breaks a rule of the schema.
    #[error("constraint violation")]
    Constraint,
    /// A strong reference would point nowhere.
    #[error("referential integrity violation")]
    Referential,
    /// A set or map has an element twice.
    #[error("ovsdb error")]
    Duplicate,
    /// Division by zero.
    #[error("domain error")]
    Domain,
    /// The result of a mutation does not fit.
    #[error("range error")]
    Range,
    /// A `wait` was not satisfied in time.
    #[error("timed out")]
    TimedOut,
    /// The transaction asked to be aborted.
    #[error("aborted")]
    Aborted,
    /// The client does not hold the asserted lock.
    #[error("not owner")]
    NotOwner,
    /// Two inserts of a transaction have one name.
    #[error("duplicate uuid-name")]
    DuplicateName,
    /// A row of that identity exists.
    #[error("duplicate uuid")]
    DuplicateUuid,
    /// The database may only be read.
    #[error("not allowed")]
    NotAllowed,
    /// More than the server is ready to keep for one client.
    #[error("resources exhausted")]
    Exhausted,
}

/// Why something was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{kind}: {details}")]
pub struct Fault {
    kind: Kind,
    details: String,
    syntax: Option<String>,
}

/// Longest quotation of the offending JSON; the whole could be megabytes.
const LONGEST_SYNTAX: usize = 1024;

impl Fault {
    pub(crate) fn new(kind: Kind, details: impl Into<String>) -> Self {
        Self {
            kind,
            details: details.into(),
            syntax: None,
        }
    }

    /// A syntax error.
    pub(crate) fn syntax(found: &Json, details: impl Into<String>) -> Self {
        Self::new(Kind::Syntax, details).at(found)
    }

    /// Adds the JSON that was refused.
    pub(crate) fn at(mut self, found: &Json) -> Self {
        let mut text = found.to_string();
        if text.len() > LONGEST_SYNTAX {
            let cut = (0..=LONGEST_SYNTAX).rev();
            let cut = cut.into_iter().find(|cut| text.is_char_boundary(*cut));
            text.truncate(cut.unwrap_or(0));
            text.push('…');
        }
        self.syntax = Some(text);
        self
    }

    /// The `error` member.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The `details` member.
    pub fn details(&self) -> &str {
        &self.details
    }

    /// As an `<error>` object.
    pub fn to_json(&self) -> Json {
        let mut error = json!({ "error": self.kind.to_string(), "details": self.details });
        if let Some(syntax) = &self.syntax {
            error["syntax"] = json!(syntax);
        }
        error
    }
}
