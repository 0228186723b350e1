//! The server and the sessions of its clients, without any input or output of their own.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Instant;

use serde_json::Value as Json;

use super::catalog;
use super::database::{Access, Database};
use super::fault::{Fault, Kind};
use super::framing::Framer;
use super::host::{Hosted, Peer, State};
use super::outbox::{Closed, Output, Waker};
use super::requests::Message;
use super::schema::{Schema, SchemaError};
use super::symbols::random;
use crate::value::Uuid;

/// What a client may do and how much is kept for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Operations that change rows are refused with `not allowed`, and so are locks.
    pub read_only: bool,
    /// The largest message, in bytes.
    pub largest_message: usize,
    /// Most bytes that wait for a client that does not read. An answer or update beyond that ends the
    /// session ([`Closed::Slow`]): the client connects again and gets the present rows in place of all
    /// the updates that it missed.
    pub largest_queue: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            read_only: false,
            largest_message: 16 << 20,
            largest_queue: 64 << 20,
        }
    }
}

/// What [`Session::receive`] wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// More bytes.
    Read,
    /// The output to be taken: requests are held back until then. Call again, with no bytes, after that.
    Drain,
}

/// Wakes the thread that watches over timeouts.
#[derive(Default)]
struct Alarm {
    at: Mutex<AlarmState>,
    bell: Condvar,
}

#[derive(Default)]
struct AlarmState {
    deadline: Option<Instant>,
    running: bool,
    stop: bool,
}

impl Alarm {
    fn lock(&self) -> MutexGuard<'_, AlarmState> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for deadlines, until told to stop.
    fn watch(&self, host: &Weak<Host>) {
        let mut state = self.lock();
        while !state.stop {
            let now = Instant::now();
            state = match state.deadline {
                Some(deadline) if deadline <= now => {
                    state.deadline = None;
                    drop(state);
                    if let Some(host) = host.upgrade() {
                        let mut inner = host.state();
                        inner.retry(Instant::now());
                        host.watch_deadlines(&inner);
                    }
                    self.lock()
                }
                Some(deadline) => {
                    let waited = self.bell.wait_timeout(state, deadline - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let waited = self.bell.wait(state);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }
}

struct Host {
    state: Mutex<State>,
    alarm: Arc<Alarm>,
    this: Weak<Host>,
    id: Uuid,
}

impl Drop for Host {
    fn drop(&mut self) {
        self.alarm.lock().stop = true;
        self.alarm.bell.notify_all();
    }
}

impl Host {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that waiting transactions time out.
    fn watch_deadlines(&self, state: &State) {
        let Some(deadline) = state.next_deadline() else {
            return;
        };
        let mut alarm = self.alarm.lock();
        alarm.deadline = Some(deadline);
        if alarm.running {
            self.alarm.bell.notify_all();
            return;
        }
        let (watched, host) = (Arc::clone(&self.alarm), Weak::clone(&self.this));
        let thread = thread::Builder::new().name("ovsdb-timeouts".to_owned());
        match thread.spawn(move || watched.watch(&host)) {
            Ok(_) => alarm.running = true,
            Err(error) => log::error!("no thread for timeouts: {error}"),
        }
    }
}

/// An OVSDB server: databases in memory, and whoever is connected. Clones are the same server.
///
/// A single lock guards the state; whatever is in a session's [`Output`] was put there in the order of the
/// commits. A thread of its own, started by the first `wait` with a timeout, ends those that time out.
#[derive(Clone)]
pub struct Server(Arc<Host>);

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Server")
    }
}

impl Server {
    /// A server with the database `_Server` and no other.
    pub fn new() -> Result<Self, Fault> {
        let id = random()?;
        let schema = catalog::schema().map_err(|SchemaError(fault)| fault)?;
        let host = Arc::new_cyclic(|this| Host {
            state: Mutex::new(State::new()),
            alarm: Arc::default(),
            this: Weak::clone(this),
            id,
        });
        let server = Self(host);
        server.add(schema)?;
        Ok(server)
    }

    /// Adds a database without rows; one of that name must not be there.
    pub fn add(&self, schema: Schema) -> Result<(), Fault> {
        let mut state = self.0.state();
        let name = schema.name().to_owned();
        if state.databases.contains_key(&name) {
            let details = format!("there is a database {name}");
            return Err(Fault::new(Kind::Constraint, details));
        }
        let told = [catalog::insert(&schema.to_json())];
        let hosted = Hosted::new(Database::new(schema))?;
        state.databases.insert(name, hosted);
        state.execute(catalog::NAME, &told, None, None, Access::Full);
        state.retry(Instant::now());
        Ok(())
    }

    /// Tells clients of a database that somebody else serves on the same connection, by its schema; what was
    /// told of it before is taken back.
    pub fn announce(&self, name: &str, schema: Option<&Json>) {
        let told: Vec<_> = [catalog::delete(name)]
            .into_iter()
            .chain(schema.map(catalog::insert))
            .collect();
        let mut state = self.0.state();
        state.execute(catalog::NAME, &told, None, None, Access::Full);
        state.retry(Instant::now());
    }

    /// Carries out the operations of a `transact` request (RFC 7047, section 4.1.3) for the owner of the
    /// server, and returns their results: as many as there are operations, one more if the commit failed,
    /// `null` for those after one that failed. A `wait` that is not satisfied at once times out.
    pub fn transact(&self, database: &str, operations: &[Json]) -> Result<Vec<Json>, Fault> {
        let access = match database {
            catalog::NAME => Access::Reserved,
            _ => Access::Full,
        };
        let mut state = self.0.state();
        let done = state.execute(database, operations, None, None, access);
        state.retry(Instant::now());
        match done {
            Some(done) => Ok(done.unwrap_or_default()),
            None => {
                let details = format!("no database {database}");
                Err(Fault::new(Kind::UnknownDatabase, details))
            }
        }
    }

    /// Looks at a database; `None` if it is not there. The server waits meanwhile, and must not be called.
    pub fn read<T>(&self, database: &str, look: impl FnOnce(&Database) -> T) -> Option<T> {
        let state = self.0.state();
        state
            .databases
            .get(database)
            .map(|hosted| look(&hosted.database))
    }

    /// How many sessions there are.
    pub fn sessions(&self) -> usize {
        self.0.state().peers.len()
    }

    /// A client has connected. `waker` is called while the server is locked, from any thread: it may only
    /// tell somebody else to take the output.
    pub fn connect(&self, options: Options, waker: Waker) -> Session {
        let output = Output::new(options.largest_queue, waker);
        let mut state = self.0.state();
        let id = state.next_session;
        state.next_session += 1;
        let peer = Peer {
            output: output.clone(),
            read_only: options.read_only,
            monitors: std::collections::BTreeMap::new(),
        };
        state.peers.insert(id, peer);
        drop(state);
        Session {
            host: Arc::clone(&self.0),
            id,
            output,
            framer: Framer::new(options.largest_message),
        }
    }
}

/// One client. Whoever drops it has hung up: its monitors, locks and waiting transactions are gone.
#[derive(Debug)]
pub struct Session {
    host: Arc<Host>,
    id: u64,
    output: Output,
    framer: Framer,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Host({})", self.id)
    }
}

impl Session {
    /// Bytes that the client sent, in pieces of any size. What is no message ends the session.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Flow, Closed> {
        self.framer.push(bytes);
        loop {
            if let Some(why) = self.output.closed() {
                return Err(why);
            }
            if self.output.is_congested() {
                return Ok(Flow::Drain);
            }
            match self.framer.next() {
                Ok(Some(message)) => self.message(&message)?,
                Ok(None) => return Ok(Flow::Read),
                Err(malformed) => return Err(self.end(malformed.into())),
            }
        }
    }

    /// A message that the client sent. One that is no JSON-RPC ends the session.
    pub fn message(&self, message: &Json) -> Result<(), Closed> {
        if let Some(why) = self.output.closed() {
            return Err(why);
        }
        match Message::read(message) {
            Ok(Message::Request(method, params, id)) => {
                let mut state = self.host.state();
                state.request(self.id, &self.host.id, (method, params, id));
                // After the answer: whoever waited for this transaction sees it done.
                state.retry(Instant::now());
                self.host.watch_deadlines(&state);
            }
            Ok(Message::Cancel(id)) => self.host.state().cancel(self.id, id),
            Ok(Message::Other) => {}
            Err(why) => return Err(self.end(why)),
        }
        self.output.closed().map_or(Ok(()), Err)
    }

    fn end(&self, why: Closed) -> Closed {
        self.host.state().forget(self.id);
        self.output.close(why.clone());
        why
    }

    /// What the client is to be sent; it may be taken from any thread.
    pub fn output(&self) -> &Output {
        &self.output
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.host.state().forget(self.id);
        self.output.close(Closed::Done);
    }
}
