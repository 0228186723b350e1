//! One connection: requests in, answers and events out, neither without bounds.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tools::{Cancel, Description, Effect, Event, Options, Registry, ToolError};

use super::access;
use super::hung_up::hung_up;
use super::message::{
    CallParams, Fault, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR, Request, answer, params,
    read, recorded,
};
use super::out::{Out, write};
use super::speaker::{Known, Speaker};
use crate::doors::frame::Frames;
use crate::doors::ovsdb::Ovsdb;
use crate::doors::{self, Hall};

/// How many calls of one connection are on their way at once; further ones are not read before.
const IN_FLIGHT: u32 = 128;
/// How many answers of one connection, which may be large, are made or wait to be sent at once.
const IN_HAND: usize = 4;
/// How many requests a batch may have, and how many bytes their answers.
const BATCH: usize = 100;
const BATCH_ANSWERS: usize = 4 << 20;
/// Serves one connection to its end.
pub(super) async fn serve(hall: Arc<Hall>, stream: UnixStream) {
    let uid = match stream.peer_cred() {
        Ok(peer) => peer.uid(),
        Err(error) => return log::warn!("a caller without a name is not served: {error}"),
    };
    let crowd = Arc::clone(&hall);
    let Some(mut place) = crowd.crowd.enter(uid) else {
        return log::warn!("user {uid} has too many connections; one more is not served");
    };
    let (mut reader, writer) = stream.into_split();
    let (out, lines) = Out::new();
    let writing = tokio::spawn(write(writer, lines));
    let connection = Arc::new(Connection {
        hall,
        uid,
        out,
        calls: Mutex::default(),
        ovsdb: tokio::sync::Mutex::default(),
        in_flight: Arc::new(Semaphore::new(IN_FLIGHT as usize)),
        in_hand: Semaphore::new(IN_HAND),
        gone: AtomicBool::new(false),
    });
    let mut frames = Frames::default();
    let mut buffer = [0; 8192];
    'reading: loop {
        let count = tokio::select! {
            count = reader.read(&mut buffer) => count.unwrap_or(0),
            // Who cannot be written to is not read from either.
            () = connection.out.closed() => 0,
        };
        if count == 0 {
            // Who says no more may still listen to the answers.
            tokio::select! {
                _ = connection.in_flight.acquire_many(IN_FLIGHT) => {}
                _ = hung_up(reader.as_ref()) => {}
                () = connection.out.closed() => {}
            }
            break;
        }
        frames.push(&buffer[..count]);
        if !place.holds(frames.held()) {
            let fault = "too much is unfinished on all connections together: try again later";
            let fault = Fault::new(INVALID_REQUEST, fault);
            connection.out.send(answer(&Value::Null, Err(fault))).await;
            break;
        }
        loop {
            match frames.next() {
                Ok(Some(message)) => connection.hear(&message).await,
                Ok(None) => break,
                Err(error) => {
                    let fault = Fault::new(INVALID_REQUEST, error.to_string());
                    connection.out.send(answer(&Value::Null, Err(fault))).await;
                    break 'reading;
                }
            }
        }
    }
    // Nobody waits for what is still on its way; changes that have begun are ended well all the same.
    connection.gone.store(true, Ordering::SeqCst);
    for cancel in connection.calls().values() {
        cancel.cancel();
    }
    drop(connection);
    let _ = writing.await;
}

struct Connection {
    hall: Arc<Hall>,
    uid: u32,
    out: Out,
    /// The calls on their way, by the text of their id.
    calls: Mutex<HashMap<String, Cancel>>,
    /// Set up with the first message of OVSDB.
    ovsdb: tokio::sync::Mutex<Option<Ovsdb>>,
    in_flight: Arc<Semaphore>,
    in_hand: Semaphore,
    /// Nobody is there any more: nothing more is begun.
    gone: AtomicBool,
}

impl Connection {
    fn calls(&self) -> std::sync::MutexGuard<'_, HashMap<String, Cancel>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one message in; waits while too many calls are on their way.
    async fn hear(self: &Arc<Self>, message: &[u8]) {
        let message: Value = match serde_json::from_slice(message) {
            Ok(message) => message,
            Err(error) => {
                let fault = Fault::new(PARSE_ERROR, format!("not JSON: {error}"));
                return self.out.send(answer(&Value::Null, Err(fault))).await;
            }
        };
        if is_ovsdb(&message) {
            return self.hear_ovsdb(&message).await;
        }
        let Ok(place) = Arc::clone(&self.in_flight).acquire_owned().await else {
            return;
        };
        let connection = Arc::clone(self);
        match message {
            Value::Array(batch) if batch.is_empty() || batch.len() > BATCH => {
                let fault = format!("a batch has 1 to {BATCH} requests");
                let fault = Fault::new(INVALID_REQUEST, fault);
                self.out.send(answer(&Value::Null, Err(fault))).await;
            }
            Value::Array(batch) => {
                tokio::spawn(async move {
                    connection.hear_batch(batch).await;
                    drop(place);
                });
            }
            message => {
                tokio::spawn(async move {
                    let hand = connection.hand(&message).await;
                    if let Some(answer) = connection.answer(message).await {
                        connection.out.send(answer).await;
                    }
                    drop((hand, place));
                });
            }
        }
    }

    async fn hear_batch(&self, batch: Vec<Value>) {
        let _hand = self.in_hand.acquire().await;
        let mut answers = String::new();
        for message in batch {
            if self.gone.load(Ordering::SeqCst) {
                return;
            }
            let answer = match answers.len() < BATCH_ANSWERS {
                true => self.answer(message).await,
                false => {
                    let fault =
                        "the answers to this batch get too large: send fewer requests at once";
                    let fault = Fault::new(INVALID_REQUEST, fault);
                    message.get("id").map(|id| answer(id, Err(fault)))
                }
            };
            if let Some(answer) = answer {
                answers.push(if answers.is_empty() { '[' } else { ',' });
                answers.push_str(&answer.to_string());
            }
        }
        if !answers.is_empty() {
            answers.push(']');
            self.out.send_text(answers.into_bytes()).await;
        }
    }

    /// What reads is not begun before the client has taken earlier answers: they may be large. What changes
    /// something says little, and may wait for long.
    async fn hand(&self, message: &Value) -> Option<SemaphorePermit<'_>> {
        let reads = match message["method"].as_str() {
            Some("tools.call") => {
                let name = message["params"]["name"].as_str()?;
                let tool = self.hall.registry.tool(name).ok()?;
                tool.effect == Effect::Read
            }
            // These say little, and who asks them waits to begin.
            Some("tools.cancel" | "daemon.status") => false,
            Some(method) if method.starts_with("access.") => false,
            _ => true,
        };
        match reads {
            true => self.in_hand.acquire().await.ok(),
            false => None,
        }
    }

    /// Messages of OVSDB are carried out one after the other, so that updates come before the answers that they
    /// belong to.
    async fn hear_ovsdb(self: &Arc<Self>, message: &Value) {
        let mut place = self.ovsdb.lock().await;
        let ovsdb = place.get_or_insert_with(|| {
            let ovsdb = Ovsdb::new(&self.hall, self.uid);
            let bell = ovsdb.bell();
            tokio::spawn(pump(Arc::downgrade(self), self.out.clone(), bell));
            ovsdb
        });
        match ovsdb.hear(message).await {
            Ok(None) => {}
            Ok(Some(answer)) => {
                drop(place);
                self.out.send(answer).await;
            }
            Err(why) => {
                log::info!("a client of OVSDB is not served any more: {why}");
                self.out.close();
            }
        }
    }

    /// The answer to one message; none to a notification.
    async fn answer(&self, message: Value) -> Option<Value> {
        match read(message) {
            Err((id, fault)) => Some(answer(&id, Err(fault))),
            Ok(request) => {
                let id = request.id.clone();
                let mut entry = None;
                let result = self.carry_out(request, &mut entry).await;
                id.map(|id| recorded(answer(&id, result), entry))
            }
        }
    }

    /// `entry` becomes the ledger's entry of what was done.
    async fn carry_out(
        &self,
        mut request: Request,
        entry: &mut Option<i64>,
    ) -> Result<Value, Fault> {
        match request.method.as_str() {
            "tools.list" => {
                self.known(&mut request.params).await?;
                self.list(params(request.params)?).await
            }
            "tools.show" => {
                self.known(&mut request.params).await?;
                let Named { name } = params(request.params)?;
                let tool = self.hall.registry.tool(&name)?;
                Ok(json!(tools::Description::of(tool)))
            }
            "tools.call" => {
                let speaker = Speaker::take(&mut request.params)?;
                self.call(request.id, speaker, params(request.params)?, entry)
                    .await
            }
            "access.whoami" => {
                let known = self.known(&mut request.params).await?;
                known.answer(&self.hall, params(request.params)?).await
            }
            "tools.cancel" => {
                let Cancelled { id } = params(request.params)?;
                let calls = self.calls();
                let call = calls.get(&id.to_string());
                if let Some(cancel) = call {
                    cancel.cancel();
                }
                Ok(json!({ "found": call.is_some() }))
            }
            "daemon.status" => {
                let caller = self.known(&mut request.params).await?.caller;
                let mut status = self.hall.status();
                if caller.role.is_none() {
                    // Which resources there are is for those who may look.
                    let state = status["host"]["state"].take();
                    status["host"] = json!({ "state": state });
                }
                status["caller"] = json!({ "name": caller.name, "role": caller.role });
                Ok(status)
            }
            other => {
                let asked = access::carry_out(&self.hall, self.uid, other, request.params).await;
                asked.unwrap_or_else(|| Err(no_method(other)))
            }
        }
    }

    /// Who speaks, by what the parameters say of that.
    async fn known(&self, params: &mut Value) -> Result<Known, Fault> {
        Speaker::take(params)?.known(&self.hall, self.uid).await
    }

    async fn list(&self, params: List) -> Result<Value, Fault> {
        let list = move |registry: &Registry| {
            let tools = registry.tools().filter(|tool| {
                let domain = params.domain.as_ref();
                domain.is_none_or(|domain| json!(tool.domain) == json!(domain))
            });
            let tools: Vec<_> = tools.map(|tool| json!(Description::of(tool))).collect();
            json!({ "tools": tools })
        };
        Ok(self.hall.ask(list).await?)
    }

    async fn call(
        &self,
        id: Option<Value>,
        speaker: Speaker,
        call: CallParams,
        entry: &mut Option<i64>,
    ) -> Result<Value, Fault> {
        if self.gone.load(Ordering::SeqCst) {
            return Err(ToolError::Cancelled.into());
        }
        let cancel = Cancel::default();
        let key = id.as_ref().map(Value::to_string);
        if let Some(key) = &key {
            match self.calls().entry(key.clone()) {
                Entry::Vacant(place) => drop(place.insert(cancel.clone())),
                Entry::Occupied(_) => {
                    let fault = format!("a call with the id {key} is still on its way");
                    return Err(Fault::new(INVALID_REQUEST, fault));
                }
            }
            // It may have hung up since the look above.
            if self.gone.load(Ordering::SeqCst) {
                cancel.cancel();
            }
        }
        let result = self.called(id, speaker, call, cancel.clone()).await;
        *entry = cancel.entry();
        if let Some(key) = &key {
            self.calls().remove(key);
        }
        result
    }

    async fn called(
        &self,
        id: Option<Value>,
        speaker: Speaker,
        call: CallParams,
        cancel: Cancel,
    ) -> Result<Value, Fault> {
        let events = self.out.clone();
        let progress = call.progress;
        let told = id.unwrap_or(Value::Null);
        let listener = move |event: &Event| {
            if progress {
                let params = json!({ "id": told, "event": event });
                let note = json!({ "jsonrpc": "2.0", "method": "progress", "params": params });
                events.offer(&note);
            }
        };
        let request = doors::Request {
            caller: speaker.known(&self.hall, self.uid).await?.caller,
            name: call.name,
            arguments: call.arguments,
            options: Options {
                dry_run: call.dry_run,
                plan: call.plan,
                deadline: call
                    .timeout_ms
                    .and_then(|limit| Instant::now().checked_add(Duration::from_millis(limit))),
                ssh_client: call.ssh_client,
            },
            cancel,
        };
        Ok(self.hall.call(request, listener).await?)
    }
}

fn no_method(name: &str) -> Fault {
    Fault::new(
        METHOD_NOT_FOUND,
        format!(
            "there is no method `{name}`; there are tools.list, tools.show, tools.call, tools.cancel, access.whoami, \
             access.login, access.exchange, access.renew, access.logout and daemon.status"
        ),
    )
}

/// OVSDB speaks JSON-RPC 1.0, which does not say so.
fn is_ovsdb(message: &Value) -> bool {
    message.is_object() && message.get("jsonrpc").is_none() && message.get("id").is_some()
}

/// Sends what databases say, in its order.
async fn pump(connection: Weak<Connection>, out: Out, bell: Arc<Notify>) {
    loop {
        tokio::select! {
            () = bell.notified() => {}
            () = out.closed() => return,
        }
        let Some(connection) = connection.upgrade() else {
            return;
        };
        let said = match &mut *connection.ovsdb.lock().await {
            Some(ovsdb) => ovsdb.said(),
            None => Ok(Vec::new()),
        };
        drop(connection);
        match said {
            Ok(messages) => {
                for message in messages {
                    out.send_text(message.into_bytes()).await;
                }
            }
            Err(why) => {
                log::info!("a client of OVSDB is not served any more: {why}");
                return out.close();
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(default)]
    domain: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cancelled {
    id: Value,
}
