//! `/ws`: the chat's connections.

use std::sync::Arc;

use api::Client;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::http::{Request, Response, StatusCode};
use axum::response::IntoResponse;
use declaration::Web;
use serde_json::Value;
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::plain::Refusal;
use crate::session::Session;

/// What the chat takes.
pub(crate) struct Setting {
    /// The daemon; its calls are told as `web`.
    pub(crate) client: Client,
    /// The section of the declaration.
    pub(crate) declared: Web,
    /// Counts connections ([`Metrics::socket`]) and calls ([`Metrics::called`]).
    pub(crate) metrics: Arc<Metrics>,
    /// Where the chat keeps what has to outlive this process; nothing is kept without one.
    pub(crate) state: Option<PathBuf>,
    /// The end of this process.
    pub(crate) end: CancellationToken,
}

/// What all of the chat's connections share.
pub(crate) struct Chat {
    setting: Setting,
}

impl Chat {
    pub(crate) fn new(setting: Setting) -> Self {
        Self { setting }
    }

    /// The present value of a live topic: `topology`, `host`, `containers` or `ledger`.
    pub(crate) async fn topic(&self, _session: &Session, topic: &str) -> Result<Value, Refusal> {
        Err(not_here(topic))
    }

    /// How a sentence may go on.
    pub(crate) async fn complete(&self, _session: &Session, _: &str) -> Result<Value, Refusal> {
        Err(not_here("completion"))
    }

    /// What was said before the message of this number, the newest of it, so many.
    pub(crate) async fn history(
        &self,
        _session: &Session,
        _before: Option<u64>,
        _limit: usize,
    ) -> Result<Value, Refusal> {
        Err(not_here("history"))
    }

    /// The declaration was read again.
    pub(crate) fn set_up_again(&self, _declared: Web) {}
}

fn not_here(what: &str) -> Refusal {
    let text = format!("{what}: this program has no chat");
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, text)
}

/// Takes a connection over. Name, origin and session were checked before.
pub(crate) async fn serve(
    chat: &Arc<Chat>,
    session: Session,
    request: Request<Body>,
) -> Response<Body> {
    let (mut head, _) = request.into_parts();
    let chat = Arc::clone(chat);
    match WebSocketUpgrade::from_request_parts(&mut head, &()).await {
        Ok(upgrade) => upgrade
            .max_message_size(64 << 10)
            .max_frame_size(64 << 10)
            .on_upgrade(move |socket| talk(chat, session, socket)),
        Err(refused) => refused.into_response(),
    }
}

async fn talk(chat: Arc<Chat>, mut session: Session, mut socket: WebSocket) {
    let _counted = chat.setting.metrics.socket();
    tokio::select! {
        () = session.over() => {}
        // Until the chat is here, what comes in is read and left unanswered.
        () = async { while let Some(Ok(_)) = socket.recv().await {} } => {}
    }
}
