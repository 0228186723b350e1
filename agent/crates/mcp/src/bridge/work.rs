//! What the tools do.

use dbus::mapping::{Problems, decode, encode_at};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use zbus::{ObjectPath, Variant};

use super::catalog::{OBJECT, Operation, not_allowed};
use super::effect::Kind;
use super::page::Shape;
use super::peer::{Callee, failed};
use super::{Bridge, general};
use crate::backend::{Fault, Request};

impl Bridge {
    /// Calls a tool by its name.
    pub(super) async fn work(&self, request: Request<'_>) -> Result<Value, Fault> {
        let cancel = &request.cancel;
        match request.name {
            general::DESCRIBE => self.describe(general::read(request.arguments)?),
            general::OBJECTS => {
                self.objects(general::read(request.arguments)?, cancel, request.listener)
                    .await
            }
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
        let types: Vec<_> = operation
            .gives
            .iter()
            .map(|field| &field.signature)
            .collect();
        let values = self
            .peer
            .call(callee, arguments, &types, &request.cancel)
            .await?;
        let fields = operation.gives.iter().zip(&values).map(|(field, value)| {
            let json = decode(value, self.options.mode);
            (field.name.clone(), json, Shape::Typed(&field.signature))
        });
        self.fit(fields.collect())
    }

    pub(super) fn fit(&self, fields: Vec<(String, Value, Shape<'_>)>) -> Result<Value, Fault> {
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
    pub(super) fn object(&self, path: &str) -> Result<ObjectPath<'static>, Fault> {
        let valid = ObjectPath::try_from(path.to_owned()).map_err(|_| {
            Fault::Invalid(format!(
                "/{OBJECT}: `{}` is not an object path",
                path.escape_debug().take(100).collect::<String>()
            ))
        })?;
        let root = self.options.root.as_str();
        let below = path.strip_prefix(root);
        let inside =
            root == "/" || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        match inside {
            true => Ok(valid),
            false => Err(Fault::Refused(format!(
                "{path} is not at or below {root}, where this bridge is bound to"
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
            Some(value) => {
                encoded.extend(encode_at(&path, &field.signature, &value, &mut problems))
            }
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
pub(super) fn plan(
    path: &ObjectPath<'_>,
    interface: &str,
    member: &str,
    arguments: &Value,
) -> Value {
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
