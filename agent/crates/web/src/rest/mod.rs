//! REST under `/api/`: one table of routes, which drives the router and its description.

mod fault;
mod login;
mod look;
mod openapi;
mod route;
mod tools;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use api::Client;
use axum::body::Body;
use axum::extract::Query;
use axum::http::header::{AUTHORIZATION, COOKIE, ORIGIN};
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use rate::Rate;
use serde_json::Value;

use crate::bearer;
use crate::body;
use crate::bucket::Buckets;
use crate::budget::Budget;
use crate::cookies::Cookie;
use crate::guard::{FETCH_SITE, Names};
use crate::metrics::Metrics;
use crate::packed;
use crate::plain::{Refusal, not_this_way, too_often};
use crate::serve::Peer;
use crate::session::{Session, Sessions};
use crate::ws::Chat;
pub(crate) use fault::of_daemon;
use route::{LOGIN, ROUTES, Route, Takes, Who};
use tools::Tools;

/// How long the list of tools is taken for what it is.
const FRESH: Duration = Duration::from_secs(60);

/// How many requests a session, or a token without one, may send at once, and how many a second after that.
const OF_SESSION: Rate = Rate {
    at_once: 240.0,
    a_second: 40.0,
};
/// The same of attempts to log in that failed, by address.
const LOGINS: Rate = Rate {
    at_once: 10.0,
    a_second: 0.5,
};

/// What the routes work with.
pub(crate) struct Rest {
    /// The daemon; its calls are told as `web`.
    pub(crate) client: Client,
    pub(crate) sessions: Sessions,
    pub(crate) chat: Arc<Chat>,
    pub(crate) budget: Budget,
    pub(crate) metrics: Arc<Metrics>,
    often: Buckets<String>,
    logins: Buckets<String>,
    /// What the daemon's tools are, and since when that is known.
    known: Mutex<Option<(Instant, Tools)>>,
    paths: matchit::Router<Vec<&'static Route>>,
}

/// Words of an address, by name.
pub(crate) type Words = Vec<(String, String)>;

/// One request, with all that a route may want to know.
pub(crate) struct Ask {
    pub(crate) rest: Arc<Rest>,
    pub(crate) route: &'static Route,
    /// Who asks; only routes for anybody have none.
    pub(crate) session: Option<Session>,
    pub(crate) uri: axum::http::Uri,
    /// What stands in the path, by name.
    pub(crate) path: Words,
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

    /// What stands in the path under this name.
    pub(crate) fn named(&self, name: &str) -> &str {
        let found = self.path.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// The words of the query.
    pub(crate) fn query(&self) -> Result<Words, Refusal> {
        let query = Query::<Words>::try_from_uri(&self.uri);
        query
            .map(|Query(words)| words)
            .map_err(|error| tools::invalid(&error.to_string()))
    }
}

impl Rest {
    pub(crate) fn new(client: Client, chat: Arc<Chat>, metrics: Arc<Metrics>) -> Self {
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
            metrics,
            often: Buckets::new(OF_SESSION),
            logins: Buckets::new(LOGINS),
            known: Mutex::default(),
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
        let (route, path) = self.find(request.method(), request.uri().path())?;
        let begun = Instant::now();
        let method = request.method().clone();
        let answer = self.carry_out(names, peer, route, path, request).await;
        let status = match &answer {
            Ok(answer) => answer.status(),
            Err(refusal) => refusal.status(),
        };
        self.metrics
            .answered(route.path, &method, status, begun.elapsed());
        answer
    }

    async fn carry_out(
        self: &Arc<Self>,
        names: &Names,
        peer: Peer,
        route: &'static Route,
        path: Words,
        request: Request<Body>,
    ) -> Result<Response<Body>, Refusal> {
        let (head, content) = request.into_parts();
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
            None => peer.origin().to_string(),
        };
        // A session by its own name: one that is out of hand leaves its owner's others alone.
        let who = session.as_ref().and_then(|session| session.id.as_deref());
        let who = who.unwrap_or(&name).to_owned();
        if route.path != "/healthz"
            && let Err(seconds) = self.often.draw(who)
        {
            self.metrics.too_many();
            return Err(too_often(seconds));
        }
        let mut room = self.budget.of(&name);
        // What is known of nobody takes little room from the others.
        let most = match route.who {
            Who::Anybody => body::LARGEST_UNKNOWN,
            Who::Session => body::LARGEST,
        };
        let body = match route.takes {
            Takes::Body(_) => body::json(&head.headers, content, &mut room, most).await?,
            Takes::Nothing | Takes::Query(_) => Value::Null,
        };
        let packs = packed::is_taken(&head.headers);
        let origin = head.headers.get(ORIGIN);
        let https = origin.is_some_and(|origin| origin.as_bytes().starts_with(b"https://"));
        let ask = Ask {
            rest: Arc::clone(self),
            route,
            session,
            uri: head.uri,
            path,
            headers: head.headers,
            body,
            secure: peer.secure,
            secure_cookies: peer.secure || https,
        };
        let answer = (route.act)(ask).await;
        // Only what was wrong counts: nobody keeps the others of an address out by guessing.
        let wrong = |refusal: &Refusal| refusal.status() == StatusCode::UNAUTHORIZED;
        if route.path == LOGIN
            && answer.as_ref().is_err_and(wrong)
            && let Err(seconds) = self.logins.draw(name)
        {
            self.metrics.too_many();
            return Err(too_often(seconds));
        }
        let mut answer = answer?;
        if !route.is_of_session() {
            answer = packed::json(answer, packs).await;
        }
        if head.method == Method::HEAD {
            *answer.body_mut() = Body::empty();
        }
        Ok(answer)
    }

    /// The daemon's tools, asked again after a minute: it may be another version by then.
    pub(crate) async fn tools(&self, token: &str) -> Result<Tools, Refusal> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, tools)) = &*known()
            && since.elapsed() < FRESH
        {
            return Ok(Arc::clone(tools));
        }
        let listed = self.client.list(Some(token)).await;
        let tools: Tools = Arc::new(listed.map_err(|error| of_daemon(&error))?);
        *known() = Some((Instant::now(), Arc::clone(&tools)));
        Ok(tools)
    }

    fn find(&self, method: &Method, path: &str) -> Result<(&'static Route, Words), Refusal> {
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
        let Some(token) = Cookie::Access.read(headers, peer.secure)? else {
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
