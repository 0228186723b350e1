//! Where calls from the bus become calls of tools.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;
use tools::{Caller, Cancel, Door, Event, Options, Role, Tool};
use zbus::Connection;
use zbus::message::Header;
use zbus::names::BusName;
use zbus::object_server::SignalEmitter;

use super::authority::{Authority, Verdict};
use super::error::Error;
use super::interfaces::ToolsSignals;
use super::options::brief;
use crate::daemon::orchestrator::{Judge, Orchestrator};
use crate::doors::frame::LARGEST;
use crate::doors::{Hall, Request};

/// No tool has a longer name, in bytes.
const LONGEST_NAME: usize = 64;

/// How many calls of one sender are on their way at once.
const AT_ONCE: usize = 256;

/// No plan's hash has more digits.
const LONGEST_HASH: usize = 128;

/// A call by the caller's name on the bus and the serial of its message.
type Key = (String, u32);

/// What the interfaces share.
pub(super) struct Desk {
    pub(super) hall: Arc<Hall>,
    pub(super) orchestrator: Arc<Orchestrator>,
    authority: Authority,
    /// Calls on their way, and what takes them back; nothing for those that are tasks.
    calls: Mutex<HashMap<Key, Option<Cancel>>>,
}

/// A caller, and who says whether it still has its right.
pub(super) struct Judged {
    pub(super) caller: Caller,
    pub(super) judge: Judge,
}

/// A call on its way, until this is dropped.
pub(super) struct Underway<'a> {
    desk: &'a Desk,
    key: Key,
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        self.desk.calls().remove(&self.key);
    }
}

impl Desk {
    pub(super) fn new(
        hall: Arc<Hall>,
        orchestrator: Arc<Orchestrator>,
        connection: &Connection,
    ) -> Self {
        Self {
            hall,
            orchestrator,
            authority: Authority::new(connection),
            calls: Mutex::default(),
        }
    }

    /// Whether the sender may look; for properties.
    pub(super) async fn may_read(&self, header: Option<&Header<'_>>) -> zbus::fdo::Result<()> {
        let Some(header) = header else {
            return Ok(());
        };
        let verdict = self
            .authority
            .judge(header, Role::Viewer, "properties")
            .await;
        match verdict.role {
            Some(_) => Ok(()),
            None => Err(zbus::fdo::Error::AccessDenied(
                verdict.refusal.unwrap_or_default(),
            )),
        }
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<Key, Option<Cancel>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tool of that name. The bus carries names of many megabytes, which are none.
    pub(super) fn tool(&self, name: &str) -> Result<&Tool, Error> {
        match name.len() > LONGEST_NAME {
            true => Err(Error::NotFound(format!(
                "there is no tool `{}`",
                brief(name)
            ))),
            false => Ok(self.hall.registry.tool(name)?),
        }
    }

    /// Takes back a call of the same sender; whether there was one.
    pub(super) fn cancel(&self, sender: &str, serial: u32) -> bool {
        let calls = self.calls();
        let call = calls.get(&(sender.to_owned(), serial));
        call.and_then(Option::as_ref)
            .inspect(|cancel| cancel.cancel())
            .is_some()
    }

    /// A place among the calls of the sender, until it is dropped, for a call that can be taken back by its serial
    /// if there is something to do that with.
    pub(super) fn place(
        &self,
        header: &Header<'_>,
        cancel: Option<Cancel>,
    ) -> Result<Underway<'_>, Error> {
        if header.primary().body_len() as usize > LARGEST {
            return Err(Error::Invalid(format!(
                "a call has more than {LARGEST} bytes"
            )));
        }
        let sender = header.sender().map(ToString::to_string).unwrap_or_default();
        let key = (sender, header.primary().serial_num().get());
        let mut calls = self.calls();
        if calls.keys().filter(|(other, _)| *other == key.0).count() >= AT_ONCE {
            return Err(Error::Refused(format!(
                "{AT_ONCE} calls of yours are on their way: wait for one to end"
            )));
        }
        calls.insert(key.clone(), cancel);
        Ok(Underway { desk: self, key })
    }

    /// The sender of a message, with the role if polkit allows it for what is asked.
    pub(super) async fn caller(
        &self,
        header: &Header<'_>,
        role: Role,
        tool: &str,
        door: Door,
    ) -> Caller {
        let verdict = self.authority.judge(header, role, tool).await;
        self.caller_of(verdict, door)
    }

    fn caller_of(&self, verdict: Verdict, door: Door) -> Caller {
        let mut caller = self.hall.caller(verdict.uid, door);
        caller.role = verdict.role;
        caller.refusal = verdict.refusal;
        caller.interactive = verdict.interactive;
        caller
    }

    /// The same for what is carried out later, with somebody who asks again then.
    pub(super) async fn judged(
        &self,
        header: &Header<'_>,
        tool: &Tool,
        door: Door,
    ) -> Result<Judged, Error> {
        let verdict = self.authority.judge(header, tool.role, tool.name).await;
        let holder = Arc::new(self.authority.holder(header, &verdict, tool)?);
        let caller = self.caller_of(verdict, door);
        let judge: Judge = Arc::new(move || {
            let holder = Arc::clone(&holder);
            Box::pin(async move { holder.right().await })
        });
        Ok(Judged { caller, judge })
    }

    /// Calls a tool without options.
    pub(super) async fn ask(
        &self,
        header: &Header<'_>,
        emitter: &SignalEmitter<'_>,
        tool: &str,
        arguments: Value,
    ) -> Result<String, Error> {
        let options = Options::default();
        self.call(header, emitter, tool, arguments, options).await
    }

    /// Calls a tool for the sender of a message. What it tells on the way, and that it ended, goes to the sender
    /// alone, in order and before the answer.
    pub(super) async fn call(
        &self,
        header: &Header<'_>,
        emitter: &SignalEmitter<'_>,
        tool: &str,
        arguments: Value,
        options: Options,
    ) -> Result<String, Error> {
        let role = self.tool(tool)?.role;
        if let Some(plan) = options
            .plan
            .as_ref()
            .filter(|plan| plan.len() > LONGEST_HASH)
        {
            return Err(Error::Invalid(format!(
                "`{}` is no hash of a plan",
                brief(plan)
            )));
        }
        // It can be taken back while polkit is asked, too.
        let cancel = Cancel::default();
        let underway = self.place(header, Some(cancel.clone()))?;
        let (sender, serial) = underway.key.clone();
        let caller = self.caller(header, role, tool, Door::Dbus).await;
        let emitter = match BusName::try_from(sender) {
            Ok(sender) => emitter.to_owned().set_destination(sender),
            Err(error) => return Err(Error::Bus(error)),
        };
        let (events, mut told) = unbounded_channel::<Event>();
        let request = Request {
            caller,
            name: tool.to_owned(),
            arguments,
            options,
            cancel,
        };
        let call = self.hall.call(request, move |event| {
            let _ = events.send(event.clone());
        });
        let telling = async {
            // Ends when the call drops its end of the channel.
            while let Some(event) = told.recv().await {
                let kind = json!(event.kind);
                let kind = kind.as_str().unwrap_or_default();
                let (done, total) = (event.done as u64, event.total as u64);
                let _ = emitter
                    .progress(serial, tool, kind, &event.text, done, total)
                    .await;
            }
        };
        let (result, ()) = tokio::join!(call, telling);
        let code = result.as_ref().err().map_or("", |error| error.code());
        let _ = emitter.completed(serial, tool, result.is_ok(), code).await;
        Ok(result?.to_string())
    }
}
