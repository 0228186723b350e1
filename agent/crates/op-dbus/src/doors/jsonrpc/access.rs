//! The methods by which people log in at the web server: `access.login`, `.exchange`, `.renew` and `.logout`.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use tools::{Door, Registry, Role};

use super::message::{Fault, INVALID_PARAMS, TOOL_ERROR, params};
use crate::doors::Hall;
use crate::doors::sessions::{NoSession, Sessions};
use crate::doors::tokens::Denied;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    #[serde(default)]
    role: Option<Role>,
}

/// A way in: a code, or a declared token. No `Debug`, so that no secret is written anywhere.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    token: Option<String>,
    /// The client says at which door; here it is always the same one.
    #[serde(default, rename = "via")]
    _via: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Renew {
    refresh: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Logout {
    session: String,
}

/// Carries out one of the methods for a peer of this uid; none where it is another one.
pub(super) async fn carry_out(
    hall: &Arc<Hall>,
    uid: u32,
    method: &str,
    asked: Value,
) -> Option<Result<Value, Fault>> {
    Some(match method {
        "access.login" => login(hall, uid, asked).await,
        "access.exchange" => exchange(hall, uid, asked).await,
        "access.renew" => match quiet(asked) {
            Ok(Renew { refresh }) => {
                let renew = move |registry: &Registry, sessions: &Sessions| {
                    sessions.renew(registry, &refresh, uid)
                };
                on_thread(hall, uid, renew).await
            }
            Err(fault) => Err(fault),
        },
        "access.logout" => match quiet(asked) {
            Ok(Logout { session }) => {
                let end = move |registry: &Registry, sessions: &Sessions| {
                    let id = sessions.end(registry.site(), &session)?;
                    Ok(json!({ "session": id }))
                };
                on_thread(hall, uid, end).await
            }
            Err(fault) => Err(fault),
        },
        _ => return None,
    })
}

/// Whoever is at the other end of the socket: a token gives nothing here, so that no session begets another.
async fn login(hall: &Arc<Hall>, uid: u32, asked: Value) -> Result<Value, Fault> {
    let Login { role } = params(asked)?;
    let caller = hall.caller(uid, Door::Jsonrpc);
    let link =
        move |registry: &Registry, sessions: &Sessions| Ok(sessions.link(registry, &caller, role)?);
    on_thread(hall, uid, link).await
}

async fn exchange(hall: &Arc<Hall>, uid: u32, asked: Value) -> Result<Value, Fault> {
    let Exchange { code, token, .. } = quiet(asked)?;
    let owner = Arc::clone(hall);
    let enter = move |registry: &Registry, sessions: &Sessions| match (code, token) {
        (Some(code), None) => sessions.enter_by_link(registry, &code, uid),
        (None, Some(token)) => {
            let web = registry.site().web().unwrap_or_default();
            let bearer = owner.tokens.find(&web, &token, uid);
            // It was counted already.
            let bearer = bearer.map_err(NoSession::Denied)?;
            sessions.enter_by_token(registry, &bearer, &token, uid)
        }
        _ => Err(NoSession::Wrong),
    };
    on_thread(hall, uid, enter).await
}

/// Files are read and written, and a disk may be slow.
async fn on_thread(
    hall: &Arc<Hall>,
    uid: u32,
    work: impl FnOnce(&Registry, &Sessions) -> Result<Value, NoSession> + Send + 'static,
) -> Result<Value, Fault> {
    let owner = Arc::clone(hall);
    let ended = tokio::task::spawn_blocking(move || work(&owner.registry, &owner.sessions)).await;
    match ended {
        Ok(Ok(value)) => {
            hall.ring();
            Ok(value)
        }
        Ok(Err(why)) => Err(fault(hall, uid, why)),
        Err(error) => Err(tools::ToolError::failed("log in", error).into()),
    }
}

/// Reads parameters without repeating them in an error.
fn quiet<T: for<'de> Deserialize<'de>>(asked: Value) -> Result<T, Fault> {
    let wrong =
        "the parameters do not fit the method; they are not repeated, since they are secret";
    serde_json::from_value(asked).map_err(|_| Fault::new(INVALID_PARAMS, wrong))
}

/// Why there is no session. What was never given out counts as a wrong token does.
pub(super) fn fault(hall: &Hall, uid: u32, why: NoSession) -> Fault {
    let (code, message) = match why {
        NoSession::Tool(error) => return error.into(),
        NoSession::Wrong => match hall.tokens.wrong(uid) {
            Denied::Unknown => (Denied::Unknown.code(), NoSession::Wrong.to_string()),
            often => (often.code(), often.to_string()),
        },
        NoSession::Denied(denied) => (denied.code(), denied.to_string()),
        other => ("unauthenticated", other.to_string()),
    };
    Fault {
        code: TOOL_ERROR,
        data: Some(json!({ "code": code, "message": message })),
        message,
    }
}
