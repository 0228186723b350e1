//! What a session has to say, until somebody takes it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::framing::Malformed;

/// Why a session is over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// The client sent what is no message.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The client sent JSON that is not JSON-RPC.
    #[error("not JSON-RPC: {0}")]
    NotRpc(&'static str),
    /// The client does not read, and more waits for it than the session may keep.
    #[error("more than {0} bytes wait for a client that does not read")]
    Slow(usize),
    /// The owner closed it.
    #[error("closed by the server")]
    Done,
}

/// Called when there is something to take from a queue that was empty, or with the reason why the session is
/// over. The server may be locked meanwhile: it may only tell somebody else.
pub type Waker = Box<dyn Fn(Option<&Closed>) + Send + Sync>;

#[derive(Default)]
struct Queue {
    bytes: Vec<u8>,
    /// Where each message ends.
    ends: Vec<usize>,
    closed: Option<Closed>,
}

struct Shared {
    queue: Mutex<Queue>,
    largest: usize,
    waker: Waker,
}

/// The outgoing queue of a session; clones are the same queue.
#[derive(Clone)]
pub struct Output(Arc<Shared>);

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queue = self.queue();
        let mut shown = f.debug_struct("Output");
        shown.field("bytes", &queue.bytes.len());
        shown.field("closed", &queue.closed).finish()
    }
}

impl Output {
    pub(crate) fn new(largest: usize, waker: Waker) -> Self {
        Self(Arc::new(Shared {
            queue: Mutex::default(),
            largest,
            waker,
        }))
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        let queue = self.0.queue.lock();
        queue.unwrap_or_else(PoisonError::into_inner)
    }

    /// All that waits, as it goes into the stream.
    pub fn take(&self) -> Vec<u8> {
        let mut queue = self.queue();
        queue.ends.clear();
        std::mem::take(&mut queue.bytes)
    }

    /// All that waits, message by message.
    pub fn take_messages(&self) -> Vec<String> {
        let mut queue = self.queue();
        let bytes = std::mem::take(&mut queue.bytes);
        let ends = std::mem::take(&mut queue.ends);
        drop(queue);
        let mut start = 0;
        let cut = |end: usize| {
            let message = String::from_utf8_lossy(&bytes[start..end]).into_owned();
            start = end;
            message
        };
        ends.into_iter().map(cut).collect()
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue().bytes.is_empty()
    }

    /// Why the session is over, if it is.
    pub fn closed(&self) -> Option<Closed> {
        self.queue().closed.clone()
    }

    /// Ends the session; what waits can still be taken, unless the client is too slow for it.
    pub fn close(&self, why: Closed) {
        let mut queue = self.queue();
        if queue.closed.is_none() {
            if matches!(why, Closed::Slow(_)) {
                queue.bytes = Vec::new();
                queue.ends = Vec::new();
            }
            queue.closed = Some(why.clone());
            drop(queue);
            (self.0.waker)(Some(&why));
        }
    }

    /// So much waits that requests should wait too.
    pub(crate) fn is_congested(&self) -> bool {
        self.queue().bytes.len() > self.0.largest / 8
    }

    pub(crate) fn push(&self, parts: &[&str]) {
        let mut queue = self.queue();
        if queue.closed.is_some() {
            return;
        }
        let was_empty = queue.bytes.is_empty();
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if queue.bytes.len() + length > self.0.largest {
            drop(queue);
            self.close(Closed::Slow(self.0.largest));
            return;
        }
        for part in parts {
            queue.bytes.extend_from_slice(part.as_bytes());
        }
        let end = queue.bytes.len();
        queue.ends.push(end);
        drop(queue);
        if was_empty {
            (self.0.waker)(None);
        }
    }
}
