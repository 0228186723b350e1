//! Signals of the service: heard while somebody waits for them or watches their resource.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use serde_json::{Map, Value, json};
use zbus::message::Type;
use zbus::names::BusName;
use zbus::{Connection, MatchRule, Message, MessageStream, ObjectPath, Structure, Variant};

use dbus::mapping::{Mode, decode};
use introspect::dbus::Arg;

use super::peer::fault;
use crate::backend::Fault;

/// How many signals are kept of each that is watched, and how many bytes of one.
const KEPT: usize = 20;
const LONGEST: usize = 16 << 10;

/// Which signals are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) interface: String,
    pub(super) member: String,
    /// From this object; from any if there is none.
    pub(super) path: Option<String>,
}

/// The signals that were heard last, by the resource that is watched.
#[derive(Clone, Default)]
pub(super) struct Heard(Arc<Mutex<BTreeMap<String, VecDeque<Value>>>>);

impl Heard {
    /// What was heard, the oldest first; `None` if nobody ever watched it.
    pub(super) fn of(&self, uri: &str) -> Option<Vec<Value>> {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.get(uri).map(|signals| signals.iter().cloned().collect())
    }

    fn begin(&self, uri: &str) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.entry(uri.to_owned()).or_default();
    }

    fn add(&self, uri: &str, signal: Value) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let signals = heard.entry(uri.to_owned()).or_default();
        signals.push_back(signal);
        if signals.len() > KEPT {
            signals.pop_front();
        }
    }
}

/// Signals of a service, whoever has its name at the time.
pub(super) struct Signals {
    connection: Connection,
    service: BusName<'static>,
    /// The connection that had the name when it was last asked for.
    owner: Option<String>,
    stream: MessageStream,
}

impl Signals {
    pub(super) async fn listen(
        connection: &Connection,
        service: &BusName<'_>,
        root: &ObjectPath<'_>,
        wanted: &Wanted,
    ) -> Result<Self, Fault> {
        let invalid = |error: zbus::Error| Fault::Invalid(error.to_string());
        let mut rule = MatchRule::builder()
            .msg_type(Type::Signal)
            .sender(service.to_owned())
            .interface(wanted.interface.clone())
            .member(wanted.member.clone());
        rule = match &wanted.path {
            Some(path) => rule.path(path.clone()),
            None if root.as_str() != "/" => rule.path_namespace(root.to_owned()),
            None => rule,
        };
        let rule = rule.build().map_err(invalid)?.into_owned();
        let stream = MessageStream::for_match_rule(rule, connection, None).await;
        Ok(Self {
            connection: connection.clone(),
            service: service.to_owned().into_owned(),
            owner: None,
            stream: stream.map_err(fault)?,
        })
    }

    /// The next one; `None` when the bus is gone.
    pub(super) async fn next(&mut self) -> Option<Message> {
        loop {
            let message = self.stream.next().await?.ok()?;
            let sender = message.header().sender().map(ToString::to_string)?;
            // Anybody may send us anything; the service is whoever has its name.
            if self.owner.as_ref() != Some(&sender) {
                self.owner = owner(&self.connection, &self.service).await;
            }
            if self.owner.as_ref() == Some(&sender) {
                return Some(message);
            }
        }
    }

    /// Keeps what is heard, and tells each time that there is more.
    pub(super) fn keep(
        self,
        uri: String,
        heard: Heard,
        args: Vec<Arg>,
        mode: Mode,
    ) -> BoxStream<'static, ()> {
        heard.begin(&uri);
        let state = (self, uri, heard, args, mode);
        futures_util::stream::unfold(state, |mut state| async move {
            let message = state.0.next().await?;
            state.2.add(&state.1, shown(&message, &state.3, state.4));
            Some(((), state))
        })
        .boxed()
    }
}

async fn owner(connection: &Connection, service: &BusName<'_>) -> Option<String> {
    if let BusName::Unique(unique) = service {
        return Some(unique.to_string());
    }
    let answer = connection
        .call_method(
            Some("org.freedesktop.DBus"),
            "/org/freedesktop/DBus",
            Some("org.freedesktop.DBus"),
            "GetNameOwner",
            &(service.as_str(),),
        )
        .await
        .ok()?;
    answer.body().deserialize::<String>().ok()
}

/// A signal as JSON.
pub(super) fn shown(message: &Message, args: &[Arg], mode: Mode) -> Value {
    let header = message.header();
    let path = header.path().map(ToString::to_string).unwrap_or_default();
    let body = message.body();
    if body.len() > LONGEST {
        let text = format!("{} bytes, which is more than is taken in", body.len());
        return json!({ "object_path": path, "left_out": text });
    }
    let values = values(&body).unwrap_or_default();
    let mut arguments = Map::new();
    for (at, value) in values.iter().enumerate() {
        let name = args.get(at).and_then(|arg| arg.name.clone());
        let name = name.filter(|name| !arguments.contains_key(name));
        arguments.insert(name.unwrap_or_else(|| format!("arg{at}")), decode(value, mode));
    }
    json!({ "object_path": path, "arguments": arguments })
}

fn values(body: &zbus::message::Body) -> Option<Vec<Variant<'_>>> {
    match body.is_empty() {
        true => Some(Vec::new()),
        false => Some(body.deserialize::<Structure<'_>>().ok()?.into_fields()),
    }
}
