//! What goes out on a connection, and how much of it may wait.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// How many bytes may wait for a client that is slow to read them.
const WAITING: usize = 1 << 20;
/// How long a client that has something to read may read nothing.
const STUCK: Duration = Duration::from_secs(60);

/// What goes out, in order. Answers wait for room, events are dropped without it.
#[derive(Clone)]
pub(super) struct Out {
    lines: UnboundedSender<Line>,
    room: Arc<Semaphore>,
    end: Arc<Notify>,
}

/// A message, and the room that it takes until it is written.
pub(super) struct Line {
    text: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

impl Out {
    pub(super) fn new() -> (Self, UnboundedReceiver<Line>) {
        let (lines, receiver) = unbounded_channel();
        let room = Arc::new(Semaphore::new(WAITING));
        let end = Arc::new(Notify::new());
        (Self { lines, room, end }, receiver)
    }

    fn room(mut text: Vec<u8>) -> (Vec<u8>, u32) {
        text.push(b'\n');
        // A message that is larger than all the room takes all of it.
        let room = u32::try_from(text.len().min(WAITING)).unwrap_or(u32::MAX);
        (text, room)
    }

    pub(super) async fn send(&self, message: Value) {
        let text = message.to_string().into_bytes();
        // It takes many times the memory of its text, which may have to wait.
        drop(message);
        self.send_text(text).await;
    }

    pub(super) async fn send_text(&self, text: Vec<u8>) {
        let (text, room) = Self::room(text);
        let room = tokio::select! {
            room = Arc::clone(&self.room).acquire_many_owned(room) => room,
            () = self.closed() => return,
        };
        if let Ok(room) = room {
            let _ = self.lines.send(Line { text, _room: room });
        }
    }

    pub(super) fn offer(&self, message: &Value) {
        let (text, room) = Self::room(message.to_string().into_bytes());
        if let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(room) {
            let _ = self.lines.send(Line { text, _room: room });
        }
    }

    /// Writes nothing more, and lets the connection end.
    pub(super) fn close(&self) {
        self.end.notify_waiters();
        self.end.notify_one();
    }

    /// Waits until nothing can be written any more.
    pub(super) async fn closed(&self) {
        tokio::select! {
            () = self.lines.closed() => {}
            () = self.end.notified() => self.end.notify_one(),
        }
    }
}

/// Writes what goes out, until nothing does any more or the client does not read it.
pub(super) async fn write(mut writer: OwnedWriteHalf, mut lines: UnboundedReceiver<Line>) {
    while let Some(line) = lines.recv().await {
        let written = tokio::time::timeout(STUCK, writer.write_all(&line.text)).await;
        if !matches!(written, Ok(Ok(()))) {
            return;
        }
    }
}
