//! A place in a conversation: one browser, or one program.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::chat::Chat;
use crate::conversation::Conversation;
use crate::event::{Body, Hello};
use crate::live::Watched;
use crate::request::Request;
use crate::speaker::Speaker;
use crate::{turn, window};

/// A place in a conversation. It is left when this is dropped; what was begun goes on.
pub struct Seat {
    chat: Arc<Chat>,
    conversation: Arc<Conversation>,
    speaker: Speaker,
    number: u64,
    /// What is sent before anything new: the greeting, and what was missed.
    first: VecDeque<Arc<str>>,
    queue: mpsc::Receiver<Arc<str>>,
    watched: Watched,
}

impl Seat {
    pub(crate) fn new(
        chat: Arc<Chat>,
        conversation: Arc<Conversation>,
        speaker: Speaker,
        after: Option<u64>,
        known: Option<&str>,
    ) -> Self {
        let entered = conversation.enter(after, known);
        let hello = Body::Hello(Box::new(Hello {
            conversation: entered.conversation,
            user: speaker.name.to_string(),
            role: speaker.right().role,
            version: env!("CARGO_PKG_VERSION"),
            next_seq: entered.next_seq,
            resumed: entered.missed.is_some(),
            window: entered.window,
        }));
        let mut first = VecDeque::from([hello.aside("")]);
        first.extend(entered.missed.unwrap_or_default());
        Self {
            chat,
            conversation,
            speaker,
            number: entered.number,
            first,
            queue: entered.queue,
            watched: Watched::default(),
        }
    }

    /// What is to be sent next. None: this one is too slow, and is to come back later. Nothing is lost if the future
    /// is dropped.
    pub async fn next(&mut self) -> Option<Arc<str>> {
        if let Some(event) = self.first.pop_front() {
            return Some(event);
        }
        // Who is let go is told so at once: what waits for it is there again when it comes back.
        if self.queue.is_closed() {
            return None;
        }
        tokio::select! {
            biased;
            event = self.queue.recv() => event,
            state = self.watched.next() => Some(state),
        }
    }

    /// Takes in what was sent. It does not wait for what comes of it.
    pub fn hear(&mut self, text: &str) {
        let request = match Request::read(text) {
            Ok(request) => request,
            Err(wrong) => return self.answer(&Body::fault("invalid", wrong)),
        };
        let refused = match request {
            Request::Message { id, content } => {
                turn::hear(&self.chat, &self.conversation, &self.speaker, id, content)
            }
            Request::Approve { plan, name } => turn::approve(
                &self.chat,
                &self.conversation,
                &self.speaker,
                &plan,
                name.as_deref(),
            ),
            Request::Cancel { plan } => self
                .conversation
                .cancel(&plan)
                .map_err(|refusal| refusal.into()),
            Request::Stop { call } => match self.conversation.stop(&call) {
                true => Ok(()),
                false => Err(Body::fault("not-found", "nothing of that name goes on")),
            },
            Request::Watch { topics } => {
                self.watched = self.chat.live.watch(&topics, &self.speaker);
                Ok(())
            }
            Request::Confirm => {
                window::confirm(&self.chat, &self.conversation, &self.speaker);
                Ok(())
            }
            Request::Ping => Err(Body::Pong),
        };
        if let Err(body) = refused {
            self.answer(&body);
        }
    }

    /// Tells this one that a text of theirs was not heard, and why.
    pub fn refuse(&mut self, code: &str, why: &str) {
        self.answer(&Body::fault(code, why));
    }

    /// Answers this one alone.
    fn answer(&mut self, body: &Body) {
        let content = match body {
            Body::Error { message, .. } => message.as_str(),
            _ => "",
        };
        // Who asks and does not read is not kept waiting in memory.
        if self.first.len() < 64 {
            self.first.push_back(body.aside(content));
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.conversation.leave(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speaker::Right;

    #[tokio::test]
    async fn who_is_too_slow_is_told_so_before_all_that_waits() {
        let dir = tempfile::tempdir().unwrap();
        let client = api::Client::via(dir.path().join("nobody"), "web");
        let conversation = Arc::new(Conversation::open(None, "alice", "admin"));
        let speaker = Speaker::new("alice", || Right {
            token: "token".into(),
            role: "admin".to_owned(),
        });
        let chat = Chat::new(client, None);
        let mut seat = Seat::new(chat, Arc::clone(&conversation), speaker, None, None);
        for _ in 0..300 {
            conversation.tell(&Body::Assistant(Box::default()), "x", &[]);
        }
        let hello = seat.next().await.unwrap();
        assert!(hello.contains("\"hello\""), "{hello}");
        assert_eq!(seat.next().await, None);
    }
}
