//! What the general tools that look do: the service's interfaces, its objects, its signals.

use std::time::Duration;

use introspect::dbus::walk;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::catalog::{Known, is_covered, words};
use super::page::Shape;
use super::peer::failed;
use super::signals::{Signals, Wanted, shown};
use super::{Bridge, general, limits};
use crate::backend::{Event, Fault};

impl Bridge {
    pub(super) fn describe(&self, asked: general::Describe) -> Result<Value, Fault> {
        let Some(name) = asked.interface else {
            let interfaces = self.catalog.interfaces.iter().map(|(name, known)| {
                let about = json!({
                    "objects": known.objects.len(),
                    "methods": known.definition.methods.len(),
                    "without_tool": known.left_out.len(),
                    "properties": known.definition.properties.len(),
                    "signals": known.definition.signals.len(),
                });
                (name.clone(), about)
            });
            let interfaces = interfaces.collect::<Map<_, _>>();
            return self.fit(vec![(
                "interfaces".to_owned(),
                interfaces.into(),
                Shape::Free,
            )]);
        };
        let known = self.known(&name)?;
        let tools = self.catalog.operations.iter();
        let methods = tools.filter(|(_, operation)| operation.interface == name);
        let methods: Map<_, _> = methods
            .map(|(tool, operation)| (operation.member.clone(), json!({ "tool": tool })))
            .collect();
        let left_out = known.left_out.iter();
        let left_out: Map<_, _> = left_out
            .map(|(name, why)| (name.clone(), json!(why)))
            .collect();
        let properties = known.definition.properties.iter().map(|property| {
            let about = json!({
                "type": property.signature.to_string(),
                "access": property.access,
                "emits_changed": property.emits_changed,
                "doc": property.doc.as_deref().and_then(words),
            });
            (property.name.to_string(), about)
        });
        let signals = known.definition.signals.iter().map(|signal| {
            let args = signal.args.iter();
            let args: Vec<_> = args
                .map(|arg| json!({ "name": arg.name, "type": arg.signature.to_string() }))
                .collect();
            (signal.name.to_string(), json!(args))
        });
        let about = json!({
            "name": name,
            "objects": known.objects.iter().take(20).collect::<Vec<_>>(),
            "methods": methods,
            "without_tool": left_out,
            "properties": properties.collect::<Map<_, _>>(),
            "signals": signals.collect::<Map<_, _>>(),
        });
        self.fit(vec![("interface".to_owned(), about, Shape::Free)])
    }

    pub(super) fn known(&self, interface: &str) -> Result<&Known, Fault> {
        self.catalog.interfaces.get(interface).ok_or_else(|| {
            Fault::NotFound(format!(
                "the service had no interface {interface} when the bridge started; `describe` lists those it had"
            ))
        })
    }

    pub(super) async fn objects(
        &self,
        asked: general::Objects,
        cancel: &CancellationToken,
        listener: &(dyn Fn(Event) + Send + Sync),
    ) -> Result<Value, Fault> {
        let root = match &asked.below {
            Some(path) => self.object(path)?,
            None => self.options.root.as_ref().to_owned(),
        };
        let limits = limits(&self.options);
        let service = &self.options.service;
        let go_on = |total: usize, done: usize| {
            let text = format!("{done} objects looked at");
            listener(Event { text, done, total });
            !cancel.is_cancelled()
        };
        let tree = walk(&self.peer.connection, service, &root, &limits, &go_on)
            .await
            .map_err(|error| Fault::Unavailable(error.to_string()))?;
        let objects = tree.objects.iter().filter_map(|object| {
            let names = object.interfaces.iter().map(|one| one.name.as_str());
            let names: Vec<_> = names.filter(|name| !is_covered(name)).collect();
            let wanted = match &asked.interface {
                Some(interface) => names.contains(&interface.as_str()),
                None => !names.is_empty(),
            };
            wanted.then(|| (object.path.clone(), json!(names)))
        });
        let left_out = tree.truncated.iter().map(|cut| cut.text.as_str());
        let left_out: Vec<_> = left_out.collect();
        self.fit(vec![
            (
                "objects".to_owned(),
                Value::Object(objects.collect()),
                Shape::Free,
            ),
            ("left_out".to_owned(), json!(left_out), Shape::Free),
        ])
    }

    pub(super) async fn wait(
        &self,
        asked: general::Wait,
        cancel: &CancellationToken,
    ) -> Result<Value, Fault> {
        let path = asked.object_path.as_deref().map(|path| self.object(path));
        let path = path.transpose()?.map(|path| path.to_string());
        let seconds = asked.seconds.unwrap_or(30);
        if !(1..=general::LONGEST_WAIT).contains(&seconds) {
            let most = general::LONGEST_WAIT;
            return Err(Fault::Invalid(format!(
                "/seconds: it must be from 1 to {most}"
            )));
        }
        let wanted = Wanted {
            interface: asked.interface,
            member: asked.signal,
            path,
        };
        let args = self.signal_args(&wanted)?;
        let root = self.options.root.as_ref();
        let service = &self.options.service;
        let mut signals = Signals::listen(&self.peer.connection, service, &root, &wanted).await?;
        let heard = tokio::select! {
            () = cancel.cancelled() => return Err(failed("cancelled", "the call was cancelled")),
            heard = tokio::time::timeout(Duration::from_secs(seconds), signals.next()) => heard,
        };
        match heard {
            Ok(Some(message)) => {
                let mut answer = shown(&message, &args, self.options.mode);
                answer["received"] = json!(true);
                let Value::Object(answer) = answer else {
                    return Ok(json!({ "received": true }));
                };
                self.fit(
                    answer
                        .into_iter()
                        .map(|(name, value)| (name, value, Shape::Free))
                        .collect(),
                )
            }
            Ok(None) => Err(Fault::Unavailable(
                "the bus closed the connection".to_owned(),
            )),
            Err(_) => Ok(json!({ "received": false })),
        }
    }

    /// What comes with a signal that the service has.
    pub(super) fn signal_args(&self, wanted: &Wanted) -> Result<Vec<introspect::dbus::Arg>, Fault> {
        let known = self.known(&wanted.interface)?;
        let mut signals = known.definition.signals.iter();
        match signals.find(|signal| signal.name.as_str() == wanted.member) {
            Some(signal) => Ok(signal.args.clone()),
            None => Err(Fault::NotFound(format!(
                "{} has no signal {}; `describe` lists those it has",
                wanted.interface, wanted.member
            ))),
        }
    }
}
