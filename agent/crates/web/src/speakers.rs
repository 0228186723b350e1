//! The protocol's end for one speaker at one path.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, Bytes};
use axum::http::{Request, Response};
use futures_util::StreamExt;
use mcp::server::Server;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::guard::Names;

/// How many requests and streams of one speaker are served at once.
const AT_ONCE: usize = 64;
/// How many sessions of the era that has them one speaker may have at one path. They end after five quiet minutes.
const SESSIONS: usize = 64;

type Service = StreamableHttpService<Server, LocalSessionManager>;

/// The speakers that came so far. Each has sessions of its own: the name of one opens nothing to another.
pub(crate) struct Speakers {
    known: Mutex<HashMap<(String, String), Arc<Speaker>>>,
    config: StreamableHttpServerConfig,
}

/// What one speaker has at one path.
pub(crate) struct Speaker {
    service: Service,
    sessions: Arc<LocalSessionManager>,
}

impl Speakers {
    pub(crate) fn new(names: &Names, body: usize, end: CancellationToken) -> Self {
        let config = StreamableHttpServerConfig::default()
            .with_allowed_hosts(names.hosts())
            .with_allowed_origins(names.origins())
            .enforce_origin_validation()
            .with_max_request_body_bytes(body)
            .with_cancellation_token(end);
        Self {
            known: Mutex::default(),
            config,
        }
    }

    /// The speaker of this name at this path. There are no more than tokens and paths, which the operator chose.
    pub(crate) fn of(&self, name: &str, path: &str, server: &Server) -> Arc<Speaker> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (name.to_owned(), path.to_owned());
        let speaker = known.entry(key).or_insert_with(|| {
            let sessions = Arc::new(LocalSessionManager::default());
            let server = server.clone();
            let service = Service::new(
                move || Ok(server.clone()),
                Arc::clone(&sessions),
                self.config.clone(),
            );
            Arc::new(Speaker { service, sessions })
        });
        Arc::clone(speaker)
    }
}

impl Speaker {
    /// Whether there is room for one more session.
    pub(crate) async fn has_room(&self) -> bool {
        self.sessions.sessions.read().await.len() < SESSIONS
    }

    pub(crate) async fn serve(&self, request: Request<Body>) -> Response<Body> {
        self.service.handle(request).await.map(Body::new)
    }
}

/// How much each speaker may have at once, at all paths together.
#[derive(Default)]
pub(crate) struct Places(Mutex<HashMap<String, Arc<Semaphore>>>);

impl Places {
    /// A place for one request, until its answer has been sent or given up.
    pub(crate) fn take(&self, name: &str) -> Option<tokio::sync::OwnedSemaphorePermit> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let places = places
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE)));
        Arc::clone(places).try_acquire_owned().ok()
    }
}

/// A body that keeps something until it is sent or given up.
pub(crate) fn holding<T: Send + 'static>(body: Body, held: T) -> Body {
    let stream = body.into_data_stream().map(move |part| {
        let _ = &held;
        Ok::<Bytes, Infallible>(part.unwrap_or_default())
    });
    Body::from_stream(stream)
}
