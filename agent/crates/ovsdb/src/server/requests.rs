//! The methods of the protocol (RFC 7047, section 4.1; `ovsdb-server(7)`, section 4.1).

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value as Json, json};

use super::fault::{Fault, Kind};
use super::host::{Blocked, Hosted, Monitor, State};
use super::members::is_id;
use super::monitor::{Spec, Version};
use super::outbox::Closed;
use crate::value::Uuid;

/// Most transactions that may wait, monitors and locks that one session may have.
const MOST: usize = 4096;

/// What kind of message an object is.
pub(crate) enum Message<'a> {
    Request(&'a str, &'a Json, &'a Json),
    Cancel(&'a Json),
    /// Nothing that is answered.
    Other,
}

impl<'a> Message<'a> {
    /// Reads the members that JSON-RPC 1.0 gives a message.
    pub(crate) fn read(json: &'a Json) -> Result<Self, Closed> {
        let object = json.as_object().ok_or(Closed::NotRpc("no object"))?;
        let known = ["method", "params", "result", "error", "id"];
        if object.keys().any(|name| !known.contains(&name.as_str())) {
            return Err(Closed::NotRpc("an unknown member"));
        }
        let member = |name| object.get(name).filter(|json| !json.is_null());
        let Some(method) = member("method") else {
            // An answer to an `echo` is the only one that can be expected.
            let answers = object.contains_key("result") && member("error").is_none();
            return match member("id") {
                Some(Json::String(id)) if id == "echo" && answers => Ok(Self::Other),
                _ => Err(Closed::NotRpc("an answer to no request")),
            };
        };
        let method = method
            .as_str()
            .ok_or(Closed::NotRpc("a method that is no name"))?;
        let params = member("params").filter(|params| params.is_array());
        let params = params.ok_or(Closed::NotRpc("no params"))?;
        if member("result").is_some() || member("error").is_some() {
            return Err(Closed::NotRpc("a request that is an answer"));
        }
        Ok(match (member("id"), method, params.get(0)) {
            (Some(id), ..) => Self::Request(method, params, id),
            (None, "cancel", Some(id)) => Self::Cancel(id),
            (None, ..) => Self::Other,
        })
    }
}

/// The `error` member of an answer: an `<error>`, or a text for want of a better.
enum Refused {
    Fault(Fault),
    Text(&'static str),
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

type Answer = Result<Option<Json>, Refused>;

fn syntax(params: &Json, details: impl Into<String>) -> Refused {
    Fault::syntax(params, details).into()
}

fn done() -> Answer {
    Ok(Some(json!({})))
}

impl State {
    /// Handles a request of a session and answers it.
    pub(crate) fn request(
        &mut self,
        session: u64,
        server: &Uuid,
        (method, params, id): (&str, &Json, &Json),
    ) {
        let answer = match method {
            "echo" => Ok(Some(params.clone())),
            "list_dbs" => Ok(Some(self.databases.keys().cloned().collect())),
            "get_server_id" => Ok(Some(json!(server.as_str()))),
            "get_schema" => self.get_schema(params),
            "transact" => self.transact(session, params, id),
            "monitor" => self.monitor(session, method, Version::One, params),
            "monitor_cond" => self.monitor(session, method, Version::Two, params),
            "monitor_cond_since" => self.monitor(session, method, Version::Three, params),
            "monitor_cond_change" => self.monitor_cond_change(session, params),
            "monitor_cancel" => self.monitor_cancel(session, params),
            "lock" | "steal" => self.lock(session, method, params),
            "unlock" => self.unlock(session, params),
            "set_db_change_aware" => match params.get(0) {
                Some(Json::Bool(_)) => done(),
                _ => Err(syntax(
                    params,
                    "set_db_change_aware: true or false parameter expected",
                )),
            },
            "convert" => self.convert(params),
            _ => Err(Refused::Text("unknown method")),
        };
        match answer {
            Ok(Some(result)) => self.reply(session, id, result),
            Ok(None) => {}
            Err(refused) => {
                let error = match refused {
                    Refused::Fault(fault) => fault.to_json(),
                    Refused::Text(text) => json!(text),
                };
                self.send(session, &json!({ "id": id, "error": error }));
            }
        }
    }

    /// Drops a transaction that waits. As with `ovsdb-server`, nothing is answered any more.
    pub(crate) fn cancel(&mut self, session: u64, id: &Json) {
        self.blocked
            .retain(|blocked| blocked.session != session || blocked.id != *id);
    }

    /// The database that the first parameter names.
    fn database(&mut self, method: &str, params: &Json) -> Result<(String, &mut Hosted), Refused> {
        let Some(Json::String(name)) = params.get(0) else {
            let details = format!("{method} request params must begin with <db-name>");
            return Err(syntax(params, details));
        };
        match self.databases.get_mut(name) {
            Some(hosted) => Ok((name.clone(), hosted)),
            None => {
                let details = format!("{method} request specifies unknown database {name}");
                Err(Fault::new(Kind::UnknownDatabase, details).at(params).into())
            }
        }
    }

    fn get_schema(&mut self, params: &Json) -> Answer {
        let (_, hosted) = self.database("get_schema", params)?;
        Ok(Some(hosted.database.schema().to_json()))
    }

    /// A schema is given by the owner and stays.
    fn convert(&mut self, params: &Json) -> Answer {
        self.database("convert", params)?;
        let details = "convert operation not allowed on a database that is kept elsewhere";
        Err(Fault::new(Kind::NotAllowed, details).into())
    }

    fn transact(&mut self, session: u64, params: &Json, id: &Json) -> Answer {
        let (name, _) = self.database("transact", params)?;
        let mut waiting = self.blocked.iter();
        if waiting.any(|blocked| blocked.session == session && blocked.id == *id) {
            return Err(syntax(params, "transact: duplicate request ID"));
        }
        let operations = params.as_array().map_or(&[][..], Vec::as_slice);
        let operations = operations.get(1..).unwrap_or_default();
        let access = self.access(session, &name);
        let zero = Some(std::time::Duration::ZERO);
        match self.execute(&name, operations, Some(session), zero, access) {
            Some(Ok(results)) => Ok(Some(Json::Array(results))),
            None => Ok(None),
            Some(Err(timeout)) => {
                let waiting = self.blocked.iter();
                let waiting = waiting.filter(|blocked| blocked.session == session);
                exhausted(waiting.count(), "transactions wait")?;
                let since = Instant::now();
                self.blocked.push(Blocked {
                    session,
                    id: id.clone(),
                    database: name,
                    operations: operations.to_vec(),
                    since,
                    deadline: timeout.and_then(|timeout| since.checked_add(timeout)),
                });
                Ok(None)
            }
        }
    }

    fn monitor(&mut self, session: u64, method: &str, version: Version, params: &Json) -> Answer {
        let (name, hosted) = self.database(method, params)?;
        let (id, wanted, last) = match params.as_array().map_or(&[][..], Vec::as_slice) {
            [_, id, wanted] if version != Version::Three => (id, wanted, None),
            [_, id, wanted, last] if version == Version::Three => (id, wanted, Some(last)),
            _ => return Err(syntax(params, "invalid parameters")),
        };
        let last = last.map(transaction).transpose()?;
        let schema = Arc::clone(&hosted.database.schema);
        let spec = hosted.share(Spec::read(&schema, version, wanted)?);
        let known = last.and_then(|last| hosted.since(&last));
        let found = known.is_some();
        let updates = match known {
            Some(changes) => spec.updates(&changes).unwrap_or_else(|| json!({})),
            None => spec.initial(&hosted.database),
        };
        let current = hosted.last.clone();
        let Some(peer) = self.peers.get_mut(&session) else {
            return Ok(None);
        };
        let key = id.to_string();
        if peer.monitors.contains_key(&key) {
            return Err(syntax(id, "duplicate monitor ID"));
        }
        exhausted(peer.monitors.len(), "monitors")?;
        let database = name;
        peer.monitors.insert(key, Monitor { database, spec });
        Ok(Some(match version {
            Version::One | Version::Two => updates,
            Version::Three => json!([found, current.as_str(), updates]),
        }))
    }

    fn monitor_cond_change(&mut self, session: u64, params: &Json) -> Answer {
        let [old, new, wanted] = params.as_array().map_or(&[][..], Vec::as_slice) else {
            return Err(syntax(params, "invalid parameters"));
        };
        let Some(peer) = self.peers.get_mut(&session) else {
            return Ok(None);
        };
        let (from, to) = (old.to_string(), new.to_string());
        let Some(monitor) = peer.monitors.get(&from) else {
            return Err(syntax(old, "unknown monitor session"));
        };
        if from != to && peer.monitors.contains_key(&to) {
            return Err(syntax(new, "duplicate monitor ID"));
        }
        let spec = monitor.spec.with_conditions(wanted)?;
        let Some(hosted) = self.databases.get_mut(&monitor.database) else {
            return Ok(None);
        };
        let updates = spec.in_place_of(&monitor.spec, &hosted.database);
        let monitor = Monitor {
            database: monitor.database.clone(),
            spec: hosted.share(spec),
        };
        if let Some(updates) = updates {
            let updates = updates.to_string();
            peer.notify(&to, monitor.spec.version, &hosted.last, &updates);
        }
        peer.monitors.remove(&from);
        peer.monitors.insert(to, monitor);
        done()
    }

    fn monitor_cancel(&mut self, session: u64, params: &Json) -> Answer {
        let [id] = params.as_array().map_or(&[][..], Vec::as_slice) else {
            return Err(Refused::Text("invalid parameters"));
        };
        let peer = self.peers.get_mut(&session);
        match peer.and_then(|peer| peer.monitors.remove(&id.to_string())) {
            Some(_) => done(),
            None => Err(Refused::Text("unknown monitor")),
        }
    }

    /// The lock that the only parameter names.
    fn lock_name<'a>(
        &self,
        session: u64,
        method: &str,
        params: &'a Json,
    ) -> Result<&'a str, Refused> {
        if self.peers.get(&session).is_none_or(|peer| peer.read_only) {
            return Err(Refused::Text(
                "lock and unlock methods not allowed, DB server is read only.",
            ));
        }
        match params.as_array().map(Vec::as_slice) {
            Some([Json::String(name)]) if is_id(name) => Ok(name),
            _ => Err(syntax(
                params,
                format!("{method} request params must be <id>"),
            )),
        }
    }

    fn lock(&mut self, session: u64, method: &str, params: &Json) -> Answer {
        let name = self.lock_name(session, method, params)?;
        if self.locks.wants(name, session) {
            let details = format!("must issue \"unlock\" before new \"{method}\"");
            return Err(syntax(params, details));
        }
        exhausted(self.locks.count(session), "locks")?;
        let locked = if method == "steal" {
            if let Some(victim) = self.locks.steal(name, session) {
                self.lock_changed("stolen", name, victim);
            }
            true
        } else {
            self.locks.lock(name, session)
        };
        Ok(Some(json!({ "locked": locked })))
    }

    fn unlock(&mut self, session: u64, params: &Json) -> Answer {
        let name = self.lock_name(session, "unlock", params)?;
        if !self.locks.wants(name, session) {
            let details = "unlock: \"unlock\" without \"lock\" or \"steal\"";
            return Err(syntax(params, details));
        }
        let owner = self.locks.unlock(name, session);
        self.locked(owner.map(|owner| (name.to_owned(), owner)));
        done()
    }
}

fn transaction(json: &Json) -> Result<Uuid, Refused> {
    let text = json
        .as_str()
        .ok_or_else(|| syntax(json, "last-txn-id must be string"))?;
    text.parse()
        .map_err(|_| syntax(json, "last-txn-id must be UUID format."))
}

fn exhausted(count: usize, what: &str) -> Result<(), Refused> {
    if count < MOST {
        return Ok(());
    }
    let details = format!("{MOST} {what} of this client");
    Err(Fault::new(Kind::Exhausted, details).into())
}
