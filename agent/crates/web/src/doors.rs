//! The doors: which path leads where, and what is checked on the way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::{Bounds, Client};
use axum::body::{Body, Bytes};
use axum::http::header::{ALLOW, AUTHORIZATION, HOST, HeaderName, ORIGIN, RETRY_AFTER};
use axum::http::{Method, Request, Response, StatusCode};
use mcp::server::Server;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::bearer::{self, Bearer, Challenge};
use crate::guard::{self, Names};
use crate::plain::{self, Refusal, json_response};
use crate::serve::Answers;
use crate::session::{Places, Speakers, holding};

/// The largest body of a request, in bytes.
const LARGEST: usize = 4 << 20;
/// What a body may hold: less than the daemon takes, which gets the arguments with something around them.
const BODY: Bounds = Bounds {
    bytes: LARGEST,
    depth: 90,
    values: 90_000,
};
/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(20);
/// Where metadata of resources is (RFC 9728 §3).
const METADATA: &str = "/.well-known/oauth-protected-resource";
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");

/// MCP servers by the profile in their path; the empty name is that of `/mcp` itself.
pub type Endpoints = BTreeMap<String, Server>;

/// All doors of this process.
pub struct Doors {
    names: Names,
    client: Client,
    endpoints: Endpoints,
    speakers: Speakers,
    places: Places,
}

impl Doors {
    /// Doors to these servers. `client` asks the daemon who speaks; `end` closes all streams.
    pub fn new(names: Names, client: Client, endpoints: Endpoints, end: CancellationToken) -> Self {
        let speakers = Speakers::new(&names, LARGEST, end);
        Self {
            names,
            client,
            endpoints,
            speakers,
            places: Places::default(),
        }
    }

    async fn route(&self, request: Request<Body>) -> Result<Response<Body>, Refusal> {
        let path = request.uri().path().to_owned();
        guard::no_secret_in_query(request.uri())?;
        if path == "/healthz" {
            only_get(&request)?;
            return Ok(self.health().await);
        }
        if let Some(resource) = path.strip_prefix(METADATA) {
            only_get(&request)?;
            let resource = if resource.is_empty() {
                "/mcp"
            } else {
                resource
            };
            self.endpoint(resource)?;
            let metadata = plain::resource(host(&request), resource);
            return Ok(json_response(StatusCode::OK, &metadata));
        }
        let server = self.endpoint(&path)?;
        match *request.method() {
            Method::OPTIONS => Ok(guard::preflight()),
            Method::GET | Method::POST | Method::DELETE => self.mcp(server, &path, request).await,
            _ => Err(not_this_way("GET, POST, DELETE")),
        }
    }

    /// The server behind a path.
    fn endpoint(&self, path: &str) -> Result<&Server, Refusal> {
        let profile = match path.strip_prefix("/mcp") {
            Some("") => Some(""),
            Some(rest) => rest.strip_prefix('/').filter(|name| !name.is_empty()),
            None => None,
        };
        let server = profile.and_then(|profile| self.endpoints.get(profile));
        server.ok_or_else(|| {
            let profiles: Vec<_> = self
                .endpoints
                .keys()
                .filter(|name| !name.is_empty())
                .collect();
            let profiles: Vec<_> = profiles.iter().map(|name| format!("/mcp/{name}")).collect();
            let text = format!(
                "there is nothing here; there are /mcp, {}",
                profiles.join(", ")
            );
            Refusal::new(StatusCode::NOT_FOUND, text)
        })
    }

    async fn health(&self) -> Response<Body> {
        match self.client.status().await {
            Ok(_) => json_response(StatusCode::OK, &json!({ "status": "ok" })),
            Err(error) => {
                log::warn!("{error}");
                let body = json!({ "status": "the daemon is away" });
                json_response(StatusCode::SERVICE_UNAVAILABLE, &body)
            }
        }
    }

    async fn mcp(
        &self,
        server: &Server,
        path: &str,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, Refusal> {
        let host = host(&request).to_owned();
        let challenge = Challenge { host: &host, path };
        let bearer = bearer::authenticate(&self.client, request.headers(), &challenge).await?;
        let Some(place) = self.places.take(&bearer.name) else {
            return Err(busy(
                "too many requests of this token are on their way: try again later",
            ));
        };
        let speaker = self.speakers.of(&bearer.name, path, server);
        if request.method() == Method::POST {
            request = self.hear(request, &bearer, &challenge).await?;
            if !request.headers().contains_key(SESSION) && !speaker.has_room().await {
                return Err(busy(
                    "too many sessions of this token are open: end some, or wait",
                ));
            }
        }
        // The library keeps the head of the request with the message; no token is to be kept.
        request.headers_mut().remove(AUTHORIZATION);
        request.extensions_mut().insert(mcp::Speaker {
            token: Some(Arc::clone(&bearer.token)),
        });
        let response = speaker.serve(request).await;
        Ok(response.map(|body| holding(body, place)))
    }

    /// Reads the body, with limits to its size and time, and refuses a call that the token does not allow.
    async fn hear(
        &self,
        request: Request<Body>,
        bearer: &Bearer,
        challenge: &Challenge<'_>,
    ) -> Result<Request<Body>, Refusal> {
        let (head, body) = request.into_parts();
        let body = whole(body).await?;
        // Before it is parsed, which takes many times the memory of a text that is all brackets.
        BODY.check(&body)
            .map_err(|excess| Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, excess.to_string()))?;
        // What is not JSON is told by the protocol's end.
        if let Ok(message) = serde_json::from_slice::<Value>(&body) {
            bearer::permit(&self.client, bearer, &message, challenge).await?;
        }
        Ok(Request::from_parts(head, Body::from(body)))
    }
}

impl Answers for Doors {
    async fn answer(self: Arc<Self>, request: Request<Body>) -> Response<Body> {
        let origin = request.headers().get(ORIGIN).cloned();
        let (mut response, origin) = match self.names.check(request.uri(), request.headers()) {
            Err(refusal) => (refusal.into_response(), None),
            Ok(()) => {
                let answered = self.route(request).await;
                (answered.unwrap_or_else(Refusal::into_response), origin)
            }
        };
        guard::harden(response.headers_mut(), origin.as_ref());
        response
    }
}

async fn whole(body: Body) -> Result<Bytes, Refusal> {
    match tokio::time::timeout(PATIENCE, axum::body::to_bytes(body, LARGEST)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("a request has at most {LARGEST} bytes"),
        )),
        Err(_) => Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            "the body did not arrive in time",
        )),
    }
}

fn host(request: &Request<Body>) -> &str {
    let host = request.headers().get(HOST);
    host.and_then(|host| host.to_str().ok())
        .unwrap_or("localhost")
}

fn only_get(request: &Request<Body>) -> Result<(), Refusal> {
    match *request.method() {
        Method::GET | Method::HEAD => Ok(()),
        _ => Err(not_this_way("GET, HEAD")),
    }
}

fn not_this_way(allowed: &str) -> Refusal {
    let text = format!("only {allowed} here");
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, text).with(ALLOW, allowed)
}

fn busy(text: &str) -> Refusal {
    Refusal::new(StatusCode::TOO_MANY_REQUESTS, text).with(RETRY_AFTER, "1")
}
