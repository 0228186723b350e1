//! `/ws`: the chat's connections.

mod ending;
mod places;
#[cfg(test)]
mod slow;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use api::Client;
use axum::body::Body;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, Query};
use axum::http::{Request, Response, StatusCode};
use axum::response::IntoResponse;
use chat::model::Model;
use chat::thinker::Thinker;
use chat::{Right, Seat, Speaker, Topic};
use declaration::ChatModel;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::plain::{Refusal, busy};
use crate::rest::of_daemon;
use crate::serve::{OnItsWay, Peer};
use crate::session::Session;
use ending::{Patience, Why, close, send};
use places::{Place, Places};

/// The largest text of a client, in bytes.
const LARGEST: usize = 64 << 10;
/// How much of a text is read at most: who sends a little too much is told so before the connection ends, since all of
/// it was taken in.
const READ: usize = 2 * LARGEST;
/// How often the daemon is asked whether a token is still good.
const AGAIN: Duration = Duration::from_secs(20);
/// How long the daemon may take to say whether a token is still good.
const ASKING: Duration = Duration::from_secs(5);
/// What is read at once: connections are many, and most of them are idle.
const BUFFER: usize = 4 << 10;

/// What the chat takes.
pub(crate) struct Setting {
    /// The daemon; its calls are told as `web`.
    pub(crate) client: Client,
    /// The section of the declaration.
    pub(crate) declared: declaration::Chat,
    /// Counts connections ([`Metrics::socket`]) and calls ([`Metrics::called`]).
    pub(crate) metrics: Arc<Metrics>,
    /// Where the chat keeps what has to outlive this process; nothing is kept without one.
    pub(crate) state: Option<PathBuf>,
    /// The end of this process.
    pub(crate) end: CancellationToken,
}

/// What all of the chat's connections share.
pub(crate) struct Chat {
    talk: Arc<chat::Chat>,
    client: Client,
    metrics: Arc<Metrics>,
    places: Places,
    patience: Patience,
    /// Where the model's use of today is kept.
    state: Option<PathBuf>,
    /// The model that is asked.
    model: Mutex<Option<ChatModel>>,
    end: CancellationToken,
}

/// What a client says in the address.
#[derive(Deserialize)]
struct Asked {
    /// The number of the last event that it has seen.
    after: Option<u64>,
    /// The conversation that the number is of.
    conversation: Option<String>,
}

impl Chat {
    pub(crate) fn new(setting: Setting) -> Self {
        let metrics = Arc::clone(&setting.metrics);
        let count = Box::new(
            move |tool: &str, result: &Result<Value, api::Error>, took| {
                metrics.called(tool, result, took);
            },
        );
        let chat = Self {
            client: setting.client.clone(),
            talk: chat::Chat::observed(setting.client, setting.state.clone(), count),
            metrics: setting.metrics,
            places: Places::default(),
            patience: Patience::default(),
            state: setting.state,
            model: Mutex::default(),
            end: setting.end,
        };
        chat.set_up_again(&setting.declared);
        chat
    }

    /// Something was changed through this process: who watches sees it at once.
    pub(crate) fn changed(&self) {
        self.talk.changed();
    }

    /// The present value of a live topic: `topology`, `host`, `containers` or `ledger`.
    pub(crate) async fn topic(&self, session: &Session, topic: &str) -> Result<Value, Refusal> {
        let topic: Topic = serde_json::from_value(json!(topic)).map_err(|_| {
            let text = format!("there is no topic {topic}");
            Refusal::new(StatusCode::NOT_FOUND, text)
        })?;
        let value = self.talk.look(topic, &speaker(session)).await;
        value.map_err(|error| of_daemon(&error))
    }

    /// How a sentence may go on.
    pub(crate) async fn complete(&self, session: &Session, text: &str) -> Result<Value, Refusal> {
        let found = self.talk.complete(&speaker(session), text).await;
        found.map_err(|error| of_daemon(&error))
    }

    /// What was said before the event of this number, the newest of it, so many.
    pub(crate) async fn history(
        &self,
        session: &Session,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Value, Refusal> {
        Ok(self.talk.history(&speaker(session), before, limit))
    }

    /// The declaration was read. A model that is declared as before goes on.
    pub(crate) fn set_up_again(&self, declared: &declaration::Chat) {
        let mut known = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        if *known == declared.model {
            return;
        }
        known.clone_from(&declared.model);
        let model = declared.model.as_ref();
        let model = model.map(|model| Model::new(model, self.state.as_deref()));
        let model = model.transpose().unwrap_or_else(|error| {
            log::error!("the chat has no language model: {error}");
            None
        });
        self.talk
            .set_thinker(model.map(|model| Arc::new(model) as Arc<dyn Thinker>));
    }
}

/// Who speaks, with the right that the session has at each moment.
fn speaker(session: &Session) -> Speaker {
    let session = session.clone();
    let name = session.name.clone();
    Speaker::new(&name, move || {
        let access = session.access();
        Right {
            token: access.token,
            role: access.role,
        }
    })
}

/// Takes a connection over. Name, origin and session were checked before.
pub(crate) async fn serve(
    chat: &Arc<Chat>,
    session: Session,
    request: Request<Body>,
) -> Response<Body> {
    let (mut head, _) = request.into_parts();
    let asked = match Query::<Asked>::try_from_uri(&head.uri) {
        Ok(Query(asked)) => asked,
        Err(wrong) => {
            let text = format!("/ws?after=NUMBER&conversation=ID: {wrong}");
            return Refusal::new(StatusCode::BAD_REQUEST, text).into_response();
        }
    };
    let address = head.extensions.get::<Peer>().map(Peer::origin);
    let on_its_way = head.extensions.get::<OnItsWay>().cloned();
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut head, &()).await {
        Ok(upgrade) => upgrade,
        Err(refused) => {
            let text =
                "this address takes web sockets alone: docs/websocket.md says how to speak to it";
            return Refusal::new(refused.into_response().status(), text).into_response();
        }
    };
    let address = address.unwrap_or(IpAddr::from([0, 0, 0, 0]));
    let owner = session.id.as_deref().unwrap_or(&session.name);
    let Some(place) = chat.places.take(owner, address) else {
        let text = "too many connections are open, of this session, from this address, or in all: close some";
        return busy(text).into_response();
    };
    let chat = Arc::clone(chat);
    upgrade
        .max_message_size(READ)
        .max_frame_size(READ)
        .read_buffer_size(BUFFER)
        .write_buffer_size(0)
        .on_upgrade(move |socket| async move {
            let seat = chat.talk.join(
                speaker(&session),
                asked.after,
                asked.conversation.as_deref(),
            );
            talk(&chat, session, socket, seat, &place).await;
            // Else the process could end before the client was told why.
            drop(on_its_way);
        })
}

/// Talks until there is an end, and says why that is.
async fn talk(chat: &Chat, session: Session, mut socket: WebSocket, seat: Seat, place: &Place) {
    let _counted = chat.metrics.socket();
    let why = converse(chat, session, &mut socket, seat, place).await;
    if let Some((code, _)) = why.told() {
        chat.metrics.ended(code);
    }
    close(socket, why, chat.patience).await;
}

async fn converse(
    chat: &Chat,
    mut session: Session,
    socket: &mut WebSocket,
    mut seat: Seat,
    place: &Place,
) -> Why {
    let patience = chat.patience;
    let mut pulse = tokio::time::interval(patience.pulse);
    let mut heard = Instant::now();
    let mut disowned = std::pin::pin!(disowned(&chat.client, session.clone()));
    loop {
        let next = tokio::select! {
            () = session.over() => return Why::LoggedOut,
            () = &mut disowned => return Why::LoggedOut,
            () = chat.end.cancelled() => return Why::OverHere,
            event = seat.next() => match event {
                None => return Why::TooSlow,
                Some(event) => Message::text(&*event),
            },
            frame = socket.recv() => {
                heard = Instant::now();
                match frame {
                    Some(Ok(Message::Text(text))) if text.len() > LARGEST => return Why::TooLarge,
                    Some(Ok(Message::Text(text))) if place.may_speak() => seat.hear(&text),
                    Some(Ok(Message::Text(_))) => seat.refuse("rate-limited", "slower: at most 20 messages a second"),
                    Some(Ok(Message::Binary(_))) => return Why::NoText,
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Close(_))) | None => return Why::Gone,
                    Some(Err(error)) if is_too_large(&error) => return Why::TooLarge,
                    Some(Err(_)) => return Why::Gone,
                }
                continue;
            }
            // Who answers no ping may still take what was sent by and by, and so learns why.
            _ = pulse.tick() => match heard.elapsed() > patience.silence {
                true => return Why::TooSlow,
                false => Message::Ping("".into()),
            },
        };
        if let Err(why) = send(socket, next, patience.sending).await {
            return why;
        }
    }
}

/// Waits until the daemon knows the speaker's token no more: one that is declared has no end of its own, and live state
/// would be told for as long as the connection is there. A daemon that is away has nothing to tell, either.
async fn disowned(client: &Client, session: Session) {
    loop {
        tokio::time::sleep(AGAIN).await;
        let token = session.access().token;
        let over = match tokio::time::timeout(ASKING, client.whoami(Some(&token))).await {
            Ok(Ok(who)) => who.role.is_none(),
            // A right one is never told that there were too many wrong ones.
            Ok(Err(error)) => matches!(
                error.code(),
                Some(api::Code::Unauthenticated | api::Code::RateLimited)
            ),
            Err(_) => false,
        };
        if over {
            return;
        }
    }
}

fn is_too_large(error: &axum::Error) -> bool {
    // The library's own error is behind one that does not say more.
    error.to_string().contains("too long") || error.to_string().contains("too big")
}
