//! What the general tools for properties do.

use dbus::mapping::{Problems, decode, encode_at};
use introspect::dbus::{Limits, Property, walk};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;
use tools::json_size;
use zbus::{ObjectPath, Signature, Variant};

use super::catalog::not_allowed;
use super::page::Shape;
use super::peer::Callee;
use super::work::plan;
use super::{Bridge, general, limits};
use crate::backend::{Fault, Request};

const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
/// Interfaces of an object that one call asks for.
const MOST_INTERFACES: usize = 64;
/// The JSON that one call collects, in bytes; what comes last may go beyond by one answer.
const MOST_BYTES: usize = 16 << 20;

impl Bridge {
    pub(super) async fn get(
        &self,
        asked: general::Get,
        cancel: &CancellationToken,
    ) -> Result<Value, Fault> {
        let path = self.object(&asked.object_path)?;
        let interfaces = match &asked.interface {
            Some(interface) => vec![interface.clone()],
            None if !asked.names.is_empty() => {
                let text = "/interface: it is missing; `names` are of one interface".to_owned();
                return Err(Fault::Invalid(text));
            }
            None => self.interfaces_with_properties(&path).await?,
        };
        let mut all = Map::new();
        let mut left_out = None;
        let mut bytes = 0;
        for (at, interface) in interfaces.iter().enumerate() {
            if at >= MOST_INTERFACES || bytes >= MOST_BYTES {
                let (left, of) = (interfaces.len() - at, interfaces.len());
                let text = format!(
                    "{left} of {of} interfaces, from {interface} on: ask for each by `interface`"
                );
                left_out = Some(text);
                break;
            }
            let properties = match asked.names.as_slice() {
                [] => self.all_properties(&path, interface, cancel).await?,
                names => {
                    let some = self.some_properties(&path, interface, names, cancel);
                    let (some, left) = some.await?;
                    left_out = left;
                    some.into()
                }
            };
            bytes += json_size(&properties);
            all.insert(interface.clone(), properties);
        }
        let mut fields = vec![("properties".to_owned(), all.into(), Shape::Free)];
        fields.extend(left_out.map(|text| ("left_out".to_owned(), json!([text]), Shape::Free)));
        self.fit(fields)
    }

    /// Properties by their names, and what was left out.
    async fn some_properties(
        &self,
        path: &ObjectPath<'_>,
        interface: &str,
        names: &[String],
        cancel: &CancellationToken,
    ) -> Result<(Map<String, Value>, Option<String>), Fault> {
        let mut some = Map::new();
        let mut bytes = 0;
        for (at, name) in names.iter().enumerate() {
            if bytes >= MOST_BYTES {
                let text = format!(
                    "{} of {} properties, from {name} on",
                    names.len() - at,
                    names.len()
                );
                return Ok((some, Some(text)));
            }
            let value = self.property(path, interface, name, cancel).await?;
            bytes += json_size(&value);
            some.insert(name.clone(), value);
        }
        Ok((some, None))
    }

    /// The interfaces of an object that have properties, as it says now.
    async fn interfaces_with_properties(
        &self,
        path: &ObjectPath<'_>,
    ) -> Result<Vec<String>, Fault> {
        let limits = Limits {
            objects: 1,
            depth: 0,
            ..limits(&self.options)
        };
        let service = &self.options.service;
        let tree = walk(&self.peer.connection, service, path, &limits, &|_, _| true)
            .await
            .map_err(|error| Fault::Unavailable(error.to_string()))?;
        let Some(object) = tree
            .objects
            .first()
            .filter(|object| !object.interfaces.is_empty())
        else {
            let why = tree
                .faults
                .first()
                .map_or("it shows no interfaces", |fault| fault.text.as_str());
            return Err(Fault::NotFound(format!("{path}: {why}")));
        };
        let with = object
            .interfaces
            .iter()
            .filter(|one| !one.properties.is_empty());
        Ok(with.map(|one| one.name.to_string()).collect())
    }

    async fn all_properties(
        &self,
        path: &ObjectPath<'_>,
        interface: &str,
        cancel: &CancellationToken,
    ) -> Result<Value, Fault> {
        let callee = Callee {
            path,
            interface: PROPERTIES,
            member: "GetAll",
        };
        let gives = Signature::dict(Signature::Str, Signature::Variant);
        let arguments = vec![Variant::from(interface.to_owned())];
        let values = self.peer.call(callee, arguments, &[&gives], cancel).await?;
        Ok(values
            .first()
            .map_or_else(|| json!({}), |value| decode(value, self.options.mode)))
    }

    async fn property(
        &self,
        path: &ObjectPath<'_>,
        interface: &str,
        name: &str,
        cancel: &CancellationToken,
    ) -> Result<Value, Fault> {
        let callee = Callee {
            path,
            interface: PROPERTIES,
            member: "Get",
        };
        let arguments = vec![
            Variant::from(interface.to_owned()),
            Variant::from(name.to_owned()),
        ];
        let gives = [&Signature::Variant];
        let values = self.peer.call(callee, arguments, &gives, cancel).await?;
        Ok(values
            .first()
            .map_or(Value::Null, |value| decode(value, self.options.mode)))
    }

    pub(super) async fn set(&self, request: Request<'_>) -> Result<Value, Fault> {
        let given = Value::Object(request.arguments.clone());
        let asked: general::Set = general::read(request.arguments)?;
        let general::Set {
            interface,
            property,
            ..
        } = &asked;
        if !self.options.allow.allows(interface, property) {
            return Err(Fault::Refused(not_allowed(interface, property)));
        }
        let path = self.object(&asked.object_path)?;
        let signature = &self.settable(interface, property)?.signature;
        let mut problems = Vec::new();
        let value = encode_at("/value", signature, &asked.value, &mut problems);
        let (Some(value), true) = (value, problems.is_empty()) else {
            return Err(Fault::Invalid(Problems(problems).to_string()));
        };
        if request.dry_run {
            return Ok(plan(&path, interface, property, &given));
        }
        let callee = Callee {
            path: &path,
            interface: PROPERTIES,
            member: "Set",
        };
        let arguments = vec![
            Variant::from(interface.clone()),
            Variant::from(property.clone()),
            Variant::Variant(Box::new(value)),
        ];
        self.peer
            .call(callee, arguments, &[], &request.cancel)
            .await?;
        Ok(json!({}))
    }

    fn settable(&self, interface: &str, property: &str) -> Result<&Property, Fault> {
        let known = self.known(interface)?;
        let mut properties = known.definition.properties.iter();
        match properties.find(|one| one.name.as_str() == property) {
            Some(found) if found.access.writes() => Ok(found),
            Some(_) => Err(Fault::Invalid(format!(
                "/property: {property} can only be read"
            ))),
            None => Err(Fault::NotFound(format!(
                "{interface} has no property {property}; `describe` lists those it has"
            ))),
        }
    }
}
