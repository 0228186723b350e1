//! Calls that a scan makes: none starts anybody, none waits for ever, and no answer is taken in whole that is larger
//! than anybody needs.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use zbus::proxy::{CacheProperties, MethodFlags};
use zbus::wire::{DynamicDeserialize, DynamicType, Type};
use zbus::{Connection, OwnedObjectPath, Proxy, Signature};

/// The longest introspection XML that is copied out of a message, whatever the limits say, in bytes.
const LONGEST_XML: usize = 16 << 20;

/// How many objects are taken in of one object manager.
const MOST_MANAGED: usize = 10_000;

/// How many interfaces are taken in of one managed object.
const MOST_INTERFACES: usize = 64;

/// An object that is called, seen through one of its interfaces.
#[derive(Clone, Copy)]
pub(super) struct Object<'a> {
    pub(super) owner: &'a str,
    pub(super) path: &'a str,
    pub(super) interface: &'a str,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("no answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    #[error("it left the bus")]
    Gone,
    #[error("{0}")]
    Refused(String),
    #[error("the bus cannot be reached: {0}")]
    Bus(zbus::Error),
}

/// Calls a method; whoever is not there is not started.
pub(super) async fn call<B, R>(
    connection: &Connection,
    object: Object<'_>,
    method: &str,
    arguments: &B,
    limit: Duration,
) -> Result<R, CallError>
where
    B: serde::Serialize + DynamicType,
    R: for<'d> DynamicDeserialize<'d>,
{
    let call = async {
        let proxy: Proxy<'_> = zbus::proxy::Builder::new(connection)
            .cache_properties(CacheProperties::No)
            .destination(object.owner)
            .path(object.path)
            .interface(object.interface)
            .build()
            .await?;
        proxy
            .call_with_flags(method, MethodFlags::NO_AUTO_START, arguments)
            .await?
            .ok_or(zbus::Error::InvalidReply)
    };
    let answer = tokio::time::timeout(limit, call).await;
    answer.map_err(|_| CallError::TimedOut(limit))?.map_err(Into::into)
}

impl From<zbus::Error> for CallError {
    fn from(error: zbus::Error) -> Self {
        let (name, text) = match &error {
            zbus::Error::MethodError(name, text, _) => (name.to_string(), text.clone()),
            zbus::Error::FDO(standard) => match &**standard {
                zbus::fdo::Error::ZBus(error) => return error.clone().into(),
                error => {
                    use zbus::DBusError;
                    let text = error.description().map(str::to_owned);
                    (error.name().to_string(), text)
                }
            },
            zbus::Error::InputOutput(_) => return Self::Bus(error),
            _ => return Self::Refused(error.to_string()),
        };
        match name.strip_prefix("org.freedesktop.DBus.Error.") {
            Some("ServiceUnknown" | "NameHasNoOwner" | "NoReply" | "Disconnected") => Self::Gone,
            _ => {
                let text = text.unwrap_or_default();
                let text: String = text.chars().take(200).flat_map(char::escape_debug).collect();
                Self::Refused(format!("{text} ({name})").trim_start().to_owned())
            }
        }
    }
}

/// A text that is copied only if it is not too long.
pub(super) enum Xml {
    Text(String),
    TooLong(usize),
}

impl Type for Xml {
    const SIGNATURE: &'static Signature = &Signature::Str;
}

impl<'de> Deserialize<'de> for Xml {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&str>::deserialize(deserializer)?;
        Ok(match text.len() {
            length if length > LONGEST_XML => Self::TooLong(length),
            _ => Self::Text(text.to_owned()),
        })
    }
}

/// The objects of an object manager with the names of their interfaces. Values of properties are skipped where they
/// lie, since a message of them could fill the memory many times over once it is unpacked.
#[derive(Default)]
pub(super) struct Managed {
    pub(super) objects: BTreeMap<String, Vec<String>>,
    /// How many there were beyond those taken in.
    pub(super) left_out: usize,
}

impl Type for Managed {
    const SIGNATURE: &'static Signature = &zbus::signature!("a{oa{sa{sv}}}");
}

impl<'de> Deserialize<'de> for Managed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Objects;
        impl<'de> Visitor<'de> for Objects {
            type Value = Managed;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("objects by path")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Managed, A::Error> {
                let mut managed = Managed::default();
                while let Some((path, Interfaces(names))) =
                    map.next_entry::<OwnedObjectPath, Interfaces>()?
                {
                    match managed.objects.len() < MOST_MANAGED {
                        true => drop(managed.objects.insert(path.to_string(), names)),
                        false => managed.left_out += 1,
                    }
                }
                Ok(managed)
            }
        }
        deserializer.deserialize_map(Objects)
    }
}

/// The names of a managed object's interfaces.
struct Interfaces(Vec<String>);

impl<'de> Deserialize<'de> for Interfaces {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Interfaces;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("interfaces by name")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Interfaces, A::Error> {
                let mut names = Vec::new();
                while let Some((name, IgnoredAny)) = map.next_entry::<&str, IgnoredAny>()? {
                    if names.len() < MOST_INTERFACES && name.len() <= 255 {
                        names.push(name.to_owned());
                    }
                }
                Ok(Interfaces(names))
            }
        }
        deserializer.deserialize_map(Names)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use zbus::{Message, ObjectPath, Variant};

    use super::*;

    #[test]
    fn objects_are_read_past_every_kind_of_value() {
        let values = [
            Variant::from(7_u8),
            Variant::from("text"),
            Variant::from(vec![1_u8, 2, 3]),
            Variant::from(("a", 1_u64, vec![1.5_f64])),
            Variant::from(HashMap::from([("k", Variant::from(vec!["x"]))])),
            Variant::Variant(Box::new(Variant::from(true))),
        ];
        let properties: HashMap<_, _> = values
            .iter()
            .enumerate()
            .map(|(number, value)| (format!("P{number}"), value.try_clone().unwrap()))
            .collect();
        let interfaces = HashMap::from([("a.b", &properties), ("c.d", &properties)]);
        let objects = HashMap::from([
            (ObjectPath::try_from("/a").unwrap(), interfaces),
            (ObjectPath::try_from("/b").unwrap(), HashMap::new()),
        ]);
        let message = Message::method_call("/", "M").build(&(objects,)).unwrap();
        let managed: Managed = message.body().deserialize().unwrap();
        assert_eq!(managed.objects.len(), 2);
        let mut names = managed.objects["/a"].clone();
        names.sort();
        assert_eq!(names, ["a.b", "c.d"]);
    }
}
