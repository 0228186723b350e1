//! Where calls from the bus become calls of tools.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;
use tools::{Cancel, Door, Event, Options, Role, Tool};
use zbus::Connection;
use zbus::message::Header;
use zbus::names::BusName;
use zbus::object_server::SignalEmitter;

use super::authority::Authority;
use super::error::Error;
use super::interfaces::ToolsSignals;
use super::options::brief;
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
    authority: Authority,
    /// Calls on their way.
    calls: Mutex<HashMap<Key, Cancel>>,
}

/// A call on its way, until this is dropped.
struct Underway<'a> {
    desk: &'a Desk,
    key: Key,
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        self.desk.calls().remove(&self.key);
    }
}

impl Desk {
    pub(super) async fn new(hall: Arc<Hall>, connection: &Connection) -> Self {
        Self {
            hall,
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

    fn calls(&self) -> MutexGuard<'_, HashMap<Key, Cancel>> {
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
        call.inspect(|cancel| cancel.cancel()).is_some()
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
        if header.primary().body_len() as usize > LARGEST {
            return Err(Error::Invalid(format!(
                "a call has more than {LARGEST} bytes"
            )));
        }
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
        let sender = header.sender().map(ToString::to_string).unwrap_or_default();
        let serial = header.primary().serial_num().get();
        let cancel = Cancel::default();
        let key = (sender.clone(), serial);
        {
            let mut calls = self.calls();
            if calls.keys().filter(|(other, _)| *other == sender).count() >= AT_ONCE {
                return Err(Error::Refused(format!(
                    "{AT_ONCE} calls of yours are on their way: wait for one to end"
                )));
            }
            calls.insert(key.clone(), cancel.clone());
        }
        // It can be taken back while polkit is asked, too.
        let _underway = Underway { desk: self, key };
        let verdict = self.authority.judge(header, role, tool).await;
        let mut caller = self.hall.caller(verdict.uid, Door::Dbus);
        caller.role = verdict.role;
        caller.refusal = verdict.refusal;
        caller.interactive = verdict.interactive;
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
