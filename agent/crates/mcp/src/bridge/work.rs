//! What the tools do.

use std::time::Duration;

use dbus::mapping::{Problems, decode, encode_at};
use introspect::dbus::{Limits, Property, walk};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use zbus::{ObjectPath, Signature, Variant};

use super::catalog::{Known, OBJECT, Operation, is_covered, not_allowed, words};
use super::effect::Kind;
use super::page::Shape;
use super::peer::{Callee, failed};
use super::signals::{Signals, Wanted, shown};
use super::{Bridge, general, limits};
use crate::backend::{Fault, Request};

const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

impl Bridge {
    /// Calls a tool by its name.
    pub(super) async fn work(&self, request: Request<'_>) -> Result<Value, Fault> {
        let cancel = &request.cancel;
        match request.name {
            general::DESCRIBE => self.describe(general::read(request.arguments)?),
            general::OBJECTS => self.objects(general::read(request.arguments)?).await,
            general::GET => self.get(general::read(request.arguments)?, cancel).await,
            general::WAIT => self.wait(general::read(request.arguments)?, cancel).await,
            general::MORE => {
                let general::More { cursor } = general::read(request.arguments)?;
                self.pages.next(&cursor).ok_or_else(|| {
                    Fault::NotFound(format!(
                        "there is no rest `{cursor}`, or no longer: call the tool again"
                    ))
                })
            }
            general::SET => self.set(request).await,
            name => match self.catalog.operations.get(name) {
                Some(operation) => self.operate(operation, request).await,
                None => Err(Fault::NotFound(format!("there is no tool `{name}`"))),
            },
        }
    }

    /// Calls a method.
    async fn operate(
        &self,
        operation: &Operation,
        mut request: Request<'_>,
    ) -> Result<Value, Fault> {
        let Operation {
            interface, member, ..
        } = operation;
        if operation.kind != Kind::Read && !self.options.allow.allows(interface, member) {
            return Err(Fault::Refused(not_allowed(interface, member)));
        }
        let given = Value::Object(request.arguments.clone());
        let path = self.take_object(&mut request.arguments, interface)?;
        let arguments = encode_all(operation, request.arguments)?;
        if operation.kind != Kind::Read {
            let plan = plan(&path, interface, member, &given);
            if request.dry_run {
                return Ok(plan);
            }
            let hash = plan["plan_hash"].as_str().unwrap_or_default();
            confirmed(operation.kind, interface, member, hash, request.plan)?;
        }
        let callee = Callee {
            path: &path,
            interface,
            member,
        };
        if operation.no_reply {
            self.peer.tell(callee, arguments).await?;
            return Ok(json!({}));
        }
        let types: Vec<_> = operation.gives.iter().map(|field| &field.signature).collect();
        let values = self.peer.call(callee, arguments, &types, &request.cancel).await?;
        let fields = operation.gives.iter().zip(&values).map(|(field, value)| {
            let json = decode(value, self.options.mode);
            (field.name.clone(), json, Shape::Typed(&field.signature))
        });
        self.fit(fields.collect())
    }

    fn fit(&self, fields: Vec<(String, Value, Shape<'_>)>) -> Result<Value, Fault> {
        self.pages.fit(fields).ok_or_else(|| {
            failed(
                "too-large",
                "the answer is larger than clients take, and cannot be cut: ask for a part of it",
            )
        })
    }

    /// The object that is meant, out of the arguments.
    fn take_object(
        &self,
        arguments: &mut Map<String, Value>,
        interface: &str,
    ) -> Result<ObjectPath<'static>, Fault> {
        let known = self.catalog.interfaces.get(interface);
        let objects = known.map_or(&[][..], |known| known.objects.as_slice());
        match (arguments.remove(OBJECT), objects) {
            (Some(Value::String(path)), _) => self.object(&path),
            (None | Some(Value::Null), [one]) => self.object(one),
            (None, _) => Err(Fault::Invalid(format!(
                "/{OBJECT}: it is missing; `objects` lists the objects"
            ))),
            (Some(other), _) => Err(Fault::Invalid(format!(
                "/{OBJECT}: {other} is not an object path"
            ))),
        }
    }

    /// A path that the bridge may reach.
    fn object(&self, path: &str) -> Result<ObjectPath<'static>, Fault> {
        let valid = ObjectPath::try_from(path.to_owned()).map_err(|_| {
            Fault::Invalid(format!(
                "/{OBJECT}: `{}` is not an object path",
                path.escape_debug().take(100).collect::<String>()
            ))
        })?;
        let root = self.options.root.as_str();
        let below = path.strip_prefix(root);
        let inside = root == "/" || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        match inside {
            true => Ok(valid),
            false => Err(Fault::Refused(format!(
                "{path} is not at or below {root}, where this bridge is bound to"
            ))),
        }
    }

    fn describe(&self, asked: general::Describe) -> Result<Value, Fault> {
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
            return self.fit(vec![("interfaces".to_owned(), interfaces.into(), Shape::Free)]);
        };
        let known = self.known(&name)?;
        let tools = self.catalog.operations.iter();
        let methods = tools.filter(|(_, operation)| operation.interface == name);
        let methods: Map<_, _> = methods
            .map(|(tool, operation)| (operation.member.clone(), json!({ "tool": tool })))
            .collect();
        let left_out = known.left_out.iter();
        let left_out: Map<_, _> = left_out.map(|(name, why)| (name.clone(), json!(why))).collect();
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

    fn known(&self, interface: &str) -> Result<&Known, Fault> {
        self.catalog.interfaces.get(interface).ok_or_else(|| {
            Fault::NotFound(format!(
                "the service had no interface {interface} when the bridge started; `describe` lists those it had"
            ))
        })
    }

    async fn objects(&self, asked: general::Objects) -> Result<Value, Fault> {
        let root = match &asked.below {
            Some(path) => self.object(path)?,
            None => self.options.root.as_ref().to_owned(),
        };
        let limits = limits(&self.options);
        let service = &self.options.service;
        let tree = walk(&self.peer.connection, service, &root, &limits, &|_, _| true)
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
            ("objects".to_owned(), Value::Object(objects.collect()), Shape::Free),
            ("left_out".to_owned(), json!(left_out), Shape::Free),
        ])
    }

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
        for interface in interfaces {
            let properties = match asked.names.is_empty() {
                true => self.all_properties(&path, &interface, cancel).await?,
                false => {
                    let mut some = Map::new();
                    for name in &asked.names {
                        let value = self.property(&path, &interface, name, cancel).await?;
                        some.insert(name.clone(), value);
                    }
                    some.into()
                }
            };
            all.insert(interface, properties);
        }
        self.fit(vec![("properties".to_owned(), all.into(), Shape::Free)])
    }

    /// The interfaces of an object that have properties, as it says now.
    async fn interfaces_with_properties(&self, path: &ObjectPath<'_>) -> Result<Vec<String>, Fault> {
        let limits = Limits {
            objects: 1,
            depth: 0,
            ..limits(&self.options)
        };
        let service = &self.options.service;
        let tree = walk(&self.peer.connection, service, path, &limits, &|_, _| true)
            .await
            .map_err(|error| Fault::Unavailable(error.to_string()))?;
        let Some(object) = tree.objects.first().filter(|object| !object.interfaces.is_empty()) else {
            let why = tree.faults.first().map_or("it shows no interfaces", |fault| fault.text.as_str());
            return Err(Fault::NotFound(format!("{path}: {why}")));
        };
        let with = object.interfaces.iter().filter(|one| !one.properties.is_empty());
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
        Ok(values.first().map_or_else(|| json!({}), |value| decode(value, self.options.mode)))
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
        Ok(values.first().map_or(Value::Null, |value| decode(value, self.options.mode)))
    }

    async fn set(&self, request: Request<'_>) -> Result<Value, Fault> {
        let given = Value::Object(request.arguments.clone());
        let asked: general::Set = general::read(request.arguments)?;
        let general::Set {
            interface, property, ..
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
        self.peer.call(callee, arguments, &[], &request.cancel).await?;
        Ok(json!({}))
    }

    fn settable(&self, interface: &str, property: &str) -> Result<&Property, Fault> {
        let known = self.known(interface)?;
        let mut properties = known.definition.properties.iter();
        match properties.find(|one| one.name.as_str() == property) {
            Some(found) if found.access.writes() => Ok(found),
            Some(_) => Err(Fault::Invalid(format!("/property: {property} can only be read"))),
            None => Err(Fault::NotFound(format!(
                "{interface} has no property {property}; `describe` lists those it has"
            ))),
        }
    }

    async fn wait(&self, asked: general::Wait, cancel: &CancellationToken) -> Result<Value, Fault> {
        let path = asked.object_path.as_deref().map(|path| self.object(path));
        let path = path.transpose()?.map(|path| path.to_string());
        let seconds = asked.seconds.unwrap_or(30);
        if !(1..=general::LONGEST_WAIT).contains(&seconds) {
            let most = general::LONGEST_WAIT;
            return Err(Fault::Invalid(format!("/seconds: it must be from 1 to {most}")));
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
                self.fit(answer.into_iter().map(|(name, value)| (name, value, Shape::Free)).collect())
            }
            Ok(None) => Err(Fault::Unavailable("the bus closed the connection".to_owned())),
            Err(_) => Ok(json!({ "received": false })),
        }
    }

    /// What comes with a signal that the service has.
    pub(super) fn signal_args(
        &self,
        wanted: &Wanted,
    ) -> Result<Vec<introspect::dbus::Arg>, Fault> {
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

/// The arguments as values, or everything that is wrong with them.
fn encode_all(
    operation: &Operation,
    mut arguments: Map<String, Value>,
) -> Result<Vec<Variant<'static>>, Fault> {
    let mut problems = Vec::new();
    let mut encoded = Vec::new();
    for field in &operation.takes {
        let path = format!("/{}", field.name);
        match arguments.remove(&field.name) {
            Some(value) => encoded.extend(encode_at(&path, &field.signature, &value, &mut problems)),
            None => problems.push(dbus::mapping::Problem {
                path,
                text: format!("it is missing, a value of D-Bus type {}", field.signature),
            }),
        }
    }
    for name in arguments.keys() {
        problems.push(dbus::mapping::Problem {
            path: format!("/{}", name.escape_debug().take(80).collect::<String>()),
            text: "there is no such argument".to_owned(),
        });
    }
    match problems.is_empty() {
        true => Ok(encoded),
        false => Err(Fault::Invalid(Problems(problems).to_string())),
    }
}

/// What a call would do, with a hash that stands for just that.
fn plan(path: &ObjectPath<'_>, interface: &str, member: &str, arguments: &Value) -> Value {
    let change = json!({
        "verb": "call",
        "resource": format!("{interface}.{member} of {path} with {arguments}"),
    });
    let digest = Sha256::digest(format!("{interface}\n{member}\n{path}\n{arguments}"));
    let hash: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    json!({ "plan_hash": hash, "changes": [change] })
}

/// Whether a person has confirmed what loses something.
fn confirmed(
    kind: Kind,
    interface: &str,
    member: &str,
    hash: &str,
    confirmed: Option<String>,
) -> Result<(), Fault> {
    match confirmed {
        Some(plan) if plan == hash => Ok(()),
        None if kind != Kind::Destroy => Ok(()),
        _ => Err(Fault::Unconfirmed {
            text: format!("{interface}.{member} may lose something for good"),
            plan: hash.to_owned(),
        }),
    }
}
