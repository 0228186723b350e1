//! The doors: which path leads where, and what is checked on the way.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use api::Client;
use axum::body::Body;
use axum::http::header::{AUTHORIZATION, HeaderName, ORIGIN};
use axum::http::{Method, Request, Response, StatusCode};
use declaration::Web;
use mcp::server::Server;
use rate::Rate;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::bearer;
use crate::body;
use crate::bucket::Buckets;
use crate::budget::Room;
use crate::guard::{self, Names};
use crate::metrics::Metrics;
use crate::page;
use crate::plain::{Refusal, busy, not_this_way, too_often};
use crate::rest::Rest;
use crate::serve::{Answers, Peer};
use crate::speakers::{Places, Speakers, holding};
use crate::ws::{self, Chat};

/// How long what was begun before the doors led elsewhere may take.
const GRACE: Duration = Duration::from_secs(30);
/// How many requests an address may send at once, and how many a second after that. Everybody behind one proxy has
/// one address.
const OF_ADDRESS: Rate = Rate {
    at_once: 600.0,
    a_second: 200.0,
};
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");

/// MCP servers by the profile in their path; the empty name is that of `/mcp` itself.
pub type Endpoints = BTreeMap<String, Server>;

/// What the doors are made of.
pub struct Setting {
    /// The section of the declaration.
    pub declared: Web,
    /// The section of the chat.
    pub chat: declaration::Chat,
    /// Asks the daemon for clients of the protocol.
    pub mcp: Client,
    /// Asks the daemon for the page and for programs; its calls are told as `web`.
    pub web: Client,
    /// The servers behind `/mcp`.
    pub endpoints: Endpoints,
    /// Where what has to outlive this process is kept.
    pub state: Option<PathBuf>,
    /// Closes all streams.
    pub end: CancellationToken,
}

/// All doors of this process.
pub struct Doors {
    client: Client,
    plan: RwLock<Arc<Plan>>,
    places: Places,
    rest: Arc<Rest>,
    chat: Arc<Chat>,
    addresses: Buckets<IpAddr>,
    end: CancellationToken,
}

/// Where the doors lead, by one reading of the declaration.
struct Plan {
    names: Names,
    endpoints: Endpoints,
    speakers: Speakers,
    end: CancellationToken,
}

impl Plan {
    fn new(names: Names, endpoints: Endpoints, end: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            speakers: Speakers::new(&names, body::LARGEST, end.clone()),
            names,
            endpoints,
            end,
        })
    }

    /// The server behind a path.
    fn endpoint(&self, path: &str) -> Result<&Server, Refusal> {
        let profile = match path.strip_prefix("/mcp") {
            Some("") => Some(""),
            Some(rest) => rest.strip_prefix('/').filter(|name| !name.is_empty()),
            None => None,
        };
        let server = profile.and_then(|profile| self.endpoints.get(profile));
        server.ok_or_else(|| nothing(self))
    }
}

impl Doors {
    /// Doors as they are set up here.
    pub fn new(setting: Setting) -> Self {
        let names = Names::of(&setting.declared);
        let metrics = Arc::new(Metrics::default());
        let chat = Arc::new(Chat::new(ws::Setting {
            client: setting.web.clone(),
            metrics: Arc::clone(&metrics),
            declared: setting.chat,
            state: setting.state,
            end: setting.end.clone(),
        }));
        Self {
            client: setting.mcp,
            plan: RwLock::new(Plan::new(
                names,
                setting.endpoints,
                setting.end.child_token(),
            )),
            places: Places::default(),
            rest: Arc::new(Rest::new(setting.web, Arc::clone(&chat), metrics)),
            chat,
            addresses: Buckets::new(OF_ADDRESS),
            end: setting.end,
        }
    }

    /// Leads new requests to these servers. Sessions end, since what a client was shown must not change under it:
    /// it begins another one. Answers on their way have half a minute. Called in the runtime that serves.
    pub fn lead_to(&self, declared: &Web, chat: &declaration::Chat, endpoints: Endpoints) {
        let names = Names::of(declared);
        self.chat.set_up_again(chat);
        let plan = Plan::new(names, endpoints, self.end.child_token());
        let mut now = self.plan.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *now, plan);
        tokio::spawn(async move {
            tokio::time::sleep(GRACE).await;
            before.end.cancel();
        });
    }

    fn plan(&self) -> Arc<Plan> {
        let plan = self.plan.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&plan)
    }

    async fn route(&self, plan: &Plan, request: Request<Body>) -> Result<Response<Body>, Refusal> {
        let path = request.uri().path().to_owned();
        let peer = peer(&request);
        if let Err(seconds) = self.addresses.draw(peer.origin()) {
            self.rest.metrics.too_many();
            return Err(too_often(seconds));
        }
        guard::no_secret_in_query(request.uri())?;
        if path == "/mcp" || path.starts_with("/mcp/") {
            let server = plan.endpoint(&path)?;
            return match *request.method() {
                Method::OPTIONS => Ok(guard::preflight()),
                Method::GET | Method::POST | Method::DELETE => {
                    let speakers = &plan.speakers;
                    self.mcp(speakers, server, &path, request).await
                }
                _ => Err(not_this_way("GET, POST, DELETE")),
            };
        }
        if path == "/ws" {
            return self.web_socket(&plan.names, peer, request).await;
        }
        if self.rest.has(&path) {
            return self.rest.answer(&plan.names, peer, request).await;
        }
        match *request.method() {
            Method::GET | Method::HEAD => {
                page::serve(&path, request.headers()).ok_or_else(|| nothing(plan))
            }
            _ => Err(not_this_way("GET, HEAD")),
        }
    }

    /// Gives a connection to the chat, for whoever the page's own cookie or a token says.
    async fn web_socket(
        &self,
        names: &Names,
        peer: Peer,
        request: Request<Body>,
    ) -> Result<Response<Body>, Refusal> {
        let headers = request.headers();
        if request.method() != Method::GET {
            return Err(not_this_way("GET"));
        }
        // It is a GET, and yet it lets its page say what is to be done.
        if !headers.contains_key(AUTHORIZATION) {
            names.same_origin(headers, peer.secure)?;
        }
        let session = self.rest.session(names, peer, headers).await?;
        Ok(ws::serve(&self.chat, session, request).await)
    }

    async fn mcp(
        &self,
        speakers: &Speakers,
        server: &Server,
        path: &str,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, Refusal> {
        let session =
            bearer::authenticate(&self.client, &self.rest.sessions, request.headers()).await?;
        let token = session.access().token;
        let Some(place) = self.places.take(&session.name) else {
            return Err(busy(
                "too many requests of this token are on their way: try again later",
            ));
        };
        let mut room = self.rest.budget.of(&session.name);
        let speaker = speakers.of(&session.name, path, server);
        if request.method() == Method::POST {
            request = self.hear(request, &token, &mut room).await?;
            if !request.headers().contains_key(SESSION) && !speaker.has_room().await {
                return Err(busy(
                    "too many sessions of this token are open: end some, or wait",
                ));
            }
        }
        // The library keeps the head of the request with the message; no token is to be kept.
        request.headers_mut().remove(AUTHORIZATION);
        request
            .extensions_mut()
            .insert(mcp::Speaker { token: Some(token) });
        let response = speaker.serve(request).await;
        Ok(response.map(|body| holding(body, (place, room))))
    }

    /// Reads the body, with limits to its size and time, and refuses a call that the token does not allow.
    async fn hear(
        &self,
        request: Request<Body>,
        token: &str,
        room: &mut Room,
    ) -> Result<Request<Body>, Refusal> {
        let (head, body) = request.into_parts();
        let body = body::whole(body, room, body::LARGEST).await?;
        // What is not JSON is told by the protocol's end.
        if let Ok(message) = serde_json::from_slice::<Value>(&body) {
            bearer::permit(&self.client, token, &message).await?;
        }
        Ok(Request::from_parts(head, Body::from(body)))
    }
}

impl Answers for Doors {
    async fn answer(self: Arc<Self>, request: Request<Body>) -> Response<Body> {
        // Pages of other origins may read what the protocol answers, and nothing else.
        let origin = request.headers().get(ORIGIN).cloned();
        let origin = origin.filter(|_| request.uri().path().starts_with("/mcp"));
        let plan = self.plan();
        let (mut response, origin) = match plan.names.check(request.uri(), request.headers()) {
            Err(refusal) => (refusal.into_response(), None),
            Ok(()) => {
                let answered = self.route(&plan, request).await;
                (answered.unwrap_or_else(Refusal::into_response), origin)
            }
        };
        guard::harden(response.headers_mut(), origin.as_ref());
        response
    }
}

fn peer(request: &Request<Body>) -> Peer {
    let there = request.extensions().get::<Peer>().copied();
    // Only what came in by a connection is asked here.
    there.unwrap_or(Peer {
        address: SocketAddr::from(([0, 0, 0, 0], 0)),
        secure: false,
    })
}

fn nothing(plan: &Plan) -> Refusal {
    let profiles = plan.endpoints.keys().filter(|name| !name.is_empty());
    let profiles: Vec<_> = profiles.map(|name| format!("/mcp/{name}")).collect();
    let text = format!(
        "there is nothing here; there are /chat.html, /api/openapi.json, /mcp, {}",
        profiles.join(", ")
    );
    Refusal::new(StatusCode::NOT_FOUND, text)
}
