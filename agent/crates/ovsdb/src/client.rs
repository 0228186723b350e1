//! The client: one thread reads, callers wait for answers or for the cache to show something.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::error::{Error, Refusal};
use crate::operation::Operation;
use crate::table::{Row, Tables};
use crate::value::{Uuid, Value};
use crate::wire::Messages;

/// Time between two attempts to reach a server that went away.
const PAUSE: Duration = Duration::from_millis(50);

/// A connection to a database server, with a cache of what is monitored. Threads may share it.
pub struct Client {
    path: PathBuf,
    timeout: Duration,
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
    stream: Option<UnixStream>,
    /// Counts connections, so that a reader of an old one keeps its hands off.
    connection: u64,
    next_id: u64,
    /// Requests that wait, and answers that have come.
    answers: BTreeMap<u64, Option<Json>>,
    /// What is monitored: database and request, to ask again after a reconnect.
    monitored: Option<(String, Json)>,
    tables: Tables,
    /// Why the last connection ended, if not by the server's closing it.
    garbage: Option<String>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Client {
    /// Connects to the server's Unix socket. `timeout` bounds each later request, reconnecting included.
    pub fn connect(path: &Path, timeout: Duration) -> Result<Self, Error> {
        let client = Self {
            path: path.to_owned(),
            timeout,
            shared: Arc::default(),
        };
        client.open()?;
        Ok(client)
    }

    /// Opens the socket and starts its reader.
    fn open(&self) -> Result<(), Error> {
        let failed = |source| Error::Connect {
            path: self.path.clone(),
            source,
        };
        let stream = UnixStream::connect(&self.path).map_err(failed)?;
        stream
            .set_write_timeout(Some(self.timeout))
            .map_err(failed)?;
        let reader = stream.try_clone().map_err(failed)?;
        let mut state = self.shared.lock();
        state.connection += 1;
        state.garbage = None;
        state.stream = Some(stream);
        let (shared, connection) = (Arc::clone(&self.shared), state.connection);
        std::thread::Builder::new()
            .name("ovsdb".to_owned())
            .spawn(move || read(&shared, connection, reader))
            .map_err(failed)?;
        Ok(())
    }

    /// A connected state, after reconnecting if the server went away in the meantime.
    fn connected(&self, deadline: Instant) -> Result<(), Error> {
        loop {
            if self.shared.lock().stream.is_some() {
                return Ok(());
            }
            match self.open() {
                Ok(()) => {
                    let monitored = self.shared.lock().monitored.clone();
                    if let Some((database, request)) = monitored {
                        self.ask_to_monitor(&database, &request, deadline)?;
                    }
                    return Ok(());
                }
                Err(error) if Instant::now() + PAUSE >= deadline => return Err(error),
                Err(_) => std::thread::sleep(PAUSE),
            }
        }
    }

    /// Asks and waits for the answer's `result`.
    fn call(&self, method: &str, params: &Json) -> Result<Json, Error> {
        let deadline = Instant::now() + self.timeout;
        self.connected(deadline)?;
        self.ask(method, params, deadline)
    }

    fn ask(&self, method: &str, params: &Json, deadline: Instant) -> Result<Json, Error> {
        let mut state = self.shared.lock();
        let id = state.next_id;
        state.next_id += 1;
        let connection = state.connection;
        let message = json!({ "id": id, "method": method, "params": params }).to_string();
        let Some(stream) = &mut state.stream else {
            return Err(Error::Gone(self.path.clone()));
        };
        if stream.write_all(message.as_bytes()).is_err() {
            hang_up(&mut state);
            return Err(Error::Gone(self.path.clone()));
        }
        state.answers.insert(id, None);
        loop {
            if let Some(Some(answer)) = state.answers.get(&id) {
                let answer = answer.clone();
                state.answers.remove(&id);
                return result(method, answer);
            }
            let garbage = state.garbage.clone();
            if state.stream.is_none() || state.connection != connection {
                state.answers.remove(&id);
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
    /// monitors one set of tables; a second call replaces the first after the next reconnect.
    pub fn monitor(&self, database: &str, tables: &[(&str, &[&str])]) -> Result<(), Error> {
        let tables = tables.iter();
        let request: serde_json::Map<_, _> = tables
            .map(|(table, columns)| ((*table).to_owned(), json!({ "columns": columns })))
            .collect();
        let request = Json::Object(request);
        let deadline = Instant::now() + self.timeout;
        self.connected(deadline)?;
        self.shared.lock().monitored = Some((database.to_owned(), request.clone()));
        self.ask_to_monitor(database, &request, deadline)
    }

    fn ask_to_monitor(
        &self,
        database: &str,
        request: &Json,
        deadline: Instant,
    ) -> Result<(), Error> {
        // Rows that went while the server was away must not stay.
        self.shared.lock().tables = Tables::default();
        let rows = self.ask("monitor", &json!([database, null, request]), deadline)?;
        let mut state = self.shared.lock();
        state.tables.update(&rows)?;
        self.shared.changed.notify_all();
        Ok(())
    }

    /// What is monitored, as of now; after a reconnect if there has to be one.
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
            if state.stream.is_some() {
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
        hang_up(&mut self.shared.lock());
    }
}

/// Ends the connection; its reader sees that and ends too.
fn hang_up(state: &mut State) {
    if let Some(stream) = state.stream.take() {
        let _ = stream.shutdown(Shutdown::Both);
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

/// Reads one connection to its end.
fn read(shared: &Shared, connection: u64, stream: UnixStream) {
    let mut garbage = None;
    for message in Messages::new(stream) {
        let heard = match message {
            Ok(message) => hear(shared, connection, message),
            // The stream's end in the middle of a message is the server's end, not nonsense.
            Err(error) if error.is_eof() || error.is_io() => break,
            Err(error) => Err(Error::Garbage(error.to_string())),
        };
        match heard {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                garbage = Some(error.to_string());
                break;
            }
        }
    }
    let mut state = shared.lock();
    if state.connection == connection {
        state.garbage = garbage;
        hang_up(&mut state);
    }
    shared.changed.notify_all();
}

/// Takes in one message; `false` if the connection is no longer the current one.
fn hear(shared: &Shared, connection: u64, mut message: Json) -> Result<bool, Error> {
    let mut state = shared.lock();
    if state.connection != connection {
        return Ok(false);
    }
    match message.get("method").and_then(Json::as_str) {
        Some("echo") => {
            let params = message.get_mut("params").map(Json::take);
            let id = message.get_mut("id").map(Json::take);
            let answer = json!({ "id": id, "result": params, "error": null }).to_string();
            if let Some(stream) = &mut state.stream {
                // If it cannot be sent, reading will tell.
                let _ = stream.write_all(answer.as_bytes());
            }
        }
        Some("update") => {
            let updates = message.pointer("/params/1").cloned().unwrap_or_default();
            state.tables.update(&updates)?;
        }
        // A client need not understand other notifications.
        Some(_) => {}
        None => {
            let id = message.get("id").and_then(Json::as_u64);
            let waiting = id.and_then(|id| state.answers.get_mut(&id));
            match waiting {
                Some(place) => *place = Some(message),
                // Somebody who no longer waits.
                None if id.is_some() => {}
                None => {
                    return Err(Error::Garbage(
                        message.to_string().chars().take(200).collect(),
                    ));
                }
            }
        }
    }
    drop(state);
    shared.changed.notify_all();
    Ok(true)
}
