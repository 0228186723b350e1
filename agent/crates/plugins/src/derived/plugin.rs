//! A mapping as a plugin of the engine.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use reconcile::{
    Change, Context, Desired, Direction, Effects, Key, Observed, Owner, Plugin, PluginError,
    Transition, Verb,
};
use serde_json::{Map, Value};

use super::mapping::Mapping;
use super::section::{Section, resource, split};
use super::service::{Found, Service, ServiceError, Setting};
use super::store::Unusable;

/// Keeps what a section declares of a service's objects, and touches nothing else of them.
///
/// A resource is an object; its state has the declared properties and nothing else. Objects are not made and not
/// deleted: what is no longer declared is left as it is.
#[derive(Debug)]
pub struct DerivedPlugin {
    name: String,
    mapping: Result<Arc<Mapping>, Unusable>,
    section: Section,
    /// Sees everything, wants nothing.
    view: bool,
    /// Why resources must not be changed, as last observed.
    refusals: Mutex<BTreeMap<String, String>>,
}

impl DerivedPlugin {
    /// The plugin for what a declaration says.
    pub(super) fn new(
        name: &str,
        mapping: Result<Arc<Mapping>, Unusable>,
        section: Section,
    ) -> Self {
        Self {
            name: name.to_owned(),
            mapping,
            section,
            view: false,
            refusals: Mutex::default(),
        }
    }

    /// The plugin for a look at everything that the mapping shows.
    pub(super) fn view(self) -> Self {
        Self { view: true, ..self }
    }

    fn mapping(&self) -> Result<&Mapping, PluginError> {
        match &self.mapping {
            Ok(mapping) => Ok(mapping),
            Err(unusable) => Err(PluginError::unavailable(
                unusable.what.clone(),
                unusable.fix.clone(),
            )),
        }
    }

    fn service<'a>(&self, mapping: &'a Mapping) -> Result<Service<'a>, PluginError> {
        if mapping.requires_root && !rustix::process::geteuid().is_root() {
            let what = format!("{} is read as root", mapping.service);
            return Err(PluginError::unavailable(
                what,
                "run this with sudo, or start the daemon",
            ));
        }
        Service::find(mapping).map_err(failed)
    }

    /// All objects of all kinds.
    fn look_around(&self) -> Result<BTreeMap<String, Observed>, PluginError> {
        let mapping = self.mapping()?;
        let service = self.service(mapping)?;
        let mut seen = BTreeMap::new();
        for (kind_name, kind) in &mapping.kinds {
            for object in service.objects(kind).map_err(failed)? {
                let mut name = resource(kind_name, kind, &object.name);
                if seen.contains_key(&name) {
                    name = format!("{name} ({})", object.path);
                }
                let owner = match self.section.contains_key(&name) {
                    true => Owner::Ours,
                    false => Owner::Foreign,
                };
                seen.insert(
                    name,
                    Observed {
                        state: Value::Object(object.properties),
                        owner,
                    },
                );
            }
        }
        Ok(seen)
    }

    /// The declared properties of the declared objects. Where one is not there the state says `null`.
    fn look_at_declared(&self) -> Result<BTreeMap<String, Observed>, PluginError> {
        let mapping = self.mapping()?;
        let service = self.service(mapping)?;
        let mut objects = BTreeMap::new();
        let mut seen = BTreeMap::new();
        let mut refusals = BTreeMap::new();
        for (resource, wanted) in &self.section {
            let (kind_name, name) = split(resource);
            let Some(kind) = mapping.kinds.get(kind_name) else {
                continue;
            };
            if !objects.contains_key(kind_name) {
                objects.insert(kind_name, service.objects(kind).map_err(failed)?);
            }
            let (state, refusal) = match named(&objects[kind_name], kind.is_single(), name) {
                Ok(object) => {
                    let refusal = refusal(&service, kind_name, wanted, object).map_err(failed)?;
                    (declared(wanted, object), refusal)
                }
                Err(reason) => (Value::Null, Some(reason)),
            };
            refusals.extend(refusal.map(|reason| (resource.clone(), reason)));
            seen.insert(
                resource.clone(),
                Observed {
                    state,
                    owner: Owner::Ours,
                },
            );
        }
        *self.refusals.lock().unwrap_or_else(PoisonError::into_inner) = refusals;
        Ok(seen)
    }

    fn change(&self, change: &Change, context: &Context<'_>) -> Result<(), ServiceError> {
        let mapping = match &self.mapping {
            Ok(mapping) => mapping,
            Err(unusable) => return Err(ServiceError::Refused(unusable.what.clone())),
        };
        let (Verb::Update, Some(before), Some(after)) = (
            change.verb,
            change.before.as_object(),
            change.after.as_object(),
        ) else {
            return Err(ServiceError::Refused(
                "objects of a service are neither made nor deleted".to_owned(),
            ));
        };
        let (kind_name, name) = split(&change.resource);
        let Some(kind) = mapping.kinds.get(kind_name) else {
            return Err(ServiceError::Refused(format!(
                "the mapping has no `{kind_name}`"
            )));
        };
        let service = Service::find(mapping)?;
        let objects = service.objects(kind)?;
        let object = named(&objects, kind.is_single(), name).map_err(ServiceError::Refused)?;
        for (property, value) in after {
            if object.properties.get(property) == Some(value) {
                continue;
            }
            // Asked again right before: the service may be another one than when the plan was made.
            if let Some(reason) = service.refusal(kind_name, property, &object.path)? {
                return Err(ServiceError::Refused(reason));
            }
            (context.progress)(&format!("set {property} of {}", change.resource));
            let setting = Setting {
                value,
                before: before.get(property).unwrap_or(&Value::Null),
                back: context.direction == Direction::Undo,
            };
            service.set(kind, object, property, &setting)?;
        }
        Ok(())
    }
}

/// The object of a name, or why it is none.
fn named<'a>(objects: &'a [Found], single: bool, name: &str) -> Result<&'a Found, String> {
    let mut of_name = objects
        .iter()
        .filter(|object| single || object.name == name);
    match (of_name.next(), of_name.next()) {
        (Some(object), None) => Ok(object),
        (Some(one), Some(other)) => Err(format!(
            "two objects have this name, {} and {}, so neither is touched",
            one.path, other.path
        )),
        (None, _) => {
            let names: Vec<_> = objects
                .iter()
                .take(8)
                .map(|object| format!("`{}`", object.name))
                .collect();
            let there = match names.is_empty() {
                true => "the service has none".to_owned(),
                false => format!("there are {}", names.join(", ")),
            };
            Err(format!(
                "the service has no such object: {there}. Objects are not made by declaring them"
            ))
        }
    }
}

/// The declared properties of an object, as they are.
fn declared(wanted: &Map<String, Value>, object: &Found) -> Value {
    let value = |name: &String| object.properties.get(name).cloned().unwrap_or(Value::Null);
    Value::Object(
        wanted
            .keys()
            .map(|name| (name.clone(), value(name)))
            .collect(),
    )
}

/// Why what differs must not be changed.
fn refusal(
    service: &Service<'_>,
    kind_name: &str,
    wanted: &Map<String, Value>,
    object: &Found,
) -> Result<Option<String>, ServiceError> {
    for (property, value) in wanted {
        match object.properties.get(property) {
            None => {
                return Ok(Some(format!(
                    "the object {} has no property {property} of the mapping's type",
                    object.path
                )));
            }
            Some(found) if found == value => {}
            Some(_) => {
                let refusal = service.refusal(kind_name, property, &object.path)?;
                if refusal.is_some() {
                    return Ok(refusal);
                }
            }
        }
    }
    Ok(None)
}

fn failed(error: ServiceError) -> PluginError {
    match error {
        ServiceError::Away { service, fix } => {
            PluginError::unavailable(format!("{service} is not on the bus"), fix)
        }
        ServiceError::Bus {
            doing,
            source: source @ dbus::Error::Unreachable(_),
        } => PluginError::unavailable(format!("{doing}: {source}"), "start the bus"),
        ServiceError::Bus { doing, source } => PluginError::failed(doing, source),
        other => PluginError::failed("ask the service", other),
    }
}

impl Plugin for DerivedPlugin {
    fn name(&self) -> &str {
        &self.name
    }

    fn desired(&self) -> BTreeMap<String, Desired> {
        if self.view {
            return BTreeMap::new();
        }
        let section = self.section.iter();
        section
            .map(|(resource, wanted)| {
                (
                    resource.clone(),
                    Desired::ours(Value::Object(wanted.clone())),
                )
            })
            .collect()
    }

    fn observe(&self) -> Result<BTreeMap<String, Observed>, PluginError> {
        match self.view {
            true => self.look_around(),
            false if self.section.is_empty() => {
                // A section of a plugin that cannot be used must not look as if it were kept.
                self.mapping().map(|_| BTreeMap::new())
            }
            false => self.look_at_declared(),
        }
    }

    fn requires(&self, _: &str, _: &Value) -> Vec<Key> {
        Vec::new()
    }

    fn transition(&self, resource: &str, _: &Value, _: &Value) -> Transition {
        let refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        match refusals.get(resource) {
            Some(reason) => Transition::Refuse(reason.clone()),
            None => Transition::Update,
        }
    }

    fn effects(&self, change: &Change) -> Effects {
        let (kind_name, name) = split(&change.resource);
        let disrupts = change
            .after
            .as_object()
            .into_iter()
            .flatten()
            .any(|(property, value)| {
                change.before.get(property) != Some(value)
                    && self.mapping.as_ref().is_ok_and(|mapping| {
                        mapping
                            .write(kind_name, property)
                            .is_some_and(|write| write.disrupts_link)
                    })
            });
        Effects {
            disrupts: if disrupts {
                vec![name.to_owned()]
            } else {
                Vec::new()
            },
            ..Effects::default()
        }
    }

    fn apply(&self, changes: &[&Change], context: &Context<'_>) -> Result<(), PluginError> {
        for change in changes {
            let changed = self.change(change, context);
            changed.map_err(|error| {
                PluginError::failed(format!("change {}", change.resource), error)
            })?;
        }
        Ok(())
    }

    fn asynchronous(&self) -> bool {
        true
    }
}
