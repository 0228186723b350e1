//! What may be set on a service, and setting it.

use std::collections::BTreeMap;
use std::time::Duration;

use dbus::Peer;
use dbus::mapping::encode;
use introspect::dbus::Interface;
use serde_json::Value;
use zbus::wire::StructureBuilder;

use super::super::digest::digest;
use super::super::mapping::Kind;
use super::{Found, Service, ServiceError};

/// A value on its way to a property.
pub(crate) struct Setting<'a> {
    /// What it is to be.
    pub(crate) value: &'a Value,
    /// What it was.
    pub(crate) before: &'a Value,
    /// Whether an earlier change is taken back.
    pub(crate) back: bool,
}

impl Service<'_> {
    /// Why a property of an object must not be set on the service as it is now; `None` if it may be.
    pub(crate) fn refusal(
        &self,
        kind_name: &str,
        property: &str,
        path: &str,
    ) -> Result<Option<String>, ServiceError> {
        if let Some(reason) = self.mapping.refusal(kind_name, property) {
            return Ok(Some(reason));
        }
        let Some(write) = self.mapping.write(kind_name, property) else {
            return Ok(None);
        };
        let mut known: BTreeMap<String, Vec<Interface>> = BTreeMap::new();
        let own = self
            .mapping
            .kinds
            .get(kind_name)
            .map(|kind| (path, kind.interface.as_str()));
        let calls = [&write.forward, &write.inverse].into_iter().flatten();
        let calls = calls.map(|call| {
            (
                call.path.as_deref().unwrap_or(path),
                call.interface.as_str(),
            )
        });
        for (object, name) in own.into_iter().chain(calls) {
            if !known.contains_key(object) {
                known.insert(object.to_owned(), self.introspect(object)?.interfaces);
            }
            let interface = known[object]
                .iter()
                .find(|interface| interface.name.as_str() == name);
            let reviewed = self.mapping.interfaces.get(name);
            let same = interface.is_some_and(|interface| {
                reviewed.is_some_and(|reviewed| reviewed.contains(&digest(interface)))
            });
            if !same {
                return Ok(Some(format!(
                    "the interface {name} of {} is no longer the one that was reviewed, so nothing is written to it: \
                     look at what changed, then put its new digest into semantic-mapping.toml (`op-dbus plugin show \
                     {}` prints it)",
                    self.mapping.service, self.mapping.name
                )));
            }
        }
        Ok(None)
    }

    /// The digests of the mapping's interfaces as the service has them now, where an object with each is found.
    pub(crate) fn digests(&self) -> Result<BTreeMap<String, String>, ServiceError> {
        let mut digests = BTreeMap::new();
        for kind in self.mapping.kinds.values() {
            let first = self.paths(kind)?.into_iter().next();
            let calls = kind
                .properties
                .values()
                .filter_map(|property| property.write.as_ref());
            let calls = calls
                .flat_map(|write| [&write.forward, &write.inverse])
                .flatten();
            let elsewhere = calls.filter_map(|call| call.path.clone());
            for path in first.into_iter().chain(elsewhere) {
                for interface in self.introspect(&path)?.interfaces {
                    digests.insert(interface.name.to_string(), digest(&interface).0);
                }
            }
        }
        let ours = |name: &String| {
            self.mapping.kinds.values().any(|kind| {
                let writes = kind
                    .properties
                    .values()
                    .filter_map(|property| property.write.as_ref());
                let mut calls = writes
                    .flat_map(|write| [&write.forward, &write.inverse])
                    .flatten();
                kind.interface == *name || calls.any(|call| call.interface == *name)
            })
        };
        digests.retain(|name, _| ours(name));
        Ok(digests)
    }

    /// Sets a property, by itself or by the method that the mapping names for it.
    pub(crate) fn set(
        &self,
        kind: &Kind,
        object: &Found,
        property: &str,
        change: &Setting<'_>,
    ) -> Result<(), ServiceError> {
        let Some(known) = kind.properties.get(property) else {
            return Err(ServiceError::Refused(format!(
                "the mapping has no property {property}"
            )));
        };
        let Some(write) = &known.write else {
            return Err(ServiceError::Refused(format!(
                "the mapping only reads {property}"
            )));
        };
        let call = match change.back {
            true => write.inverse.as_ref().or(write.forward.as_ref()),
            false => write.forward.as_ref(),
        };
        let doing = || format!("set {property} of {}", object.path);
        let odd = |problems: dbus::mapping::Problems| ServiceError::Odd {
            doing: doing(),
            text: problems.to_string(),
        };
        let Some(call) = call else {
            let value = encode(&known.signature, change.value).map_err(odd)?;
            return self.tell(
                Peer {
                    name: &self.owner,
                    path: &object.path,
                    interface: "org.freedesktop.DBus.Properties",
                },
                "Set",
                &(kind.interface.as_str(), property, value),
                doing,
            );
        };
        let path = call.path.as_deref().unwrap_or(&object.path);
        let peer = Peer {
            name: &self.owner,
            path,
            interface: &call.interface,
        };
        if call.types.is_empty() {
            return self.tell(peer, &call.method, &(), doing);
        }
        let mut body = StructureBuilder::new();
        for (signature, argument) in call.types.iter().zip(&call.arguments) {
            let value = encode(signature, &filled(argument, object, change)).map_err(odd)?;
            body.push_value(value);
        }
        let body = body.build().map_err(|error| ServiceError::Odd {
            doing: doing(),
            text: error.to_string(),
        })?;
        self.tell(peer, &call.method, &body, doing)
    }

    /// A call whose answer does not matter. It takes as long as the service needs, within reason.
    fn tell(
        &self,
        peer: Peer<'_>,
        method: &str,
        body: &(impl serde::Serialize + dbus::DynamicType),
        doing: impl Fn() -> String,
    ) -> Result<(), ServiceError> {
        let connection = self.bus.connection();
        let call = connection.call_method(
            Some(peer.name),
            peer.path,
            Some(peer.interface),
            method,
            body,
        );
        let limit = Duration::from_secs(30);
        let answer = self
            .bus
            .wait(async { tokio::time::timeout(limit, call).await });
        match answer {
            Err(_) => Err(self.failed(doing(), dbus::Error::TimedOut(limit))),
            Ok(Err(error)) => Err(self.failed(doing(), error.into())),
            Ok(Ok(_)) => Ok(()),
        }
    }
}

fn filled(argument: &Value, object: &Found, change: &Setting<'_>) -> Value {
    match argument.as_str() {
        Some("$value") => change.value.clone(),
        Some("$before") => change.before.clone(),
        Some("$name") => object.name.as_str().into(),
        Some("$path") => object.path.as_str().into(),
        _ => argument.clone(),
    }
}
