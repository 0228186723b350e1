//! Who speaks: the token of a request, and what the daemon says to it (RFC 6750).

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use api::{Client, Code, Error, Identity};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, HeaderMap, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::Value;

use crate::plain::Refusal;
use crate::session::{Access, Session, Sessions};

/// The longest token that is looked at.
const LONGEST: usize = 4096;
/// What access tokens of sessions begin with.
const SESSION: &str = "opdbus_s.";
/// The scope that whoever speaks at this door needs at least.
const LEAST: &str = "mcp:read";

/// A challenge (RFC 6750 §3). It names no metadata (RFC 9728): there is no authorization server to find by it, since the
/// operator hands tokens out.
fn challenge(more: &str) -> String {
    format!("Bearer realm=\"op-dbus\"{more}")
}

pub(crate) fn unauthorized(error: &str, text: &str) -> Refusal {
    let error = match error {
        "" => String::new(),
        error => format!(", error=\"{error}\""),
    };
    let more = format!("{error}, scope=\"{LEAST}\"");
    Refusal::new(StatusCode::UNAUTHORIZED, text).with(WWW_AUTHENTICATE, &challenge(&more))
}

fn insufficient(scope: &str, text: &str) -> Refusal {
    let more = format!(", error=\"insufficient_scope\", scope=\"{scope}\"");
    Refusal::new(StatusCode::FORBIDDEN, text).with(WWW_AUTHENTICATE, &challenge(&more))
}

/// Finds out who speaks by a token in the head.
pub(crate) async fn authenticate(
    client: &Client,
    sessions: &Sessions,
    headers: &HeaderMap,
) -> Result<Session, Refusal> {
    let token = token(headers)?;
    identify(client, sessions, token).await
}

/// Finds out whose a token is. The daemon is asked each time, so that what ended there has ended here.
pub(crate) async fn identify(
    client: &Client,
    sessions: &Sessions,
    token: &str,
) -> Result<Session, Refusal> {
    let token: Arc<str> = token.into();
    let who = client.whoami(Some(&token)).await;
    let who = who.map_err(|error| match error.code() {
        // Of a session the daemon says whether to renew it or to log in again.
        Some(Code::Unauthenticated) if token.starts_with(SESSION) => {
            unauthorized("invalid_token", &error.to_string())
        }
        _ => refusal(&error),
    })?;
    let Identity {
        name,
        role,
        session,
        ..
    } = who;
    let Some(role) = role else {
        return Err(insufficient(LEAST, "the token has no scope"));
    };
    let access = Access {
        token,
        role,
        expires: session
            .as_ref()
            .map(|session| UNIX_EPOCH + Duration::from_secs(session.expires)),
        ended: false,
    };
    Ok(sessions.enter(name, session.map(|session| session.id.into()), access))
}

/// Refuses a call that the token's scopes do not allow, before the answer begins. The daemon records it.
pub(crate) async fn permit(client: &Client, token: &str, message: &Value) -> Result<(), Refusal> {
    let (Some("tools/call"), Some(name)) = (
        message["method"].as_str(),
        message["params"]["name"].as_str(),
    ) else {
        return Ok(());
    };
    let arguments = &message["params"]["arguments"];
    let id = message["id"].clone();
    match client.may_call(name, arguments, Some(token)).await {
        Ok(Identity {
            call: Some(verdict),
            ..
        }) if !verdict.allowed => {
            let why = verdict.reason.unwrap_or_default();
            Err(insufficient(&verdict.scope, &why).answering(id))
        }
        Ok(_) => Ok(()),
        // Tools of the protocol's own, or none: that is for the protocol to say.
        Err(error) if error.code() == Some(Code::NotFound) => Ok(()),
        Err(error) => Err(refusal(&error).answering(id)),
    }
}

pub(crate) fn token(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Err(unauthorized(
            "",
            "send a token as `Authorization: Bearer TOKEN`; `op-dbus web token NAME` makes one",
        ));
    };
    let credentials = value.to_str().ok().and_then(|text| text.split_once(' '));
    match credentials {
        Some((scheme, token))
            if scheme.eq_ignore_ascii_case("bearer")
                && values.next().is_none()
                && is_token(token.trim_start()) =>
        {
            Ok(token.trim_start())
        }
        _ => Err(unauthorized(
            "invalid_request",
            "the Authorization header has to be one `Bearer TOKEN`",
        )),
    }
}

/// `b64token` of RFC 6750 §2.1.
fn is_token(text: &str) -> bool {
    let stem = text.trim_end_matches('=');
    !stem.is_empty()
        && text.len() <= LONGEST
        && stem
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
}

pub(crate) fn refusal(error: &Error) -> Refusal {
    match (error, error.code()) {
        (_, Some(Code::Unauthenticated)) => {
            unauthorized("invalid_token", "the token is not known on this host")
        }
        (_, Some(Code::RateLimited)) => {
            let text = "too many wrong tokens came lately: wait a while";
            Refusal::new(StatusCode::TOO_MANY_REQUESTS, text).with(RETRY_AFTER, "10")
        }
        (Error::TooMuch(_), _) => Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
        (Error::Away { .. } | Error::Gone | Error::TimedOut, _) => {
            log::warn!("{error}");
            let text =
                "the daemon is away: try again in a moment; `systemctl status op-dbusd` says more";
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, text).with(RETRY_AFTER, "2")
        }
        _ => {
            log::error!("{error}");
            Refusal::new(
                StatusCode::BAD_GATEWAY,
                "the daemon does not answer as it should: its log says more",
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_of_the_form_that_they_have() {
        let long = "a".repeat(LONGEST + 1);
        for good in ["abc", "a-._~+/9==", &long[1..]] {
            assert!(is_token(good), "{good}");
        }
        for bad in ["", "=", "a b", "a=b", "a,b", "ä", &long] {
            assert!(!is_token(bad), "{bad}");
        }
    }
}
