//! Who speaks over a connection: the user at its other end, or the owner of a token that came with the request.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use tools::{Caller, Door};

use super::access;
use super::message::{Fault, INVALID_PARAMS, TOOL_ERROR};
use crate::doors::Hall;
use crate::doors::sessions::Sessions;
use crate::doors::tokens::Denied;

/// What a request says of its speaker. It has no `Debug`, so that no token is written anywhere.
pub(super) struct Speaker {
    token: Option<String>,
    via: Option<Via>,
}

/// A door of the peer's own, for the ledger. It gives no rights.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Via {
    Mcp,
    Web,
}

/// Who the daemon takes a request's speaker for.
pub(super) struct Known {
    pub(super) caller: Caller,
    scopes: Vec<declaration::Scope>,
    /// The session that the token is of.
    session: Option<Value>,
}

impl Speaker {
    /// Takes `token` and `via` out of the parameters, so that no error can repeat them.
    pub(super) fn take(params: &mut Value) -> Result<Self, Fault> {
        let wrong = |text: &str| Fault::new(INVALID_PARAMS, text);
        let mut taken = |key: &str| params.as_object_mut().and_then(|map| map.remove(key));
        let token = match taken("token") {
            None | Some(Value::Null) => None,
            Some(Value::String(token)) => Some(token),
            Some(_) => return Err(wrong("`token` has to be a text")),
        };
        let via = taken("via").unwrap_or_default();
        let via = Option::<Via>::deserialize(via)
            .map_err(|_| wrong("`via` has to be \"mcp\" or \"web\" where it is given"))?;
        Ok(Self { token, via })
    }

    /// Finds out who that is.
    pub(super) async fn known(self, hall: &Arc<Hall>, uid: u32) -> Result<Known, Fault> {
        let door = match self.via {
            Some(Via::Mcp) => Door::Mcp,
            Some(Via::Web) => Door::Web,
            None => Door::Jsonrpc,
        };
        let Some(token) = self.token else {
            let caller = hall.caller(uid, door);
            let scopes = Vec::new();
            return Ok(Known {
                caller,
                scopes,
                session: None,
            });
        };
        let owner = Arc::clone(hall);
        // Files are read, and a disk may be slow.
        let found = tokio::task::spawn_blocking(move || find(&owner, &token, uid, door)).await;
        found.unwrap_or_else(|_| Err(denied(Denied::Unknown)))
    }
}

/// Whose token this is: a session's, or one that is declared.
fn find(hall: &Hall, token: &str, uid: u32, door: Door) -> Result<Known, Fault> {
    let site = hall.registry.site();
    if Sessions::is_access(token) {
        let known = hall.sessions.find(site, token, uid, door);
        let known = known.map_err(|why| access::fault(hall, uid, why))?;
        return Ok(Known {
            caller: known.caller,
            scopes: known.scopes,
            session: Some(known.session),
        });
    }
    let bearer = match site.web() {
        Some(web) => hall.tokens.find(&web, token, uid),
        None => Err(hall.tokens.wrong(uid)),
    };
    let bearer = bearer.map_err(denied)?;
    Ok(Known {
        caller: Caller::of_token(uid, door, &bearer.name, &bearer.scopes),
        scopes: bearer.scopes,
        session: None,
    })
}

fn denied(why: Denied) -> Fault {
    let message = why.to_string();
    Fault {
        code: TOOL_ERROR,
        data: Some(json!({ "code": why.code(), "message": message })),
        message,
    }
}

/// What `access.whoami` takes beside its speaker.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    /// A call of which the caller wants to know whether it may be made.
    #[serde(default)]
    pub(super) call: Option<Intended>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Intended {
    name: String,
    #[serde(default)]
    arguments: Value,
}

impl Known {
    /// The answer of `access.whoami`. A call that may not be made is recorded, as if it had been tried.
    pub(super) async fn answer(self, hall: &Arc<Hall>, question: Question) -> Result<Value, Fault> {
        let Self {
            caller,
            scopes,
            session,
        } = self;
        let mut answer = json!({ "name": caller.name, "role": caller.role, "scopes": scopes });
        if let Some(session) = session {
            answer["session"] = session;
        }
        if let Some(Intended { name, arguments }) = question.call {
            let role = hall.registry.tool(&name)?.role;
            let may =
                move |registry: &tools::Registry| registry.may_call(&caller, &name, &arguments);
            let verdict = hall.decide(may).await?;
            answer["call"] = json!({ "allowed": verdict.is_ok(), "scope": role.scope() });
            if let Err(why) = verdict {
                answer["call"]["reason"] = json!(why.to_string());
            }
        }
        Ok(answer)
    }
}
