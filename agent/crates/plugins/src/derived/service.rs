//! The service behind a plugin, as it is on the bus now.
//!
//! Calls go to the connection that has the name, never to the name: that starts nothing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use dbus::mapping::{Mode, decode, encode};
use dbus::{Bus, Peer, Variant};
use introspect::dbus::{Interface, xml};
use serde_json::{Map, Value};
use zbus::OwnedStructure;
use zbus::wire::StructureBuilder;

use super::digest::digest;
use super::mapping::{Kind, List, Mapping};

/// How long the service may take for one answer to a question.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it may take until all objects of a kind have said what they are.
const LOOK: Duration = Duration::from_secs(30);
/// Objects of one kind; more are not gone through.
const MOST: usize = 5000;

/// Why a service did not say or do something.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// It is not on the bus.
    #[error("{service} is not on the bus")]
    Away {
        /// Its name.
        service: String,
        /// What to do.
        fix: String,
    },
    /// There is no bus, or the service refused, or took too long.
    #[error("{doing}: {source}")]
    Bus {
        /// What was asked.
        doing: String,
        /// Why not.
        source: dbus::Error,
    },
    /// It has more objects than are gone through.
    #[error("{service} has more than {MOST} objects at {path}")]
    TooMany {
        /// Its name.
        service: String,
        /// Where.
        path: String,
    },
    /// It does not come to an end.
    #[error(
        "{service} has not told all that is at {path} within {} s: only {seen} objects. It is slow or hangs",
        LOOK.as_secs()
    )]
    Slow {
        /// Its name.
        service: String,
        /// Where.
        path: String,
        /// The objects that it told.
        seen: usize,
    },
    /// It answered something else than the mapping says.
    #[error("{doing}: {text}")]
    Odd {
        /// What was asked.
        doing: String,
        /// What is wrong with the answer.
        text: String,
    },
    /// The mapping, or the service as it is now, does not allow it.
    #[error("{0}")]
    Refused(String),
}

/// An object of a kind.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    /// Its path.
    pub(crate) path: String,
    /// Its name among those of its kind.
    pub(crate) name: String,
    /// Its properties, those of the mapping alone.
    pub(crate) properties: Map<String, Value>,
}

/// A service that is on the bus.
pub(crate) struct Service<'a> {
    bus: Bus,
    /// The connection that has the name.
    owner: String,
    mapping: &'a Mapping,
}

const DAEMON: Peer<'static> = Peer {
    name: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
};

/// The names that are on the bus now.
pub(crate) fn names_on(bus: &Bus) -> Result<Vec<String>, dbus::Error> {
    let mut names: Vec<String> = bus.call_within(PATIENCE, DAEMON, "ListNames", &())?;
    names.retain(|name| !name.starts_with(':'));
    names.sort_unstable();
    Ok(names)
}

impl<'a> Service<'a> {
    /// Finds who has the name, or one of the names that fit the pattern. Starts nobody unless the mapping says so.
    pub(crate) fn find(mapping: &'a Mapping) -> Result<Self, ServiceError> {
        let failed = |source| ServiceError::Bus {
            doing: format!("look for {}", mapping.service),
            source,
        };
        let bus = Bus::system().map_err(failed)?;
        let names = names_on(&bus).map_err(failed)?;
        let own = names.iter().find(|name| **name == mapping.service);
        let name = own.or_else(|| names.iter().find(|name| mapping.answers_for(name)));
        let owner = match name {
            Some(name) => bus.call_within(PATIENCE, DAEMON, "GetNameOwner", &(name,)),
            None if mapping.activate => bus.owner(&mapping.service),
            None => return Err(away(mapping)),
        };
        match owner {
            Ok(owner) => Ok(Self {
                bus,
                owner,
                mapping,
            }),
            Err(error) if error.is_unknown_service() => Err(away(mapping)),
            Err(error) => Err(failed(error)),
        }
    }

    fn ask<R>(
        &self,
        path: &str,
        interface: &str,
        method: &str,
        arguments: &(impl serde::Serialize + dbus::DynamicType),
    ) -> Result<R, ServiceError>
    where
        R: for<'d> zbus::wire::DynamicDeserialize<'d>,
    {
        let peer = Peer {
            name: &self.owner,
            path,
            interface,
        };
        self.bus
            .call_within(PATIENCE, peer, method, arguments)
            .map_err(|source| self.failed(format!("{interface}.{method} on {path}"), source))
    }

    fn failed(&self, doing: String, source: dbus::Error) -> ServiceError {
        match source.is_unknown_service() {
            true => away(self.mapping),
            false => ServiceError::Bus { doing, source },
        }
    }

    /// The objects of a kind, in the order of their paths.
    pub(crate) fn objects(&self, kind: &Kind) -> Result<Vec<Found>, ServiceError> {
        self.objects_until(kind, Instant::now() + LOOK)
    }

    fn objects_until(&self, kind: &Kind, end: Instant) -> Result<Vec<Found>, ServiceError> {
        if let Some(list) = kind.list.as_ref().filter(|list| !list.columns.is_empty()) {
            return self.rows(kind, list);
        }
        let mut found = Vec::new();
        for path in self.paths(kind)? {
            if Instant::now() >= end {
                return Err(ServiceError::Slow {
                    service: self.mapping.service.clone(),
                    path: kind.path.to_string(),
                    seen: found.len(),
                });
            }
            let Some(properties) = self.properties(kind, &path)? else {
                continue;
            };
            let name = name_of(kind, &path, &properties);
            found.push(Found {
                path,
                name,
                properties,
            });
        }
        Ok(found)
    }

    /// The paths of the objects of a kind.
    fn paths(&self, kind: &Kind) -> Result<Vec<String>, ServiceError> {
        let mut paths: Vec<String> = match &kind.list {
            _ if kind.is_single() => return Ok(vec![kind.path.to_string()]),
            Some(list) => {
                let paths: Vec<dbus::OwnedObjectPath> =
                    self.ask(&list.path, &list.interface, &list.method, &())?;
                paths.iter().map(|path| path.as_str().to_owned()).collect()
            }
            None => {
                let parent = kind.path.parent();
                let children = self.introspect(parent)?.children;
                let parent = parent.trim_end_matches('/');
                children
                    .iter()
                    .map(|child| format!("{parent}/{}", child.name))
                    .collect()
            }
        };
        paths.retain(|path| kind.path.matches(path));
        self.bounded(kind, paths.len())?;
        paths.sort_unstable();
        paths.dedup();
        Ok(paths)
    }

    fn bounded(&self, kind: &Kind, count: usize) -> Result<(), ServiceError> {
        match count > MOST {
            true => Err(ServiceError::TooMany {
                service: self.mapping.service.clone(),
                path: kind.path.to_string(),
            }),
            false => Ok(()),
        }
    }

    /// Objects with their properties from one list.
    fn rows(&self, kind: &Kind, list: &List) -> Result<Vec<Found>, ServiceError> {
        let answer: OwnedStructure = self.ask(&list.path, &list.interface, &list.method, &())?;
        let odd = |text: &str| ServiceError::Odd {
            doing: format!("{}.{} on {}", list.interface, list.method, list.path),
            text: text.to_owned(),
        };
        let [Variant::Array(rows)] = answer.0.fields() else {
            return Err(odd("the answer is no list"));
        };
        self.bounded(kind, rows.len())?;
        let mut found = Vec::new();
        for row in rows.inner() {
            let Variant::Structure(row) = row else {
                return Err(odd("the answer is no list of structures"));
            };
            if row.fields().len() != list.columns.len() {
                return Err(odd(
                    "its structures have another number of fields than the mapping",
                ));
            }
            let mut path = String::new();
            let mut properties = Map::new();
            for (column, field) in list.columns.iter().zip(row.fields()) {
                match (column.as_str(), field) {
                    ("", _) => {}
                    ("$path", Variant::ObjectPath(object)) => path = object.to_string(),
                    ("$path", _) => return Err(odd("there is no path where the mapping says so")),
                    (name, value) => drop(properties.insert(name.to_owned(), normal(value))),
                }
            }
            if kind.path.matches(&path) {
                let name = name_of(kind, &path, &properties);
                found.push(Found {
                    path,
                    name,
                    properties,
                });
            }
        }
        found.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(found)
    }

    /// The mapping's properties of an object; nothing if it does not have the interface, or went away.
    fn properties(
        &self,
        kind: &Kind,
        path: &str,
    ) -> Result<Option<Map<String, Value>>, ServiceError> {
        let all: Result<dbus::Properties, _> = self.ask(
            path,
            "org.freedesktop.DBus.Properties",
            "GetAll",
            &(kind.interface.as_str(),),
        );
        let all = match all {
            Ok(all) => all,
            Err(ServiceError::Bus { source, .. }) if !kind.is_single() && is_gone(&source) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let shown = kind.properties.iter().filter_map(|(name, property)| {
            let value = all.get(name)?;
            // Something of another type is not the property that the mapping means.
            (*value.value_signature() == property.signature).then(|| (name.clone(), normal(value)))
        });
        let properties: Map<_, _> = shown.collect();
        Ok((kind.is_single() || !all.is_empty()).then_some(properties))
    }

    fn introspect(&self, path: &str) -> Result<introspect::dbus::Node, ServiceError> {
        let text: String = self.ask(
            path,
            "org.freedesktop.DBus.Introspectable",
            "Introspect",
            &(),
        )?;
        let parsed =
            xml::parse(&text, &xml::Limits::default()).map_err(|error| ServiceError::Odd {
                doing: format!("introspect {path}"),
                text: error.to_string(),
            })?;
        Ok(parsed.node)
    }

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

/// A value on its way to a property.
pub(crate) struct Setting<'a> {
    /// What it is to be.
    pub(crate) value: &'a Value,
    /// What it was.
    pub(crate) before: &'a Value,
    /// Whether an earlier change is taken back.
    pub(crate) back: bool,
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

/// What a call to a single object answers for one that is not there any more, or has not got the interface.
fn is_gone(error: &dbus::Error) -> bool {
    error.name().is_some_and(|name| {
        let standard = name.strip_prefix("org.freedesktop.DBus.Error.");
        standard.is_some_and(|name| {
            matches!(
                name,
                "UnknownObject" | "UnknownInterface" | "UnknownMethod" | "InvalidArgs"
            )
        })
    })
}

fn away(mapping: &Mapping) -> ServiceError {
    ServiceError::Away {
        service: mapping.service.clone(),
        fix: "start it, or take its section out of the declaration".to_owned(),
    }
}

fn name_of(kind: &Kind, path: &str, properties: &Map<String, Value>) -> String {
    let named = kind
        .identity
        .as_ref()
        .and_then(|identity| properties.get(identity)?.as_str());
    let last = || path.rsplit('/').next().unwrap_or_default();
    named
        .filter(|name| !name.is_empty())
        .unwrap_or_else(last)
        .to_owned()
}

/// A value in the form that desired and observed share.
pub(crate) fn normal(value: &Variant<'_>) -> Value {
    decode(value, Mode::Plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_ends_when_its_time_is_over() {
        let Some(machine) = lab::Machine::new("needs root") else {
            return;
        };
        let Some(_bus) = machine.system_bus() else {
            return;
        };
        // The bus itself is a service with one object.
        let plugin = "name = \"bus\"\nversion = \"1.0.0\"\nintrospection_path = \"org.freedesktop.DBus\"\n\
                      capabilities = [\"read\"]\n";
        let mapping = "[[resource]]\nname = \"bus\"\ninterface = \"org.freedesktop.DBus\"\n\
                       path = \"/org/freedesktop/DBus\"\nproperties = { Features = \"as\" }\n";
        let mapping = Mapping::parse(plugin, mapping).unwrap();
        let service = Service::find(&mapping).unwrap();
        let kind = &mapping.kinds["bus"];
        assert_eq!(service.objects(kind).unwrap().len(), 1);
        let over = service.objects_until(kind, Instant::now());
        assert!(
            matches!(over, Err(ServiceError::Slow { seen: 0, .. })),
            "{over:?}"
        );
    }
}
