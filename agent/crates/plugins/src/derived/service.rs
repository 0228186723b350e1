//! The service behind a plugin, as it is on the bus now.
//!
//! Calls go to the connection that has the name, never to the name: that starts nothing.

mod setting;

use std::time::{Duration, Instant};

use dbus::mapping::{Mode, decode};
use dbus::{Bus, Peer, Variant};
use introspect::dbus::xml;
use serde_json::{Map, Value};
use zbus::OwnedStructure;

use super::mapping::{Kind, List, Mapping};
pub(crate) use setting::Setting;

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
