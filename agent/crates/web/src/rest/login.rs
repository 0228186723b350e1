//! Sessions: begun, renewed, shown, ended.

use std::time::{SystemTime, UNIX_EPOCH};

use api::{Code, Error, Tokens};
use axum::body::Body;
use axum::http::header::{AUTHORIZATION, SET_COOKIE};
use axum::http::{HeaderValue, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Ask;
use crate::bearer;
use crate::cookies::Cookie;
use crate::plain::{Refusal, json_response};
use crate::session::Access;

/// The way in. It has no `Debug`, so that no secret is written anywhere.
#[derive(Deserialize)]
#[serde(untagged)]
enum Key {
    Code { code: String },
    Token { token: String },
}

/// Seconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// Begins a session. The page itself has to ask: another one must not log its visitor in as somebody else.
pub(super) async fn login(ask: Ask) -> Result<Response<Body>, Refusal> {
    let key = Key::deserialize(&ask.body).map_err(|_| {
        let text = "send {\"code\": …} with the code of a login link, or {\"token\": …} with a declared token";
        Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, text)
    })?;
    let client = &ask.rest.client;
    let (tokens, what) = match &key {
        Key::Code { code } => (client.exchange_code(code).await, "the link"),
        Key::Token { token } => (client.exchange_token(token).await, "the token"),
    };
    match tokens {
        Ok(tokens) => Ok(entered(&ask, tokens)),
        Err(error) if error.code() == Some(Code::Unauthenticated) => Err(bearer::unauthorized(
            "invalid_token",
            &format!(
                "{what} is not valid, or not any more: `op-dbus web login` prints another link"
            ),
        )),
        Err(error) => Err(bearer::refusal(&error)),
    }
}

/// Renews a session by its second cookie.
pub(super) async fn renew(ask: Ask) -> Result<Response<Body>, Refusal> {
    let over = || {
        let text = "the session is over: `op-dbus web login` prints another link";
        bearer::unauthorized("invalid_token", text)
    };
    let refresh = Cookie::Refresh.read(&ask.headers, ask.secure)?;
    let renewed = match refresh {
        Some(refresh) => ask.rest.client.renew(refresh).await,
        None => return Err(over()),
    };
    match renewed {
        Ok(tokens) => Ok(entered(&ask, tokens)),
        Err(error) if error.code() == Some(Code::Unauthenticated) => {
            Err(forgetting(&ask).fold(over(), Refusal::setting))
        }
        Err(error) => Err(bearer::refusal(&error)),
    }
}

/// Ends the session, whichever of its tokens came.
pub(super) async fn logout(ask: Ask) -> Result<Response<Body>, Refusal> {
    let read = |cookie: Cookie| cookie.read(&ask.headers, ask.secure);
    let tokens = match ask.headers.contains_key(AUTHORIZATION) {
        true => [Some(bearer::token(&ask.headers)?), None],
        false => [read(Cookie::Access)?, read(Cookie::Refresh)?],
    };
    for token in tokens.into_iter().flatten() {
        match ask.rest.client.logout(token).await {
            Ok(id) => ask.rest.sessions.end(&id),
            // One that is over already is what was asked for.
            Err(Error::Tool { .. }) => {}
            Err(error) => return Err(bearer::refusal(&error)),
        }
    }
    let mut gone = json_response(StatusCode::OK, &json!({ "session": Value::Null }));
    for cookie in forgetting(&ask) {
        gone.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(gone)
}

/// Who asks.
pub(super) async fn session(ask: Ask) -> Result<Response<Body>, Refusal> {
    let session = ask.session()?;
    let Access { role, expires, .. } = session.access();
    let expires = expires.and_then(|end| end.duration_since(UNIX_EPOCH).ok());
    let body = json!({
        "user": session.name,
        "role": role,
        "session": session.id.as_deref(),
        "expires": expires.map(|end| end.as_secs()),
    });
    Ok(json_response(StatusCode::OK, &body))
}

/// The answer to who has a new pair of tokens.
fn entered(ask: &Ask, tokens: Tokens) -> Response<Body> {
    let now = now();
    let left = |end: u64| end.saturating_sub(now);
    let access = Access {
        token: tokens.access.as_str().into(),
        role: tokens.role.clone(),
        expires: Some(UNIX_EPOCH + std::time::Duration::from_secs(tokens.session.expires)),
        ended: false,
    };
    let id = tokens.session.id.as_str().into();
    // Connections that go on learn of the new token.
    ask.rest
        .sessions
        .enter(tokens.name.clone(), Some(id), access);
    let body = json!({
        "user": tokens.name,
        "role": tokens.role,
        "session": tokens.session.id,
        "expires": tokens.session.expires,
        "until": tokens.session.until,
    });
    let mut response = json_response(StatusCode::OK, &body);
    let cookies = [
        (Cookie::Access, &tokens.access, tokens.session.expires),
        (Cookie::Refresh, &tokens.refresh, tokens.session.until),
    ];
    for (cookie, value, end) in cookies {
        if let Some(header) = cookie.write(value, left(end), ask.secure_cookies) {
            response.headers_mut().append(SET_COOKIE, header);
        }
    }
    response
}

/// Has the browser forget both cookies.
fn forgetting(ask: &Ask) -> impl Iterator<Item = HeaderValue> {
    let cookies = [Cookie::Access, Cookie::Refresh].into_iter();
    cookies.filter_map(|cookie| cookie.write("", 0, ask.secure_cookies))
}
