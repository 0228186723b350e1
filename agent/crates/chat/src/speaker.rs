//! Who speaks.

use std::fmt;
use std::sync::Arc;

/// What a speaker has at a moment: sessions are renewed, and roles change.
#[derive(Clone)]
pub struct Right {
    /// Goes to the daemon with each call.
    pub token: Arc<str>,
    /// `viewer`, `operator` or `admin`.
    pub role: String,
}

/// Somebody whom the daemon knows.
#[derive(Clone)]
pub struct Speaker {
    /// The login name, or `token:NAME`.
    pub name: Arc<str>,
    right: Arc<dyn Fn() -> Right + Send + Sync>,
}

impl Speaker {
    /// A speaker; `right` says what they have now, each time it is asked.
    pub fn new(name: &str, right: impl Fn() -> Right + Send + Sync + 'static) -> Self {
        Self {
            name: name.into(),
            right: Arc::new(right),
        }
    }

    /// What they have now.
    pub fn right(&self) -> Right {
        (self.right)()
    }

    /// A call of theirs.
    pub(crate) fn call(&self, tool: &str, arguments: serde_json::Value) -> api::Call {
        api::Call {
            token: Some(self.right().token),
            ..api::Call::of(tool).with(arguments)
        }
    }
}

/// Without the token.
impl fmt::Debug for Speaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Speaker")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
