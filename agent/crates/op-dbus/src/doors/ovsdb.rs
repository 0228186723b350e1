//! The OVSDB end of a connection (RFC 7047): the NonNet database, and Open vSwitch's by way of its own server.

mod switch;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ledger::NewEntry;
use ovsdb::server::Session;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tools::{Caller, Door, Role};

use super::Hall;
use super::nonnet;
use switch::Switch;

/// The database that Open vSwitch's own server has.
const SWITCH: &str = "Open_vSwitch";
/// How long the switch's server may take to read a request.
const STUCK: Duration = Duration::from_secs(10);
/// How many operations of a transaction the ledger names.
const NAMED: usize = 100;

/// One client's end.
pub(super) struct Ovsdb {
    hall: Arc<Hall>,
    caller: Caller,
    session: Session,
    /// Rings when the session has something to say.
    bell: Arc<Notify>,
    switch: Option<Switch>,
    begun: bool,
    /// Transactions that write and are on their way, by the text of their id.
    writes: Mutex<BTreeMap<String, Write>>,
}

/// A transaction that writes.
struct Write {
    database: String,
    operations: Value,
}

/// Where a message goes.
enum Way {
    Here,
    Switch,
    Answered(Value),
}

impl Ovsdb {
    pub(super) fn new(hall: &Arc<Hall>, uid: u32) -> Self {
        let mut caller = hall.caller(uid, Door::Ovsdb);
        caller.interactive = false;
        let bell = Arc::new(Notify::new());
        let ringer = Arc::clone(&bell);
        let may_write = caller.role >= Some(Role::Operator);
        let session = hall
            .nonnet
            .connect(may_write, Box::new(move |_| ringer.notify_one()));
        Self {
            hall: Arc::clone(hall),
            caller,
            session,
            bell,
            switch: None,
            begun: false,
            writes: Mutex::default(),
        }
    }

    /// Takes one message in. What is answered at once is given back; the rest comes by [`Ovsdb::said`].
    pub(super) async fn hear(&mut self, message: &Value) -> Result<Option<Value>, String> {
        if !std::mem::replace(&mut self.begun, true) {
            switch::announce(&self.hall).await;
        }
        match self.way(message).await {
            Way::Answered(answer) => Ok(Some(answer)),
            Way::Here => {
                let taken = self.session.message(message);
                taken.map(|()| None).map_err(|closed| format!("{closed:?}"))
            }
            Way::Switch => match self.switch(message).await {
                Ok(()) => Ok(None),
                Err(error) => Ok(Some(refused(&message["id"], "I/O error", &error))),
            },
        }
    }

    async fn switch(&mut self, message: &Value) -> Result<(), String> {
        if self.switch.is_none() {
            let path = switch::socket(&self.hall);
            let opened = Switch::open(&path, Arc::clone(&self.bell)).await;
            self.switch = Some(opened.map_err(|error| format!("{}: {error}", path.display()))?);
        }
        match &mut self.switch {
            // It reads nothing while our client reads nothing; that must not last.
            Some(switch) => match tokio::time::timeout(STUCK, switch.send(message)).await {
                Ok(sent) => sent.map_err(|error| error.to_string()),
                Err(_) => {
                    self.switch = None;
                    Err(
                        "Open vSwitch's database reads nothing; its connection was closed"
                            .to_owned(),
                    )
                }
            },
            None => Ok(()),
        }
    }

    async fn way(&mut self, message: &Value) -> Way {
        // The declaration may have taken the role away since.
        self.caller.role = self.hall.caller(self.caller.uid, Door::Ovsdb).role;
        let id = &message["id"];
        let params = &message["params"];
        let method = message["method"].as_str();
        if self.caller.role.is_none() && method != Some("echo") && method.is_some() {
            let why = format!("{} has no role on this host", self.caller.name);
            return Way::Answered(refused(id, "permission error", &why));
        }
        match method {
            Some("list_dbs") => {
                let mut names = vec![nonnet::NAME, "_Server"];
                if switch::socket(&self.hall).exists() {
                    names.push(SWITCH);
                }
                names.sort_unstable();
                Way::Answered(json!({ "id": id, "result": names, "error": null }))
            }
            Some("transact") => self.transact(id, params),
            Some("monitor_cancel" | "monitor_cond_change") => {
                let monitor = params[0].to_string();
                match self
                    .switch
                    .as_ref()
                    .is_some_and(|switch| switch.has_monitor(&monitor))
                {
                    true => Way::Switch,
                    false => Way::Here,
                }
            }
            Some("cancel") => {
                let request = params[0].to_string();
                match self
                    .switch
                    .as_ref()
                    .is_some_and(|switch| switch.waits_for(&request))
                {
                    true => Way::Switch,
                    false => Way::Here,
                }
            }
            Some(method) if params[0] == SWITCH => self.to_switch(id, method, params),
            _ => Way::Here,
        }
    }

    /// What may be asked of Open vSwitch's database besides transactions: to look. Looking takes an operator, since
    /// columns such as `options` may hold keys.
    fn to_switch(&self, id: &Value, method: &str, params: &Value) -> Way {
        let role = match method {
            "get_schema" => Role::Viewer,
            "monitor" | "monitor_cond" | "monitor_cond_since" => Role::Operator,
            _ => {
                let why = format!("{method} is not passed on to the switch's database");
                let write = Write {
                    database: SWITCH.to_owned(),
                    operations: json!([{ "op": method, "params": params.as_array().map(Vec::len) }]),
                };
                self.record(&write, "refused", Some(&why));
                return Way::Answered(refused(id, "not allowed", &why));
            }
        };
        match self.caller.role >= Some(role) {
            true => Way::Switch,
            false => {
                let why = format!("looking into the switch's database takes the role {role}");
                Way::Answered(refused(id, "permission error", &why))
            }
        }
    }

    /// What a transaction may do: writing takes a role, in Open vSwitch's database that of those who may destroy,
    /// since nothing there is asked of the engine.
    fn transact(&mut self, id: &Value, params: &Value) -> Way {
        let Some((database, operations)) = params.as_array().and_then(|list| list.split_first())
        else {
            return Way::Here;
        };
        let (here, role) = match database == SWITCH {
            true => (Way::Switch, Role::Admin),
            false => (Way::Here, Role::Operator),
        };
        if !nonnet::writes(operations) {
            if database == SWITCH && self.caller.role < Some(Role::Operator) {
                let why = format!(
                    "looking into the switch's database takes the role {}",
                    Role::Operator
                );
                return Way::Answered(refused(id, "permission error", &why));
            }
            return here;
        }
        let write = Write {
            database: database.as_str().unwrap_or_default().to_owned(),
            operations: outline(operations),
        };
        if self.caller.role < Some(role) {
            let why = format!("writing to this database takes the role {role}");
            self.record(&write, "refused", Some(&why));
            let place = operations
                .iter()
                .position(|one| nonnet::writes(std::slice::from_ref(one)));
            return Way::Answered(not_done(
                id,
                place.unwrap_or_default(),
                "permission error",
                &why,
            ));
        }
        if database == nonnet::NAME
            && let Some(place) = nonnet::trespass(operations)
        {
            let why = "only the daemon writes this table; Record is for others";
            self.record(&write, "refused", Some(why));
            return Way::Answered(not_done(id, place, "permission error", why));
        }
        if database == nonnet::NAME
            && let Err(why) = self.hall.ensure_records()
        {
            return Way::Answered(not_done(id, 0, "resources exhausted", &why));
        }
        let earlier = self.writes().insert(id.to_string(), write);
        if let Some(earlier) = earlier {
            let why = "a transaction with the same id is still on its way";
            let write = self.writes().insert(id.to_string(), earlier);
            write.inspect(|write| self.record(write, "refused", Some(why)));
            return Way::Answered(refused(id, "duplicate request id", why));
        }
        here
    }

    fn writes(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Write>> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is something to send.
    pub(super) fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.bell)
    }

    /// What is to be sent now, in order; an error ends the connection.
    pub(super) fn said(&mut self) -> Result<Vec<String>, String> {
        let mut messages = self.session.output().take_messages();
        if let Some(switch) = &mut self.switch {
            messages.extend(switch.said());
        }
        for message in &messages {
            self.note_outcome(message);
        }
        match self.session.output().closed() {
            Some(closed) if messages.is_empty() => Err(format!("{closed:?}")),
            _ => Ok(messages),
        }
    }

    /// Records how a transaction that writes came out.
    fn note_outcome(&self, message: &str) {
        if self.writes().is_empty() {
            return;
        }
        let Ok(message) = serde_json::from_str::<Value>(message) else {
            return;
        };
        if !message["method"].is_null() {
            return;
        }
        let Some(write) = self.writes().remove(&message["id"].to_string()) else {
            return;
        };
        let results = message["result"].as_array().into_iter().flatten();
        let mut faults = results.chain([&message["error"]]);
        let fault = faults.find_map(|result| {
            let result = result
                .get("error")
                .and(Some(result))
                .or_else(|| result.as_str().map(|_| result))?;
            (!result["error"].is_null() || result.is_string()).then(|| result.to_string())
        });
        match fault {
            None => {
                self.record(&write, "done", None);
                self.hall.records_changed(&write.database);
            }
            Some(fault) => self.record(&write, "failed", Some(&fault)),
        }
    }

    /// One entry a transaction that writes, refused ones included.
    fn record(&self, write: &Write, outcome: &str, error: Option<&str>) {
        let mut metadata = json!({
            "actor": self.caller.actor(),
            "effect": "write",
            "arguments": { "database": write.database, "operations": write.operations },
            "outcome": outcome,
        });
        if let Some(error) = error {
            metadata["error"] = json!(error);
        }
        let entry = NewEntry {
            operation: "ovsdb_transact".to_owned(),
            target: write.database.clone(),
            metadata,
        };
        let recorded = match outcome {
            "refused" => self
                .hall
                .registry
                .record_refused(&self.caller, entry)
                .map(drop),
            _ => self.hall.registry.record(entry),
        };
        if let Err(error) = recorded {
            log::error!("a transaction is not in the ledger: {error}");
        }
        self.hall.ring();
    }
}

impl Drop for Ovsdb {
    /// Who hangs up does not hear how it came out, and neither do we; that it was asked is recorded.
    fn drop(&mut self) {
        let pending = std::mem::take(&mut *self.writes());
        for write in pending.into_values() {
            self.record(
                &write,
                "unknown",
                Some("the client hung up before the answer"),
            );
        }
    }
}

/// Operations by what they do to which columns, without any value: it may be a key.
fn outline(operations: &[Value]) -> Value {
    let named = operations.iter().take(NAMED).map(|operation| {
        let columns: Vec<_> = operation["row"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(column, _)| column)
            .collect();
        let mutations: Vec<_> = operation["mutations"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|one| &one[0])
            .collect();
        let mut outline = json!({ "op": operation["op"], "table": operation["table"] });
        if !columns.is_empty() {
            outline["columns"] = json!(columns);
        }
        if !mutations.is_empty() {
            outline["mutations"] = json!(mutations);
        }
        outline
    });
    let mut named: Vec<_> = named.collect();
    if operations.len() > NAMED {
        named.push(json!(format!("and {} more", operations.len() - NAMED)));
    }
    // Texts of any length may stand where words belong.
    let text = json!(named).to_string();
    match text.len() > 16 << 10 {
        true => json!(format!("{} operations", operations.len())),
        false => json!(named),
    }
}

/// An answer that says why a request as a whole was not carried out.
fn refused(id: &Value, kind: &str, details: &str) -> Value {
    json!({ "id": id, "result": null, "error": { "error": kind, "details": details } })
}

/// The answer to a transaction of which one operation was refused: those before it have no result.
fn not_done(id: &Value, place: usize, kind: &str, details: &str) -> Value {
    let mut results = vec![Value::Null; place];
    results.push(json!({ "error": kind, "details": details }));
    json!({ "id": id, "result": results, "error": null })
}
