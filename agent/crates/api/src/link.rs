//! One connection: requests out, answers and events in, each to whom it is for.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::bounds::Bounds;
use crate::error::Error;
use crate::message::{Answer, Event};

/// How long a connection may take to be taken.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest message that is read: the daemon's largest answer is 16 MiB, and this is what is around it.
const LARGEST: usize = (16 << 20) + (64 << 10);
/// How many requests are on their way at once. The daemon reads no more than 128 of a connection, and one that
/// takes a call back must still be read.
const IN_FLIGHT: usize = 96;
/// How many events may wait for a listener that is slow; further ones are dropped.
const EVENTS: usize = 64;

/// A connection to the daemon. It ends when this is dropped.
pub(crate) struct Link {
    lines: mpsc::UnboundedSender<String>,
    shared: Arc<Shared>,
    next: AtomicU64,
}

struct Shared {
    waiting: Mutex<HashMap<u64, Waiting>>,
    room: Arc<Semaphore>,
    /// Requests that have no answer yet.
    busy: AtomicUsize,
    gone: AtomicBool,
}

/// Whom an answer is for.
struct Waiting {
    answer: oneshot::Sender<Answer>,
    events: mpsc::Sender<Event>,
    /// Held until the daemon has answered, also to what was taken back.
    _room: tokio::sync::OwnedSemaphorePermit,
}

/// A request as it is written: it borrows, since arguments may be large.
#[derive(Serialize)]
struct Line<'a, P> {
    jsonrpc: &'static str,
    id: u64,
    method: &'a str,
    params: &'a P,
}

/// A request on its way. To drop it is to take it back.
pub(crate) struct Pending<'a> {
    link: &'a Link,
    id: u64,
    pub(crate) answer: oneshot::Receiver<Answer>,
    pub(crate) events: mpsc::Receiver<Event>,
    over: bool,
}

impl Link {
    pub(crate) async fn open(path: &Path) -> Result<Self, Error> {
        let away = |source| Error::Away {
            path: path.to_owned(),
            source,
        };
        let connected = tokio::time::timeout(PATIENCE, UnixStream::connect(path)).await;
        let stream = connected
            .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
            .map_err(away)?;
        let (reader, writer) = stream.into_split();
        let (lines, queue) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            room: Arc::new(Semaphore::new(IN_FLIGHT)),
            busy: AtomicUsize::new(0),
            gone: AtomicBool::new(false),
        });
        tokio::spawn(run(reader, writer, queue, Arc::clone(&shared)));
        Ok(Self {
            lines,
            shared,
            next: AtomicU64::new(1),
        })
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.shared.gone.load(Ordering::SeqCst)
    }

    /// How many requests have no answer yet.
    pub(crate) fn busy(&self) -> usize {
        self.shared.busy.load(Ordering::Relaxed)
    }

    /// Sends a request; waits while too many are on their way. What the daemon would end the connection for, with all
    /// calls on it, is not sent.
    pub(crate) async fn send(
        &self,
        method: &str,
        params: &impl Serialize,
    ) -> Result<Pending<'_>, Error> {
        let room = Arc::clone(&self.shared.room).acquire_owned().await;
        let room = room.map_err(|_| Error::Gone)?;
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let line = Line {
            jsonrpc: "2.0",
            id,
            method,
            params,
        };
        let mut line = serde_json::to_string(&line)
            .map_err(|error| Error::Protocol(format!("a request cannot be written: {error}")))?;
        Bounds::DAEMON.check(line.as_bytes())?;
        line.push('\n');
        let (answers, answer) = oneshot::channel();
        let (told, events) = mpsc::channel(EVENTS);
        let waiting = Waiting {
            answer: answers,
            events: told,
            _room: room,
        };
        self.shared.enter(id, waiting)?;
        self.lines.send(line).map_err(|_| Error::Gone)?;
        Ok(Pending {
            link: self,
            id,
            answer,
            events,
            over: false,
        })
    }
}

impl Pending<'_> {
    /// The answer was taken: there is nothing to take back.
    pub(crate) fn over(&mut self) {
        self.over = true;
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if !self.over {
            let cancel = json!({
                "jsonrpc": "2.0", "method": "tools.cancel", "params": { "id": self.id },
            });
            let _ = self.link.lines.send(format!("{cancel}\n"));
        }
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, id: u64, waiting: Waiting) -> Result<(), Error> {
        let mut all = self.waiting();
        // Under the lock, so that the end sees either this entry or nothing sent.
        if self.gone.load(Ordering::SeqCst) {
            return Err(Error::Gone);
        }
        all.insert(id, waiting);
        self.busy.store(all.len(), Ordering::Relaxed);
        Ok(())
    }

    fn leave(&self, id: u64) -> Option<Waiting> {
        let mut all = self.waiting();
        let waiting = all.remove(&id);
        self.busy.store(all.len(), Ordering::Relaxed);
        waiting
    }

    /// Takes in one message of the daemon.
    fn hear(&self, line: &[u8]) -> Result<(), Error> {
        let mut message: Value = serde_json::from_slice(line)
            .map_err(|error| Error::Protocol(format!("its message is no JSON: {error}")))?;
        if message["method"] == "progress" {
            let id = message["params"]["id"].as_u64().unwrap_or_default();
            if let Ok(event) = Event::deserialize(&message["params"]["event"])
                && let Some(waiting) = self.waiting().get(&id)
            {
                let _ = waiting.events.try_send(event);
            }
            return Ok(());
        }
        // Without an id it is about the connection as a whole.
        let Some(id) = message["id"].as_u64() else {
            return Err(Error::of_answer(&message["error"]));
        };
        if let Some(waiting) = self.leave(id) {
            let result = match message.get("error") {
                Some(error) => Err(Error::of_answer(error)),
                None => Ok(message["result"].take()),
            };
            let entry = message["entry"].as_i64();
            // Nobody listens any more to what was taken back.
            let _ = waiting.answer.send(Answer { result, entry });
        }
        Ok(())
    }

    /// Tells all who wait that nothing will come.
    fn end(&self, why: &Error) {
        let left = {
            let mut all = self.waiting();
            self.gone.store(true, Ordering::SeqCst);
            self.busy.store(0, Ordering::Relaxed);
            std::mem::take(&mut *all)
        };
        self.room.close();
        for waiting in left.into_values() {
            let _ = waiting.answer.send(Answer::failed(match why {
                Error::TooLarge(size) => Error::TooLarge(*size),
                Error::Protocol(text) => Error::Protocol(text.clone()),
                _ => Error::Gone,
            }));
        }
    }
}

/// Carries both directions until either ends.
async fn run(
    mut reader: OwnedReadHalf,
    mut writer: OwnedWriteHalf,
    mut queue: mpsc::UnboundedReceiver<String>,
    shared: Arc<Shared>,
) {
    let write = async {
        while let Some(line) = queue.recv().await {
            if writer.write_all(line.as_bytes()).await.is_err() {
                break;
            }
        }
        Error::Gone
    };
    let why = tokio::select! {
        why = write => why,
        why = read(&mut reader, &shared) => why,
    };
    if !matches!(why, Error::Gone) {
        log::warn!("the connection to the daemon is ended: {why}");
    }
    shared.end(&why);
}

async fn read(reader: &mut OwnedReadHalf, shared: &Shared) -> Error {
    let mut held = Vec::with_capacity(8192);
    let mut seen = 0;
    loop {
        match reader.read_buf(&mut held).await {
            Ok(0) | Err(_) => return Error::Gone,
            Ok(_) => {}
        }
        let mut begin = 0;
        while let Some(end) = held[seen..].iter().position(|byte| *byte == b'\n') {
            let end = seen + end;
            if let Err(error) = shared.hear(&held[begin..end]) {
                return error;
            }
            (begin, seen) = (end + 1, end + 1);
        }
        held.drain(..begin);
        seen = held.len();
        if held.len() > LARGEST {
            return Error::TooLarge(LARGEST);
        }
        if held.is_empty() && held.capacity() > (1 << 20) {
            held = Vec::with_capacity(8192);
        }
    }
}
