//! Agents on the bus: `org.dbusmcp.Agent.*`, each a view on the registry with its caller's rights.

use std::sync::Arc;

use serde_json::{Value, json};
use tasks::{State, Task, TaskId};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;
use tools::{AGENTS, Agent, Cancel, Door, Options, Role, ToolError, of_queue};
use zbus::fdo::{RequestNameFlags, RequestNameReply};
use zbus::message::Header;
use zbus::names::BusName;
use zbus::object_server::SignalEmitter;
use zbus::{Connection, interface};

use super::agent_task::{self, Order};
use super::desk::Desk;
use super::error::Error;
use crate::daemon::orchestrator::{News, Patron};
use crate::doors::Request;

/// Larger results are not sent with a signal; task_show gives them.
const LARGEST_IN_SIGNAL: usize = 64 << 10;

/// The name of an agent on the bus.
fn bus_name(agent: &Agent) -> String {
    format!("org.dbusmcp.Agent.{}", agent.bus)
}

/// Serves all agents on a connection, before their names are taken.
pub(super) async fn serve(connection: &Connection, desk: &Arc<Desk>) -> zbus::Result<()> {
    for agent in &AGENTS {
        let path = format!("/org/dbusmcp/Agent/{}", agent.bus);
        let service = Service {
            agent,
            desk: Arc::clone(desk),
        };
        connection.object_server().at(path, service).await?;
    }
    Ok(())
}

/// Takes the agents' names. The daemon does without one that it does not get: its own name is what it needs.
pub(super) async fn take_names(connection: &Connection) {
    for agent in &AGENTS {
        let name = bus_name(agent);
        let asked = connection
            .request_name_with_flags(name.as_str(), RequestNameFlags::DO_NOT_QUEUE)
            .await;
        match asked {
            Ok(RequestNameReply::PrimaryOwner | RequestNameReply::AlreadyOwner) => {}
            Ok(_) => log::warn!("{name} on the system bus is held by somebody else"),
            Err(error) => log::warn!(
                "{name} on the system bus is not to be had, its policy may not be installed: {error}"
            ),
        }
    }
}

/// One agent.
struct Service {
    agent: &'static Agent,
    desk: Arc<Desk>,
}

impl Service {
    /// Has a task done for the sender of a message: `{"id", "state", …}` of it, at its end or at once.
    async fn carry_out(
        &self,
        header: &Header<'_>,
        emitter: &SignalEmitter<'_>,
        order: Order,
    ) -> Result<String, Error> {
        let _place = self.desk.place(header, None)?;
        let hall = &self.desk.hall;
        let tool = self
            .agent
            .tool(&hall.registry, &order.submission.operation)?;
        let judged = self.desk.judged(header, tool, Door::Agent).await?;
        let sender = header.sender().ok_or(zbus::Error::MissingField)?;
        let emitter = emitter
            .to_owned()
            .set_destination(BusName::from(sender.to_owned()));
        let (news, heard) = unbounded_channel();
        let patron = Patron {
            judge: judged.judge,
            news,
        };
        let orchestrator = Arc::clone(&self.desk.orchestrator);
        let submit = move |_: &tools::Registry| {
            orchestrator.submit_for(&judged.caller, order.submission, Some(patron))
        };
        let task = hall.ask(submit).await??;
        let (ended, end) = oneshot::channel();
        tokio::spawn(forward(emitter.into_owned(), heard, ended));
        let task = match order.wait {
            false => task,
            true => end.await.map_err(|_| {
                Error::Failed(format!(
                    "task {} has no end yet: the daemon ends, or cannot keep it",
                    task.id
                ))
            })?,
        };
        Ok(outcome(&task).to_string())
    }
}

/// Sends news of a task to who submitted it, and to nobody else: results may hold what others must not read.
async fn forward(
    emitter: SignalEmitter<'static>,
    mut heard: UnboundedReceiver<News>,
    ended: oneshot::Sender<Task>,
) {
    while let Some(news) = heard.recv().await {
        let told = match news {
            News::Accepted(task) => {
                emitter
                    .task_event(&task.id.to_string(), "accepted", "", 0, 0)
                    .await
            }
            News::Started(id) => {
                emitter
                    .task_event(&id.to_string(), "started", "", 0, 0)
                    .await
            }
            News::Postponed(id) => {
                emitter
                    .task_event(&id.to_string(), "postponed", "", 0, 0)
                    .await
            }
            News::Progress(id, event) => {
                let (done, total) = (event.done as u64, event.total as u64);
                emitter
                    .task_event(&id.to_string(), "progress", &event.text, done, total)
                    .await
            }
            News::Finished(task) => {
                let text = in_signal(&task);
                let told = emitter
                    .task_completed(&task.id.to_string(), task.state.word(), &text)
                    .await;
                if let Err(error) = told {
                    log::debug!("nobody was told of the end of task {}: {error}", task.id);
                }
                let _ = ended.send(*task);
                return;
            }
        };
        if let Err(error) = told {
            log::debug!("nobody was told of a task: {error}");
        }
    }
}

/// What there is to say of a task: its number and state, with its result or why there is none.
fn outcome(task: &Task) -> Value {
    let mut outcome = json!({ "id": task.id.to_string(), "state": task.state });
    if let Some(result) = &task.result {
        outcome["result"] = result.clone();
    }
    if let Some(bytes) = task.result_bytes {
        let text =
            format!("the result has {bytes} bytes, which is more than is kept: ask for less of it");
        outcome["error"] = json!({ "code": "too-large", "message": text });
    }
    if let Some(error) = &task.error {
        outcome["error"] = error.clone();
    }
    outcome
}

/// The result or the error of a task as a signal carries it.
fn in_signal(task: &Task) -> String {
    let outcome = outcome(task);
    let key = if task.state == State::Done {
        "result"
    } else {
        "error"
    };
    let text = match outcome.get(key) {
        Some(value) => value.to_string(),
        None => outcome["error"].to_string(),
    };
    match text.len() > LARGEST_IN_SIGNAL {
        true => json!({ "code": "too-large", "message": "task_show gives it" }).to_string(),
        false => text,
    }
}

/// An agent: has operations carried out as tasks, with the rights of who asks for them. Metadata lists them.
#[interface(name = "org.dbusmcp.Agent")]
impl Service {
    /// Carries out a task: a JSON object with `operation` (or `action`), `arguments` (or the arguments themselves
    /// beside the other keys), and, all optional, `type`, `wait`, `plan`, `priority`, `deadline_s`, `retries` and
    /// `idempotent`. Answers at its end with `{"id", "state", "result" or "error"}`; with `"wait": false` at once.
    async fn execute(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
        task_json: &str,
    ) -> Result<String, Error> {
        let order = agent_task::parse(self.agent, task_json)?;
        self.carry_out(&header, &emitter, order).await
    }

    /// Carries out one operation at once. `path` is what it is about, such as a file, a unit or a bridge, or empty;
    /// `args` is a JSON object with its other arguments, or empty.
    async fn run_operation(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
        op: &str,
        path: &str,
        args: &str,
    ) -> Result<String, Error> {
        let tool = self.agent.tool(&self.desk.hall.registry, op)?;
        let order = agent_task::about(self.agent, tool, path, args)?;
        self.carry_out(&header, &emitter, order).await
    }

    /// Takes back a task of the sender's; whether that could be done. What changes something takes the right to write.
    async fn cancel_task(
        &self,
        #[zbus(header)] header: Header<'_>,
        id: &str,
    ) -> Result<bool, Error> {
        let id: TaskId = id
            .parse()
            .map_err(|_| Error::Invalid("the number of a task is a whole number".to_owned()))?;
        let (desk, tool) = (&self.desk, self.desk.tool("task_cancel")?);
        let judge = |role| desk.caller(&header, role, tool.name, Door::Agent);
        let mut caller = judge(Role::Viewer).await;
        if caller.role.is_some() && caller.role < Some(tool.role) {
            let (orchestrator, asker) = (Arc::clone(&desk.orchestrator), caller.clone());
            let look = move |_: &tools::Registry| orchestrator.seen(&asker, id);
            match desk.hall.ask(look).await??.exclusive {
                // Who may have something read may take that back.
                false => caller.role = Some(tool.role),
                true => caller = judge(tool.role).await,
            }
        }
        let request = Request {
            caller,
            name: tool.name.to_owned(),
            arguments: json!({ "id": id }),
            options: Options::default(),
            cancel: Cancel::default(),
        };
        match desk.hall.call(request, |_| {}).await {
            Ok(_) => Ok(true),
            Err(ToolError::Invalid(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// What kind of agent it is, such as `systemd`.
    fn agent_type(&self) -> &str {
        self.agent.name
    }

    /// The name of this agent among those of all programs.
    fn agent_id(&self) -> String {
        format!("op-dbus-{}", self.agent.name)
    }

    /// What it can be asked, as JSON: its operations, each with its effect and the schema of its arguments.
    async fn metadata(&self) -> Result<String, Error> {
        let agent = self.agent;
        let describe = move |registry: &tools::Registry| {
            json!({
                "type": agent.name,
                "id": format!("op-dbus-{}", agent.name),
                "description": agent.description,
                "bus_name": bus_name(agent),
                "version": env!("CARGO_PKG_VERSION"),
                "operations": agent.operations(registry.tools()),
            })
        };
        Ok(self.desk.hall.ask(describe).await?.to_string())
    }

    /// Whether it is there.
    fn ping(&self) -> bool {
        true
    }

    /// A task of yours has ended. `state` is done, failed, cancelled, interrupted or expired; `result` is its
    /// result as JSON, or why there is none. Nobody else hears it.
    #[zbus(signal)]
    async fn task_completed(
        emitter: &SignalEmitter<'_>,
        id: &str,
        state: &str,
        result: &str,
    ) -> zbus::Result<()>;

    /// Something happened to a task of yours: `kind` is accepted, started, progress or postponed; `total` is 0 where
    /// nobody knows how many steps there are. Nobody else hears it.
    #[zbus(signal)]
    async fn task_event(
        emitter: &SignalEmitter<'_>,
        id: &str,
        kind: &str,
        text: &str,
        done: u64,
        total: u64,
    ) -> zbus::Result<()>;
}

impl From<tasks::Error> for Error {
    fn from(error: tasks::Error) -> Self {
        of_queue(error).into()
    }
}
