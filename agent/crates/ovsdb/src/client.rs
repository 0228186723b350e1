//! The client: one thread reads, one writes, callers wait for answers or for the cache to show something.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::error::{Error, Refusal};
use crate::operation::Operation;
use crate::table::{Row, Tables};
use crate::value::{Uuid, Value};
use crate::wire::{LARGEST, Messages};

/// Time before the second attempt to reach a server that went away; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A connection to a database server, with a cache of what is monitored. Threads may share it.
pub struct Client {
    path: PathBuf,
    timeout: Duration,
    /// Held by the one caller that connects; the others wait for it.
    connecting: Mutex<()>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// `None` when the server is away.
    connection: Option<Connection>,
    /// Counts connections, so that a reader of an old one keeps its hands off.
    connections: u64,
    next_id: u64,
    /// Requests that wait, and answers that have come.
    answers: BTreeMap<u64, Option<Json>>,
    /// What is to be monitored: database and request, to ask again after a reconnect.
    monitored: Option<(String, Json)>,
    /// The request whose answer fills the cache.
    filling: Option<u64>,
    /// Whether the cache follows the current connection.
    watching: bool,
    /// Always whole: replaced at once by the answer to `filling`, then updated.
    tables: Tables,
    /// Why the last connection ended, if not by the server's closing it.
    garbage: Option<String>,
}

/// What it takes to talk to the server that is there now.
struct Connection {
    stream: UnixStream,
    /// To the thread that writes: the reader must never wait for the server to read.
    outgoing: Sender<String>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_ready(&self) -> bool {
        self.connection.is_some() && (self.watching || self.monitored.is_none())
    }

    /// Ends the connection; its threads see that and end too.
    fn hang_up(&mut self) {
        if let Some(connection) = self.connection.take() {
            let _ = connection.stream.shutdown(Shutdown::Both);
        }
        self.filling = None;
        self.watching = false;
    }

    /// Hands a message to the writer. What cannot be written ends the connection, which the reader sees.
    fn send(&self, message: &Json) {
        if let Some(connection) = &self.connection {
            let _ = connection.outgoing.send(message.to_string());
        }
    }

    fn answered(&mut self, mut message: Json) -> Result<(), Error> {
        let Some(id) = message.get("id").and_then(Json::as_u64) else {
            let start: String = message.to_string().chars().take(200).collect();
            return Err(Error::Garbage(start));
        };
        if self.filling == Some(id) && message.get("error").is_none_or(Json::is_null) {
            // Here and not by the caller that waits: updates that follow build on it.
            let rows = message.get_mut("result").map(Json::take);
            let mut tables = Tables::default();
            tables.update(rows.unwrap_or_default())?;
            self.tables = tables;
            self.filling = None;
            self.watching = true;
        }
        // Nobody may wait for it any longer.
        if let Some(place) = self.answers.get_mut(&id) {
            *place = Some(message);
        }
        Ok(())
    }
}

impl Client {
    /// Connects to the server's Unix socket. `timeout` bounds each later request, reconnecting included.
    pub fn connect(path: &Path, timeout: Duration) -> Result<Self, Error> {
        let client = Self {
            path: path.to_owned(),
            timeout,
            connecting: Mutex::default(),
            shared: Arc::default(),
        };
        client.open()?;
        Ok(client)
    }

    /// Opens the socket and starts its threads.
    fn open(&self) -> Result<(), Error> {
        let failed = |source| Error::Connect {
            path: self.path.clone(),
            source,
        };
        let stream = UnixStream::connect(&self.path).map_err(failed)?;
        let reader = stream.try_clone().map_err(failed)?;
        let writer = stream.try_clone().map_err(failed)?;
        let (outgoing, messages) = channel();
        let thread = || std::thread::Builder::new().name("ovsdb".to_owned());
        thread()
            .spawn(move || write(writer, &messages))
            .map_err(failed)?;
        let mut state = self.shared.lock();
        state.hang_up();
        state.connections += 1;
        state.garbage = None;
        let (shared, connection) = (Arc::clone(&self.shared), state.connections);
        thread()
            .spawn(move || read(&shared, connection, reader))
            .map_err(failed)?;
        state.connection = Some(Connection { stream, outgoing });
        Ok(())
    }

    /// Reconnects if the server went away in the meantime, and fills the cache again.
    fn connected(&self, deadline: Instant) -> Result<(), Error> {
        if self.shared.lock().is_ready() {
            return Ok(());
        }
        let _alone = self
            .connecting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut pause = FIRST_PAUSE;
        loop {
            match self.make_ready(deadline) {
                Err(Error::Connect { .. } | Error::Gone(_))
                    if Instant::now() + pause < deadline =>
                {
                    std::thread::sleep(pause);
                    pause = (2 * pause).min(LONGEST_PAUSE);
                }
                made => return made,
            }
        }
    }

    fn make_ready(&self, deadline: Instant) -> Result<(), Error> {
        if self.shared.lock().connection.is_none() {
            self.open()?;
        }
        let wanted = {
            let state = self.shared.lock();
            state.monitored.clone().filter(|_| !state.watching)
        };
        let Some((database, request)) = wanted else {
            return Ok(());
        };
        let asked = self.ask("monitor", &json!([database, null, request]), deadline);
        if asked.is_err() {
            // The server refuses to be asked twice on one connection.
            self.shared.lock().hang_up();
        }
        asked.map(drop)
    }

    /// Asks and waits for the answer's `result`.
    fn call(&self, method: &str, params: &Json) -> Result<Json, Error> {
        let deadline = Instant::now() + self.timeout;
        self.connected(deadline)?;
        self.ask(method, params, deadline)
    }

    fn ask(&self, method: &str, params: &Json, deadline: Instant) -> Result<Json, Error> {
        let mut state = self.shared.lock();
        if state.connection.is_none() {
            return Err(Error::Gone(self.path.clone()));
        }
        let id = state.next_id;
        state.next_id += 1;
        let connection = state.connections;
        state.answers.insert(id, None);
        if method == "monitor" {
            state.filling = Some(id);
        }
        state.send(&json!({ "id": id, "method": method, "params": params }));
        loop {
            if let Some(Some(answer)) = state.answers.get_mut(&id).map(Option::take) {
                state.answers.remove(&id);
                return result(method, answer);
            }
            if state.connection.is_none() || state.connections != connection {
                state.answers.remove(&id);
                let garbage = state.garbage.clone();
                return Err(garbage.map_or_else(|| Error::Gone(self.path.clone()), Error::Garbage));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                state.answers.remove(&id);
                return Err(Error::TimedOut {
                    what: method.to_owned(),
                    limit: self.timeout,
                });
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The databases of the server.
    pub fn databases(&self) -> Result<Vec<String>, Error> {
        let list = self.call("list_dbs", &json!([]))?;
        serde_json::from_value(list).map_err(|error| Error::Garbage(error.to_string()))
    }

    /// A database's schema, as RFC 7047, section 3.2, writes it.
    pub fn schema(&self, database: &str) -> Result<Json, Error> {
        self.call("get_schema", &json!([database]))
    }

    /// Watches columns of tables from now on; the cache holds their rows when this returns. A client
    /// watches one set of tables: a second call replaces the first.
    pub fn monitor(&self, database: &str, tables: &[(&str, &[&str])]) -> Result<(), Error> {
        let tables = tables.iter();
        let request: serde_json::Map<_, _> = tables
            .map(|(table, columns)| ((*table).to_owned(), json!({ "columns": columns })))
            .collect();
        {
            let mut state = self.shared.lock();
            if state.monitored.is_some() {
                state.hang_up();
            }
            state.monitored = Some((database.to_owned(), Json::Object(request)));
        }
        self.connected(Instant::now() + self.timeout)
    }

    /// What is watched, as of now; after a reconnect if there has to be one.
    pub fn tables(&self) -> Result<Tables, Error> {
        self.connected(Instant::now() + self.timeout)?;
        Ok(self.shared.lock().tables.clone())
    }

    /// Waits until the cache shows something; `Ok(None)` if it does not within `limit`.
    pub fn wait_for<T>(
        &self,
        limit: Duration,
        mut look: impl FnMut(&Tables) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let deadline = Instant::now() + limit;
        loop {
            self.connected(deadline)?;
            let state = self.shared.lock();
            if let Some(found) = look(&state.tables) {
                return Ok(Some(found));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            if state.is_ready() {
                drop(self.shared.changed.wait_timeout(state, left));
            }
        }
    }

    /// Carries out operations as one transaction: all or none. The results stand in their order: the rows of a
    /// select, the identity of an inserted row, else nothing.
    pub fn transact(&self, database: &str, operations: &[Operation]) -> Result<Vec<Done>, Error> {
        let mut params = vec![json!(database)];
        params.extend(operations.iter().map(Operation::to_json));
        let results = self.call("transact", &Json::Array(params))?;
        let Json::Array(results) = results else {
            return Err(Error::Garbage(format!(
                "a transaction's result that is no list: {results}"
            )));
        };
        // A refused commit adds one result at the end; after a refused operation the others are null.
        for (place, result) in results.iter().enumerate() {
            if let Some(kind) = result.get("error").and_then(Json::as_str) {
                let details = result.get("details").and_then(Json::as_str);
                return Err(Error::Refused(Refusal {
                    place,
                    kind: kind.to_owned(),
                    details: details.unwrap_or_default().to_owned(),
                }));
            }
        }
        results.iter().map(Done::read).collect()
    }
}

/// What one operation gave.
#[derive(Debug, Clone, PartialEq)]
pub enum Done {
    /// The rows of a select.
    Rows(Vec<Row>),
    /// The identity of an inserted row.
    Inserted(Uuid),
    /// Nothing to tell.
    Done,
}

impl Done {
    fn read(result: &Json) -> Result<Self, Error> {
        if let Some(rows) = result.get("rows").and_then(Json::as_array) {
            let row = |row: &Json| {
                let columns = row.as_object().into_iter().flatten();
                columns
                    .map(|(name, value)| Ok((name.clone(), Value::from_json(value)?)))
                    .collect::<Result<Row, Error>>()
            };
            return Ok(Self::Rows(rows.iter().map(row).collect::<Result<_, _>>()?));
        }
        match result.get("uuid").map(Value::from_json).transpose()? {
            Some(value) => match value.uuids().pop() {
                Some(uuid) => Ok(Self::Inserted(uuid)),
                None => Err(Error::Garbage(format!("an insert without a row: {result}"))),
            },
            None => Ok(Self::Done),
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.shared.lock().hang_up();
    }
}

/// The result of an answer. `"error": null` is success.
fn result(method: &str, mut answer: Json) -> Result<Json, Error> {
    match answer.get("error") {
        None | Some(Json::Null) => Ok(answer.get_mut("result").map(Json::take).unwrap_or_default()),
        Some(error) => Err(Error::Request {
            what: method.to_owned(),
            reason: error.to_string(),
        }),
    }
}

/// Writes to one connection until it ends.
fn write(mut stream: UnixStream, messages: &Receiver<String>) {
    for message in messages {
        if stream.write_all(message.as_bytes()).is_err() {
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }
}

/// Reads one connection to its end.
fn read(shared: &Shared, connection: u64, stream: UnixStream) {
    let mut garbage = None;
    for message in Messages::new(stream, LARGEST) {
        let heard = match message {
            Ok(message) => hear(shared, connection, message),
            Err(error) => Err(error),
        };
        match heard {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                garbage = Some(match error {
                    Error::Garbage(what) => what,
                    other => other.to_string(),
                });
                break;
            }
        }
    }
    let mut state = shared.lock();
    if state.connections == connection {
        state.garbage = garbage;
        state.hang_up();
    }
    shared.changed.notify_all();
}

/// Takes in one message; `false` if the connection is no longer the current one.
fn hear(shared: &Shared, connection: u64, mut message: Json) -> Result<bool, Error> {
    let mut state = shared.lock();
    if state.connections != connection || state.connection.is_none() {
        return Ok(false);
    }
    match message.get("method").and_then(Json::as_str) {
        Some("echo") => {
            let params = message.get_mut("params").map(Json::take);
            let id = message.get_mut("id").map(Json::take);
            state.send(&json!({ "id": id, "result": params, "error": null }));
        }
        Some("update") => {
            let updates = message.pointer_mut("/params/1").map(Json::take);
            state.tables.update(updates.unwrap_or_default())?;
        }
        // A client need not understand other notifications.
        Some(_) => {}
        None => state.answered(message)?,
    }
    drop(state);
    shared.changed.notify_all();
    Ok(true)
}
