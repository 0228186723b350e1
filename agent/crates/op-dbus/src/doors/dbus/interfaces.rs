//! The interfaces: each method is a tool, and answers with its JSON.

use std::sync::Arc;

use serde_json::{Value, json};
use tools::{Description, Options};
use zbus::interface;
use zbus::message::Header;
use zbus::object_server::SignalEmitter;

use super::desk::Desk;
use super::error::Error;
use super::options::{Named, arguments, options};

/// The longest arguments, in bytes of JSON: a file that is written, and room to spare.
const LONGEST: usize = 2 << 20;

/// The declared state.
pub(super) struct State(pub(super) Arc<Desk>);

/// Containers.
pub(super) struct Containers(pub(super) Arc<Desk>);

/// The ledger.
pub(super) struct Ledger(pub(super) Arc<Desk>);

/// All tools.
pub(super) struct Tools(pub(super) Arc<Desk>);

/// The host's declared state. Answers are JSON, as the tools of the same names give it.
#[interface(name = "org.opdbus1.State")]
impl State {
    /// What Apply would change (state_plan).
    async fn plan(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<String, Error> {
        self.0.ask(&header, &emitter, "state_plan", json!({})).await
    }

    /// Brings the host to its declared state (state_apply). `values` holds the tool's arguments, such as
    /// `confirm_s` (t), and `dry_run` (b), `plan` (s), `timeout_ms` (t).
    async fn apply(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
        values: Named,
    ) -> Result<String, Error> {
        let (how, what): (Named, Named) = values
            .into_iter()
            .partition(|(key, _)| matches!(key.as_str(), "dry_run" | "plan" | "timeout_ms"));
        let arguments = Value::Object(arguments(&what)?);
        self.0
            .call(&header, &emitter, "state_apply", arguments, options(&how)?)
            .await
    }

    /// Keeps the changes of the run that waits to be confirmed (state_confirm).
    async fn confirm(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<String, Error> {
        self.0
            .ask(&header, &emitter, "state_confirm", json!({}))
            .await
    }

    /// Undoes the changes of the run that waits to be confirmed (state_rollback).
    async fn rollback(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<String, Error> {
        self.0
            .ask(
                &header,
                &emitter,
                "state_rollback",
                json!({ "waiting": true }),
            )
            .await
    }

    /// Whether the host is in its declared state, and what is not (state_verify).
    async fn verify(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<String, Error> {
        self.0
            .ask(&header, &emitter, "state_verify", json!({}))
            .await
    }

    /// What the host has, of one plugin or of all if `plugin` is empty (state_query).
    async fn query(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
        plugin: &str,
    ) -> Result<String, Error> {
        let arguments = match plugin {
            "" => json!({ "limit": 1000 }),
            plugin => json!({ "plugin": plugin, "limit": 1000 }),
        };
        self.0
            .ask(&header, &emitter, "state_query", arguments)
            .await
    }

    /// In a word: starting, converged, drifted, held, awaiting, failing or undeclared.
    #[zbus(property)]
    fn status(&self) -> String {
        let state = json!(self.0.hall.standing.report().state);
        state.as_str().unwrap_or_default().to_owned()
    }

    /// What is done about drift: enforce or observe.
    #[zbus(property)]
    fn reconcile(&self) -> String {
        self.0.hall.standing.report().reconcile
    }

    /// The status in a sentence; takes the right to read.
    #[zbus(property(emits_changed_signal = "invalidates"))]
    async fn text(&self, #[zbus(header)] header: Option<Header<'_>>) -> zbus::fdo::Result<String> {
        self.0.may_read(header.as_ref()).await?;
        Ok(self.0.hall.standing.report().text)
    }

    /// The resources that are not as declared; takes the right to read.
    #[zbus(property(emits_changed_signal = "invalidates"))]
    async fn drift(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
    ) -> zbus::fdo::Result<Vec<String>> {
        self.0.may_read(header.as_ref()).await?;
        Ok(self.0.hall.standing.report().drift)
    }

    /// The daemon's version.
    #[zbus(property(emits_changed_signal = "const"))]
    fn version(&self) -> String {
        env!("CARGO_PKG_VERSION").to_owned()
    }
}

/// Containers, by name.
#[interface(name = "org.opdbus1.Containers")]
impl Containers {
    /// The containers there are (container_list). `page` holds `cursor` (s) and `limit` (u).
    async fn list(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
        page: Named,
    ) -> Result<String, Error> {
        let arguments = Value::Object(arguments(&page)?);
        self.0
            .ask(&header, &emitter, "container_list", arguments)
            .await
    }

    /// One container, whole (container_show).
    async fn show(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
        name: &str,
    ) -> Result<String, Error> {
        let arguments = json!({ "name": name });
        self.0
            .ask(&header, &emitter, "container_show", arguments)
            .await
    }

    /// Makes a container from a template and starts it (container_create). `values` holds the tool's other
    /// arguments, such as `network` (s), `address` (s) or `cores` (u).
    async fn create(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
        name: &str,
        template: &str,
        values: Named,
    ) -> Result<String, Error> {
        let mut arguments = arguments(&values)?;
        arguments.insert("name".to_owned(), json!(name));
        arguments.insert("template".to_owned(), json!(template));
        let arguments = Value::Object(arguments);
        self.0
            .ask(&header, &emitter, "container_create", arguments)
            .await
    }

    /// Starts a container (container_start).
    async fn start(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
        name: &str,
    ) -> Result<String, Error> {
        let arguments = json!({ "name": name });
        self.0
            .ask(&header, &emitter, "container_start", arguments)
            .await
    }

    /// Stops a container (container_stop).
    async fn stop(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
        name: &str,
    ) -> Result<String, Error> {
        let arguments = json!({ "name": name });
        self.0
            .ask(&header, &emitter, "container_stop", arguments)
            .await
    }

    /// Stops a container and starts it again (container_restart).
    async fn restart(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
        name: &str,
    ) -> Result<String, Error> {
        let arguments = json!({ "name": name });
        self.0
            .ask(&header, &emitter, "container_restart", arguments)
            .await
    }

    /// Removes a container and all its data (container_destroy). `plan` is the hash of what it would do; with an
    /// empty one the plan is given and nothing is done.
    async fn destroy(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
        name: &str,
        plan: &str,
    ) -> Result<String, Error> {
        let arguments = json!({ "name": name });
        let options = Options {
            dry_run: plan.is_empty(),
            plan: (!plan.is_empty()).then(|| plan.to_owned()),
            ..Options::default()
        };
        self.0
            .call(&header, &emitter, "container_destroy", arguments, options)
            .await
    }
}

/// What was asked and done on this host.
#[interface(name = "org.opdbus1.Ledger")]
impl Ledger {
    /// Entries, the newest first (ledger_log). `filter` holds the tool's arguments, such as `operation` (s) or
    /// `limit` (u).
    async fn log(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
        filter: Named,
    ) -> Result<String, Error> {
        let arguments = Value::Object(arguments(&filter)?);
        self.0.ask(&header, &emitter, "ledger_log", arguments).await
    }

    /// One entry, whole (ledger_show).
    async fn show(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
        id: i64,
    ) -> Result<String, Error> {
        let arguments = json!({ "id": id });
        self.0
            .ask(&header, &emitter, "ledger_show", arguments)
            .await
    }

    /// Whether the whole chain is as it was written (ledger_verify).
    async fn verify(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<String, Error> {
        self.0
            .ask(&header, &emitter, "ledger_verify", json!({}))
            .await
    }

    /// The id of the last entry; -1 without a ledger.
    #[zbus(property)]
    fn head(&self) -> i64 {
        super::news::head(&self.0.hall).unwrap_or(-1)
    }

    /// An entry was added. Show gives it to those who may read.
    #[zbus(signal)]
    pub(super) async fn entry_added(emitter: &SignalEmitter<'_>, id: i64) -> zbus::Result<()>;
}

/// All tools, of which the methods of the other interfaces are some.
#[interface(name = "org.opdbus1.Tools")]
impl Tools {
    /// The names of all tools.
    fn list(&self) -> Vec<String> {
        let tools = self.0.hall.registry.tools();
        tools.map(|tool| tool.name.to_owned()).collect()
    }

    /// What one tool does, takes and gives, as JSON.
    fn describe(&self, name: &str) -> Result<String, Error> {
        let tool = self.0.tool(name)?;
        Ok(json!(Description::of(tool)).to_string())
    }

    /// Calls a tool. `arguments` is a JSON object; `options` holds `dry_run` (b), `plan` (s) and `timeout_ms` (t).
    async fn call(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
        name: &str,
        arguments: &str,
        options: Named,
    ) -> Result<String, Error> {
        let arguments: Value = match arguments.trim() {
            "" => json!({}),
            text if text.len() > LONGEST => {
                return Err(Error::Invalid(format!(
                    "the arguments have more than {LONGEST} bytes"
                )));
            }
            text => serde_json::from_str(text)
                .map_err(|error| Error::Invalid(format!("the arguments are not JSON: {error}")))?,
        };
        let options = super::options::options(&options)?;
        self.0
            .call(&header, &emitter, name, arguments, options)
            .await
    }

    /// Takes back a call of the same sender, by the serial of its message; whether there was one. Tasks of agents are
    /// taken back with CancelTask of theirs.
    fn cancel(&self, #[zbus(header)] header: Header<'_>, serial: u32) -> bool {
        let sender = header.sender().map(ToString::to_string).unwrap_or_default();
        self.0.cancel(&sender, serial)
    }

    /// A call of yours is under way: `serial` is that of its message, `kind` one of begin, doing, done, failed,
    /// undoing, undone, not-undone, note and end; `total` is 0 where nobody knows.
    #[zbus(signal)]
    pub(super) async fn progress(
        emitter: &SignalEmitter<'_>,
        serial: u32,
        tool: &str,
        kind: &str,
        text: &str,
        done: u64,
        total: u64,
    ) -> zbus::Result<()>;

    /// A call of yours has ended; `code` says in a word why if it did not do what was asked.
    #[zbus(signal)]
    pub(super) async fn completed(
        emitter: &SignalEmitter<'_>,
        serial: u32,
        tool: &str,
        succeeded: bool,
        code: &str,
    ) -> zbus::Result<()>;
}
