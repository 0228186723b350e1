//! One HTTP exchange: what came back, as it comes, within bounds.

use std::time::Duration;

use reqwest::Response;
use serde_json::Value;

use crate::bounds;
use crate::error::Error;
use crate::models::printable;
use crate::reply::{Collector, Fault, Listener, Reply, complaint};
use crate::sse::Decoder;

/// A response on its way, read in pieces.
pub(crate) struct Body<'s> {
    pub(crate) response: Response,
    /// The server, for errors.
    pub(crate) server: &'s str,
    /// How long it may be silent.
    pub(crate) idle: Duration,
    pub(crate) read: usize,
}

impl Body<'_> {
    /// The next piece; none at the end.
    async fn piece(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let piece = tokio::time::timeout(self.idle, self.response.chunk()).await;
        let piece = piece.map_err(|_| Error::TimedOut {
            server: self.server.to_owned(),
            after: self.idle,
        })?;
        let Ok(piece) = piece else {
            return Err(self.fault(Fault::Cut));
        };
        self.read += piece.as_ref().map_or(0, |piece| piece.len());
        if self.read > bounds::ANSWER {
            return Err(self.fault(Fault::TooMuch("bytes", bounds::ANSWER)));
        }
        Ok(piece.map(|piece| piece.to_vec()))
    }

    /// All of it as JSON.
    pub(crate) async fn json(&mut self) -> Result<Value, Error> {
        let mut whole = Vec::new();
        while let Some(piece) = self.piece().await? {
            whole.extend(piece);
        }
        self.parse(&whole)
    }

    /// What the server says is wrong; nothing if it cannot be read.
    pub(crate) async fn complaint(&mut self) -> String {
        let mut whole = Vec::new();
        while let Ok(Some(piece)) = self.piece().await {
            whole.extend(piece);
            if whole.len() > bounds::EVENT {
                break;
            }
        }
        let text = String::from_utf8_lossy(&whole);
        let json: Value = serde_json::from_str(&text).unwrap_or_default();
        let said = complaint(&json).or_else(|| {
            let other = ["message", "detail"].iter().map(|key| &json[*key]);
            let mut other = other.filter(|said| !said.is_null());
            other.next().map(|said| match said.as_str() {
                Some(text) => text.to_owned(),
                None => said.to_string(),
            })
        });
        match said {
            Some(said) => said,
            None if text.trim_start().starts_with('<') => "it sent a web page".to_owned(),
            None => text.into_owned(),
        }
    }

    /// An answer: a stream of events, or one JSON document, whatever the server calls it.
    pub(crate) async fn reply(
        &mut self,
        sent: usize,
        listener: &mut Listener<'_>,
    ) -> Result<Reply, Error> {
        let head = loop {
            let Some(piece) = self.piece().await? else {
                return Err(self.fault(Fault::Cut));
            };
            let text = piece.trim_ascii_start();
            if !text.is_empty() {
                break text.to_vec();
            }
        };
        match head.first() {
            Some(b'<') => Err(Error::WebPage {
                server: self.server.to_owned(),
            }),
            Some(b'{' | b'[') => self.document(head, sent, listener).await,
            _ => self.stream(&head, sent, listener).await,
        }
    }

    async fn document(
        &mut self,
        mut whole: Vec<u8>,
        sent: usize,
        listener: &mut Listener<'_>,
    ) -> Result<Reply, Error> {
        while let Some(piece) = self.piece().await? {
            whole.extend(piece);
        }
        let answer = self.parse(&whole)?;
        let mut collector = Collector::default();
        let there = collector.take(&answer, listener);
        match there.map_err(|fault| self.fault(fault))? {
            true => collector
                .finish(true, sent, listener)
                .map_err(|fault| self.fault(fault)),
            false => Err(self.fault(Fault::Garbled("there are no `choices` in it".to_owned()))),
        }
    }

    async fn stream(
        &mut self,
        head: &[u8],
        sent: usize,
        listener: &mut Listener<'_>,
    ) -> Result<Reply, Error> {
        let mut decoder = Decoder::default();
        let mut collector = Collector::default();
        let mut piece = Some(head.to_vec());
        let too_long = Fault::TooMuch("bytes in one event", bounds::EVENT);
        let mut ended = false;
        while let Some(bytes) = piece
            && !ended
        {
            let events = decoder.feed(&bytes);
            for event in events.map_err(|_| self.fault(too_long.clone()))? {
                ended = self.event(&event.data, &mut collector, listener)?;
                if ended {
                    break;
                }
            }
            piece = match ended {
                true => None,
                false => self.piece().await?,
            };
        }
        if !ended && let Ok(Some(event)) = decoder.finish() {
            // Half an event is no event.
            let whole =
                event.data.trim() == DONE || serde_json::from_str::<Value>(&event.data).is_ok();
            ended = whole && self.event(&event.data, &mut collector, listener)?;
        }
        let reply = collector.finish(ended, sent, listener);
        reply.map_err(|fault| self.fault(fault))
    }

    /// Takes one event; whether it was the last.
    fn event(
        &self,
        data: &str,
        collector: &mut Collector,
        listener: &mut Listener<'_>,
    ) -> Result<bool, Error> {
        let data = data.trim();
        if data == DONE {
            return Ok(true);
        }
        if data.is_empty() {
            return Ok(false);
        }
        let chunk = self.parse(data.as_bytes())?;
        let taken = collector.take(&chunk, listener);
        taken.map(|_| false).map_err(|fault| self.fault(fault))
    }

    fn parse(&self, text: &[u8]) -> Result<Value, Error> {
        if text.trim_ascii_start().starts_with(b"<") {
            return Err(Error::WebPage {
                server: self.server.to_owned(),
            });
        }
        // The error names a place and what was expected there, not what was found.
        serde_json::from_slice(text).map_err(|error| self.fault(Fault::Garbled(error.to_string())))
    }

    fn fault(&self, fault: Fault) -> Error {
        let server = self.server.to_owned();
        match fault {
            Fault::Complaint(complaint) => Error::Rejected {
                server,
                status: self.response.status().as_u16(),
                complaint: printable(&complaint, bounds::COMPLAINT),
            },
            Fault::Garbled(cause) => Error::Garbled { server, cause },
            Fault::TooMuch(what, most) => Error::TooLarge { server, what, most },
            Fault::Cut => Error::Cut { server },
        }
    }
}

/// What a stream ends with.
const DONE: &str = "[DONE]";
