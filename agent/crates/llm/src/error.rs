//! What can go wrong with a model's server. No error has a key in it.

use std::path::PathBuf;
use std::time::Duration;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The URL of the server is none.
    #[error("`{url}` is no URL of a server: {cause}")]
    Url {
        /// The URL.
        url: String,
        /// Why not.
        cause: String,
    },
    /// The file with the key cannot be used.
    #[error("the key for the model's server cannot be read from {}: {cause}", .path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: String,
    },
    /// No connection, or one that broke before anything was said.
    #[error("the model's server at {server} cannot be reached: {cause}")]
    Away {
        /// The server.
        server: String,
        /// Why not.
        cause: String,
    },
    /// It took too long.
    #[error("the model's server at {server} was silent or busy for longer than {} s", .after.as_secs())]
    TimedOut {
        /// The server.
        server: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// The server has too much to do, or its user asked too much of it: status 429 or 5xx (RFC 9110 §15, RFC 6585 §4).
    #[error("the model's server at {server} cannot answer now (status {status}){}: {complaint}", later(.retry_after))]
    Busy {
        /// The server.
        server: String,
        /// The HTTP status.
        status: u16,
        /// When to come again, as the server says.
        retry_after: Option<Duration>,
        /// What the server says.
        complaint: String,
    },
    /// The server leads elsewhere, which is not followed: the key and the question are for the one that was named.
    #[error("the model's server at {server} leads elsewhere{}: declare the right URL", place(.to))]
    Redirected {
        /// The server.
        server: String,
        /// Where to: scheme, host and port.
        to: Option<String>,
    },
    /// The key is wrong, or there is none: status 401 or 403.
    #[error("the model's server at {server} does not take the key (status {status}): {complaint}")]
    Unauthorised {
        /// The server.
        server: String,
        /// The HTTP status.
        status: u16,
        /// What the server says.
        complaint: String,
    },
    /// The server does not take the request.
    #[error(
        "the model's server at {server} does not take the request (status {status}): {complaint}"
    )]
    Rejected {
        /// The server.
        server: String,
        /// The HTTP status; 200 if it came in the middle of an answer.
        status: u16,
        /// What the server says.
        complaint: String,
    },
    /// A web page came back.
    #[error(
        "a web page answers at {server}, and no model: for most servers the URL ends with `/v1`"
    )]
    WebPage {
        /// The server.
        server: String,
    },
    /// The answer is not what was agreed on.
    #[error("the model's server at {server} answers what cannot be read: {cause}")]
    Garbled {
        /// The server.
        server: String,
        /// What is wrong.
        cause: String,
    },
    /// The answer ended in the middle.
    #[error("the answer of the model's server at {server} ended in the middle")]
    Cut {
        /// The server.
        server: String,
    },
    /// The answer was too large.
    #[error("the model's server at {server} sent too much: more than {most} {what}")]
    TooLarge {
        /// The server.
        server: String,
        /// Of what.
        what: &'static str,
        /// The most that is taken.
        most: usize,
    },
}

impl Error {
    /// Whether the server may well answer later, with nothing changed here.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Away { .. } | Self::TimedOut { .. } | Self::Busy { .. } | Self::Cut { .. }
        )
    }
}

fn later(after: &Option<Duration>) -> String {
    after.map_or_else(String::new, |after| {
        format!(", ask again in {} s", after.as_secs().max(1))
    })
}

fn place(to: &Option<String>) -> String {
    to.as_ref()
        .map_or_else(String::new, |to| format!(", to {to}"))
}
