//! What is asked and what is answered.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::Error;

/// What a tool does to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Nothing.
    Read,
    /// It changes something that can be changed back.
    Write,
    /// Something may be lost for good.
    Destroy,
}

/// A tool as the daemon describes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tool {
    /// Matches `^[a-zA-Z0-9_-]{1,64}$`.
    pub name: String,
    /// A few words for people.
    pub title: String,
    /// What it does and gives.
    pub description: String,
    /// What part of the host it is about, in a word.
    pub domain: String,
    /// What it does to the host.
    pub effect: Effect,
    /// The least role that may call it: `viewer`, `operator` or `admin`.
    pub role: String,
    /// The schema of its arguments.
    pub input_schema: Map<String, Value>,
    /// The schema of its answer.
    pub output_schema: Map<String, Value>,
    /// Arguments that make sense.
    #[serde(default)]
    pub examples: Vec<Value>,
    /// What people say who want it.
    #[serde(default)]
    pub sentences: Vec<String>,
}

/// Something that happens while a call goes on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Event {
    /// `begin`, `doing`, `done`, `failed`, `undoing`, `undone`, `not-undone`, `note` or `end`.
    pub kind: String,
    /// In words; may be empty.
    #[serde(default)]
    pub text: String,
    /// Steps done so far.
    pub done: usize,
    /// Steps in all, 0 where nobody knows.
    pub total: usize,
}

/// How a call came out.
#[derive(Debug)]
pub struct Answer {
    /// What the tool gave, or why it did not.
    pub result: Result<Value, Error>,
    /// The ledger's entry of it; none for what leaves no trace, and where nobody knows.
    pub entry: Option<i64>,
}

impl Answer {
    /// No answer, for this reason.
    pub(crate) fn failed(error: Error) -> Self {
        Self {
            result: Err(error),
            entry: None,
        }
    }
}

/// What `tools.call` takes.
#[derive(Serialize)]
pub(crate) struct CallParams<'a> {
    name: &'a str,
    arguments: &'a Value,
    dry_run: bool,
    progress: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u64>,
}

/// What `access.whoami` takes where a call is asked about.
#[derive(Serialize)]
pub(crate) struct Question<'a> {
    pub(crate) call: Intended<'a>,
}

/// The call that is asked about.
#[derive(Serialize)]
pub(crate) struct Intended<'a> {
    pub(crate) name: &'a str,
    pub(crate) arguments: &'a Value,
}

/// Parameters with who asks.
#[derive(Serialize)]
pub(crate) struct Stamped<'a, P> {
    #[serde(flatten)]
    pub(crate) params: P,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) via: Option<&'static str>,
}

/// One call of a tool.
#[derive(Clone, Default)]
pub struct Call {
    /// The tool.
    pub name: String,
    /// Its arguments; null for none.
    pub arguments: Value,
    /// Show the plan and change nothing.
    pub dry_run: bool,
    /// The hash of the plan that a person has seen.
    pub plan: Option<String>,
    /// How long it may take; an hour if not said.
    pub timeout: Option<Duration>,
    /// The token of the person behind the call; without one the daemon goes by this process's user.
    pub token: Option<Arc<str>>,
}

impl Call {
    /// A call without arguments.
    pub fn of(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// The same with arguments.
    #[must_use]
    pub fn with(mut self, arguments: Value) -> Self {
        self.arguments = arguments;
        self
    }

    pub(crate) fn params(&self) -> CallParams<'_> {
        let millis = |timeout: Duration| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        CallParams {
            name: &self.name,
            arguments: &self.arguments,
            dry_run: self.dry_run,
            progress: true,
            plan: self.plan.as_deref(),
            timeout_ms: self.timeout.map(millis),
        }
    }
}

/// Without arguments and token, which may be secrets.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let call = &mut f.debug_struct("Call");
        call.field("name", &self.name)
            .field("dry_run", &self.dry_run);
        call.field("plan", &self.plan).finish_non_exhaustive()
    }
}

/// Who the daemon takes the caller for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Identity {
    /// The login name, or `token:NAME`.
    pub name: String,
    /// `viewer`, `operator` or `admin`; none for nothing at all.
    pub role: Option<String>,
    /// The scopes of the token; empty without one.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// What the daemon says to the call that was asked about.
    #[serde(default)]
    pub call: Option<Verdict>,
    /// The session that the token belongs to, if it is one's.
    #[serde(default)]
    pub session: Option<SessionInfo>,
}

/// A session of the web server, which somebody logged in to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SessionInfo {
    /// Its name, which is no secret.
    pub id: String,
    /// When this access token ends, in seconds since 1970.
    pub expires: u64,
    /// When the session ends unless it is renewed before, in seconds since 1970.
    pub until: u64,
}

/// What a login, or a session that is renewed, gives. It has no `Debug`, so that no token is written anywhere.
#[derive(Clone, Deserialize)]
pub struct Tokens {
    /// The login name, or `token:NAME`.
    pub name: String,
    /// `viewer`, `operator` or `admin`.
    pub role: String,
    /// The session.
    pub session: SessionInfo,
    /// Goes with each call.
    pub access: String,
    /// Renews the session, once.
    pub refresh: String,
}

/// A way in for one person, once.
#[derive(Clone, Serialize, Deserialize)]
pub struct Login {
    /// The one-time code.
    pub code: String,
    /// Whose it is.
    pub name: String,
    /// What the session may do.
    pub role: String,
    /// How long it is valid, in seconds.
    pub seconds: u64,
}

/// Whether a caller may call a tool.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Verdict {
    /// They may.
    pub allowed: bool,
    /// The scope that a token needs for it.
    pub scope: String,
    /// Why not.
    #[serde(default)]
    pub reason: Option<String>,
}
