//! REST under `/api/`: one table of routes, which drives the router and its description.

mod login;
mod look;
mod route;

use std::sync::Arc;

use api::Client;
use axum::body::Body;
use axum::http::header::{AUTHORIZATION, COOKIE, ORIGIN};
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use serde_json::Value;

use crate::bearer;
use crate::body;
use crate::budget::Budget;
use crate::cookies::Cookie;
use crate::guard::{FETCH_SITE, Names};
use crate::plain::{Refusal, not_this_way};
use crate::serve::Peer;
use crate::session::{Session, Sessions};
use crate::ws::Chat;
pub(crate) use route::{ROUTES, Route, Who};

/// What the routes work with.
pub(crate) struct Rest {
    /// The daemon; its calls are told as `web`.
    pub(crate) client: Client,
    pub(crate) sessions: Sessions,
    pub(crate) chat: Arc<Chat>,
    pub(crate) budget: Budget,
    paths: matchit::Router<Vec<&'static Route>>,
}

/// One request, with all that a route may want to know.
pub(crate) struct Ask {
    pub(crate) rest: Arc<Rest>,
    /// Who asks; only routes for anybody have none.
    pub(crate) session: Option<Session>,
    pub(crate) uri: axum::http::Uri,
    /// What stands in the path, by name.
    pub(crate) path: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    /// Whether TLS is between.
    pub(crate) secure: bool,
    /// Whether cookies are for TLS alone: here, or at a proxy before us.
    pub(crate) secure_cookies: bool,
}

impl Ask {
    /// Who asks.
    pub(crate) fn session(&self) -> Result<&Session, Refusal> {
        let text = "log in first: `op-dbus web login` prints a link";
        let missing = || bearer::unauthorized("", text);
        self.session.as_ref().ok_or_else(missing)
    }
}

impl Rest {
    pub(crate) fn new(client: Client, chat: Arc<Chat>) -> Self {
        let mut rows: Vec<(&'static str, Vec<&'static Route>)> = Vec::new();
        for route in ROUTES.iter() {
            match rows.iter_mut().find(|(path, _)| *path == route.path) {
                Some((_, routes)) => routes.push(route),
                None => rows.push((route.path, vec![route])),
            }
        }
        let mut paths = matchit::Router::new();
        for (path, routes) in rows {
            // The table's paths do not collide; a test says so.
            if let Err(error) = paths.insert(path, routes) {
                log::error!("{path} is not served: {error}");
            }
        }
        Self {
            client,
            sessions: Sessions::default(),
            chat,
            budget: Budget::default(),
            paths,
        }
    }

    /// Whether a path is one of the table's, or would be.
    pub(crate) fn has(&self, path: &str) -> bool {
        path == "/api" || path.starts_with("/api/") || self.paths.at(path).is_ok()
    }

    /// Answers a request to a path of the table.
    pub(crate) async fn answer(
        self: &Arc<Self>,
        names: &Names,
        peer: Peer,
        request: Request<Body>,
    ) -> Result<Response<Body>, Refusal> {
        let (head, content) = request.into_parts();
        let (route, path) = self.find(&head.method, head.uri.path())?;
        let get = matches!(head.method, Method::GET | Method::HEAD);
        if !get && by_browser(&head.headers) {
            names.same_origin(&head.headers, peer.secure)?;
        }
        let session = match route.who {
            Who::Anybody => None,
            Who::Session => Some(self.session(names, peer, &head.headers).await?),
        };
        let name = match &session {
            Some(session) => session.name.clone(),
            None => peer.address.ip().to_string(),
        };
        let mut room = self.budget.of(&name);
        let body = match route.takes_body {
            true => body::json(&head.headers, content, &mut room).await?,
            false => Value::Null,
        };
        let origin = head.headers.get(ORIGIN);
        let https = origin.is_some_and(|origin| origin.as_bytes().starts_with(b"https://"));
        let ask = Ask {
            rest: Arc::clone(self),
            session,
            uri: head.uri,
            path,
            headers: head.headers,
            body,
            secure: peer.secure,
            secure_cookies: peer.secure || https,
        };
        let mut answer = (route.act)(ask).await;
        if head.method == Method::HEAD
            && let Ok(answer) = &mut answer
        {
            *answer.body_mut() = Body::empty();
        }
        answer
    }

    fn find(
        &self,
        method: &Method,
        path: &str,
    ) -> Result<(&'static Route, Vec<(String, String)>), Refusal> {
        let found = self.paths.at(path).map_err(|_| {
            let text = "there is nothing here; GET /api/openapi.json says what there is";
            Refusal::new(StatusCode::NOT_FOUND, text)
        })?;
        let asked = match *method {
            Method::HEAD => &Method::GET,
            ref other => other,
        };
        let route = found.value.iter().find(|route| route.method == *asked);
        let Some(route) = route else {
            let allowed: Vec<_> = found
                .value
                .iter()
                .map(|route| route.method.as_str())
                .collect();
            return Err(not_this_way(&allowed.join(", ")));
        };
        let decode = |value: &str| {
            percent_encoding::percent_decode_str(value)
                .decode_utf8()
                .map(|text| text.into_owned())
                .map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "the path is not UTF-8"))
        };
        let parts = found.params.iter();
        let parts = parts.map(|(key, value)| Ok((key.to_owned(), decode(value)?)));
        Ok((route, parts.collect::<Result<_, Refusal>>()?))
    }

    /// Who asks: by a token in the head, or by the cookie.
    pub(crate) async fn session(
        &self,
        names: &Names,
        peer: Peer,
        headers: &HeaderMap,
    ) -> Result<Session, Refusal> {
        if headers.contains_key(AUTHORIZATION) {
            return bearer::authenticate(&self.client, &self.sessions, headers).await;
        }
        let Some(token) = Cookie::Access.read(headers, peer.secure) else {
            let text = "log in first: `op-dbus web login` prints a link; programs send `Authorization: Bearer TOKEN`";
            return Err(bearer::unauthorized("", text));
        };
        names.no_other_site(headers)?;
        bearer::identify(&self.client, &self.sessions, token).await
    }
}

/// Whether a browser may have sent a request that changes something without anybody's asking. A token in the head is
/// something that only who knows it sends.
fn by_browser(headers: &HeaderMap) -> bool {
    let says = |name| headers.contains_key(name);
    !says(AUTHORIZATION) && (says(COOKIE) || says(ORIGIN) || says(FETCH_SITE))
}
