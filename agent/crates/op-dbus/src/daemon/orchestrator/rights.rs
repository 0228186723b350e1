//! With whose rights a task is carried out: its caller's, as they are when it begins.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::{Value, json};
use tasks::Task;
use tools::{Caller, Door, Role, TOKEN, token_of};

use super::{Orchestrator, lock};

/// What is found out about a right that was given by polkit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Right {
    /// It is still there.
    Kept,
    /// It is gone, for this reason.
    Lost(String),
    /// Who had it is no longer on the bus, so that polkit cannot be asked.
    Unknown,
}

/// Asks again whether a right is still there.
pub(crate) type Judge = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Right> + Send>> + Send + Sync>;

/// What is kept of a caller: who, by which door, and what they were allowed then.
pub(super) fn kept(caller: &Caller) -> Value {
    let mut kept = caller.actor();
    kept["role"] = json!(caller.role);
    kept
}

impl Orchestrator {
    /// Who carries out a task. Nobody gets more than what the task was accepted with.
    pub(super) async fn caller_of(&self, task: &Task) -> Caller {
        let judge = lock(&self.patrons)
            .get(&task.id)
            .map(|patron| Arc::clone(&patron.judge));
        let right = match judge {
            Some(judge) => judge().await,
            None => Right::Unknown,
        };
        // Looked up as for the sockets: root, or what the declaration says now.
        let uid = task.caller["uid"]
            .as_u64()
            .and_then(|uid| u32::try_from(uid).ok());
        let uid = uid.unwrap_or(u32::MAX);
        let mut caller = match task.caller["name"].as_str().and_then(token_of) {
            Some(token) => self.bearer(uid, token),
            None => self.hall.caller(uid, Door::Agent),
        };
        caller.on_behalf_of = task.caller["on_behalf_of"].as_str().map(str::to_owned);
        let granted: Option<Role> = serde_json::from_value(task.caller["role"].clone())
            .ok()
            .flatten();
        match right {
            Right::Kept => caller.role = granted,
            Right::Unknown => {
                let by_polkit =
                    [json!(Door::Dbus), json!(Door::Agent)].contains(&task.caller["door"]);
                if by_polkit && caller.role < granted {
                    caller.refusal = Some(format!(
                        "polkit had allowed it, but {} has left the bus, and the declaration gives less",
                        caller.name
                    ));
                }
                caller.role = caller.role.min(granted);
            }
            Right::Lost(reason) => {
                caller.role = None;
                caller.refusal = Some(reason);
            }
        }
        caller
    }

    /// The owner of a token, with the scopes that the declaration gives to it now.
    fn bearer(&self, uid: u32, token: &str) -> Caller {
        let web = self.hall.registry.site().web().unwrap_or_default();
        match web.tokens.get_key_value(token) {
            Some((name, token)) => Caller::of_token(uid, Door::Agent, name, &token.scopes),
            None => {
                // Nor does the web server's user get anything in its place.
                let mut caller = self.hall.caller(uid, Door::Agent);
                caller.name = format!("{TOKEN}{token}");
                caller.role = None;
                caller.refusal = Some(format!(
                    "the token `{token}` is not declared any more, under `web.tokens`"
                ));
                caller
            }
        }
    }
}
