//! The protocol's end: one server for whatever is behind it, and for both eras of the protocol.
//!
//! A client that begins with `initialize` speaks the era with sessions (up to 2025-11-25); one whose requests
//! say their version in `_meta` speaks the era without (2026-07-28). The library tells them apart; what differs
//! here is how a confirmation is asked for, and how changes of resources are told.

mod answer;
mod call;
mod confirm;
mod handler;
mod list;
mod plan;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{ErrorData, ProtocolVersion};
use rmcp::service::RequestContext;

use crate::backend::{Backend, Fault, Speaker};
use confirm::Seal;
use watch::Watches;

pub use answer::{ERROR_KEY, LARGEST};

/// What a server says of itself, and how it behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its name for programs, such as `op-dbus`.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// Its version.
    pub version: String,
    /// What a model should know before it uses the tools.
    pub instructions: String,
    /// How long a person may think about a confirmation.
    pub patience: Duration,
}

impl Options {
    /// A server of this name, with five minutes for a confirmation.
    pub fn new(name: impl Into<String>, title: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            title: title.into(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instructions: String::new(),
            patience: Duration::from_secs(300),
        }
    }

    /// With words for models.
    #[must_use]
    pub fn instructions(mut self, instructions: impl Into<String>) -> Self {
        self.instructions = instructions.into();
        self
    }
}

/// A server that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// There is no randomness for the key of confirmations.
    #[error("the system gives no random numbers: {0}")]
    Random(String),
}

/// An MCP server over a backend. Serve it on stdio, or give a clone to each HTTP request or session: clones
/// share everything but the resources that their client watches.
pub struct Server {
    shared: Arc<Shared>,
    watches: Watches,
}

struct Shared {
    backend: Arc<dyn Backend>,
    options: Options,
    seal: Seal,
}

impl Clone for Server {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            watches: Watches::default(),
        }
    }
}

impl Server {
    /// A server over a backend. Confirmations are signed by a key of this server alone: they end with it.
    pub fn new(backend: Arc<dyn Backend>, options: Options) -> Result<Self, ServerError> {
        let shared = Shared {
            backend,
            options,
            seal: Seal::new()?,
        };
        Ok(Self {
            shared: Arc::new(shared),
            watches: Watches::default(),
        })
    }

    fn backend(&self) -> &dyn Backend {
        &*self.shared.backend
    }
}

/// Who speaks: what the HTTP layer found out, and nobody in particular on stdio.
fn speaker(context: &RequestContext<RoleServer>) -> Speaker {
    let parts = context.extensions.get::<http::request::Parts>();
    parts
        .and_then(|parts| parts.extensions.get::<Speaker>())
        .or_else(|| context.extensions.get::<Speaker>())
        .cloned()
        .unwrap_or_default()
}

/// Whether the request is of the era without sessions.
fn is_stateless(context: &RequestContext<RoleServer>) -> bool {
    context
        .protocol_version()
        .is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str())
}

/// A fault where the protocol has no result to put it in.
fn protocol_error(fault: &Fault) -> ErrorData {
    let text = fault.to_string();
    match fault {
        Fault::Invalid(_) | Fault::NotFound(_) => ErrorData::invalid_params(text, None),
        _ => ErrorData::internal_error(text, Some(answer::error_data(fault))),
    }
}
