//! A first mapping from what a service says of itself, for a person to review: nothing in it is declared safe.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use dbus::Bus;
use declaration::PluginName;
use introspect::dbus::{Direction, Interface, Limits, Method, Tree, WalkError, walk};
use zbus::{ObjectPath, names::BusName};

use super::digest::digest;
use super::format::{
    BusKind, CallEntry, Capability, ListEntry, MappingFile, PluginFile, ResourceEntry, TypeText,
    WriteEntry,
};
use super::store::Files;

/// Objects that are looked at.
const MOST_OBJECTS: usize = 500;
/// Kinds of resources that one mapping gets.
const MOST_KINDS: usize = 100;

/// Files that nobody has reviewed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generated {
    /// The plugin's name.
    pub name: PluginName,
    /// The two files.
    pub files: Files,
    /// What a person should know who reviews them.
    pub notes: Vec<String>,
}

/// Why there is no mapping.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The name is none of a service.
    #[error("`{0}` is not the name of a service on the bus, such as org.freedesktop.hostname1")]
    NotAName(String),
    /// No bus, or no service there.
    #[error("{0}")]
    Away(#[from] WalkError),
    /// There is no bus.
    #[error("{0}")]
    Bus(#[from] dbus::Error),
    /// It has nothing to show.
    #[error(
        "{0} has no readable properties of its own, so there is nothing that a plugin could show"
    )]
    Nothing(String),
    /// The files could not be written as text.
    #[error("write the files: {0}")]
    Text(#[from] toml::ser::Error),
    /// No name for a plugin follows from that of the service.
    #[error("no name for a plugin follows from `{0}`: choose one with --name")]
    NoName(String),
}

/// Asks a service on the system bus for its objects, and makes the two files from what it says. Starts nobody.
pub fn generate(
    service: &str,
    name: Option<PluginName>,
    go_on: &(dyn Fn(usize, usize) -> bool + Sync),
) -> Result<Generated, GenerateError> {
    let not_a_name = || GenerateError::NotAName(service.to_owned());
    let bus_name = BusName::try_from(service).map_err(|_| not_a_name())?;
    if !matches!(bus_name, BusName::WellKnown(_)) {
        return Err(not_a_name());
    }
    let name = match name {
        Some(name) => name,
        None => default_name(service).ok_or_else(|| GenerateError::NoName(service.to_owned()))?,
    };
    let bus = Bus::system()?;
    let limits = Limits {
        objects: MOST_OBJECTS,
        time: Duration::from_secs(30),
        ..Limits::default()
    };
    let root = ObjectPath::from_static_str_unchecked("/");
    let tree = bus.wait(walk(bus.connection(), &bus_name, &root, &limits, go_on))?;
    from_tree(service, name, &tree)
}

/// The name of a plugin for a service: the last part of its name.
fn default_name(service: &str) -> Option<PluginName> {
    let name = service.rsplit('.').next()?.to_lowercase();
    let name = if super::NATIVE.contains(&name.as_str()) {
        format!("{name}-service")
    } else {
        name
    };
    name.parse().ok()
}

/// The two files from a walk.
pub fn from_tree(service: &str, name: PluginName, tree: &Tree) -> Result<Generated, GenerateError> {
    let mut draft = Draft::default();
    draft.notes.extend(
        tree.truncated
            .iter()
            .map(|cut| format!("Not all was seen: {}.", cut.text)),
    );
    let groups = groups(tree);
    for ((pattern, _), interface) in groups.iter().take(MOST_KINDS) {
        draft.kind(tree, pattern, interface);
    }
    if groups.len() > MOST_KINDS {
        draft.notes.push(format!(
            "{} kinds of objects were left out.",
            groups.len() - MOST_KINDS
        ));
    }
    if draft.file.resources.is_empty() {
        return Err(GenerateError::Nothing(service.to_owned()));
    }
    let can_write = !draft.file.writes.is_empty();
    let plugin = PluginFile {
        name: name.to_string(),
        version: "0.1.0".to_owned(),
        description: String::new(),
        introspection_path: service.to_owned(),
        pattern: None,
        bus: BusKind::System,
        capabilities: match can_write {
            true => vec![Capability::Read, Capability::Write],
            false => vec![Capability::Read],
        },
        requires_root: false,
        enabled: false,
    };
    let files = Files {
        plugin: format!("{PLUGIN_HEADER}{}", toml::to_string_pretty(&plugin)?),
        mapping: format!("{MAPPING_HEADER}{}", toml::to_string_pretty(&draft.file)?),
    };
    Ok(Generated {
        name,
        files,
        notes: draft.notes,
    })
}

const PLUGIN_HEADER: &str = "# Made from what the service says of itself. Review both files, then `op-dbus plugin enable`.\n\n";

const MAPPING_HEADER: &str = "\
# Made from what the service says of itself, for a person to review:
# - Take out the resources, properties and writes that nobody needs.
# - A write that harms nobody, and that setting back undoes, gets `safe = true`, `reviewed_by` and `reviewed_at`.
#   Every other one has to go: a plugin with a write that is not declared safe is not enabled.
# - The digests say which interfaces were reviewed. Nothing is written to one that has changed.

";

/// What every object has, and what tells nothing of the service.
fn is_standard(interface: &str) -> bool {
    matches!(
        interface,
        "org.freedesktop.DBus.Introspectable"
            | "org.freedesktop.DBus.Peer"
            | "org.freedesktop.DBus.Properties"
            | "org.freedesktop.DBus.ObjectManager"
    )
}

/// Whether a property may hold what nobody should see.
fn looks_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    [
        "password",
        "passphrase",
        "secret",
        "psk",
        "token",
        "privatekey",
        "credential",
    ]
    .iter()
    .any(|word| name.contains(word))
}

/// Interfaces with something to show, by where their objects are.
fn groups(tree: &Tree) -> BTreeMap<(String, String), Arc<Interface>> {
    let mut places: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for object in &tree.objects {
        let (parent, last) = object.path.rsplit_once('/').unwrap_or_default();
        for interface in &object.interfaces {
            places
                .entry((parent, interface.name.as_str()))
                .or_default()
                .insert(last);
        }
    }
    let mut groups = BTreeMap::new();
    for object in &tree.objects {
        let (parent, last) = object.path.rsplit_once('/').unwrap_or_default();
        for interface in &object.interfaces {
            let name = interface.name.as_str();
            if is_standard(name)
                || !interface
                    .properties
                    .iter()
                    .any(|property| property.access.reads())
            {
                continue;
            }
            let siblings = places.get(&(parent, name)).map_or(0, BTreeSet::len);
            let numbered = last.bytes().all(|byte| byte.is_ascii_digit()) && !last.is_empty();
            let pattern = match siblings > 1
                || numbered
                || list(tree, &format!("{parent}/*"), interface).is_some()
            {
                true => format!("{parent}/*"),
                false => object.path.clone(),
            };
            groups
                .entry((pattern, name.to_owned()))
                .or_insert_with(|| Arc::clone(interface));
        }
    }
    groups
}

#[derive(Default)]
struct Draft {
    file: MappingFile,
    names: BTreeSet<String>,
    notes: Vec<String>,
}

impl Draft {
    fn kind(&mut self, tree: &Tree, pattern: &str, interface: &Interface) {
        let mut properties = BTreeMap::new();
        for property in interface
            .properties
            .iter()
            .filter(|property| property.access.reads())
        {
            let name = property.name.to_string();
            if looks_secret(&name) {
                self.notes.push(format!(
                    "{}.{name} may hold a secret and was left out.",
                    interface.name
                ));
            } else if !dbus::mapping::has_descriptor(&property.signature) {
                properties.insert(name, TypeText(property.signature.to_string()));
            }
        }
        if properties.is_empty() {
            return;
        }
        let kind_name = self.name(pattern, interface);
        let wild = pattern.ends_with("/*");
        let identity = ["Interface", "Name", "Id", "Uuid"]
            .into_iter()
            .find(|name| wild && properties.get(*name).is_some_and(|text| text.0 == "s"));
        for property in interface
            .properties
            .iter()
            .filter(|property| properties.contains_key(property.name.as_str()))
        {
            let setter = interface
                .methods
                .iter()
                .find_map(|method| setter(method, property));
            if Some(property.name.as_str()) == identity
                || (setter.is_none() && !property.access.writes())
            {
                continue;
            }
            self.file
                .interfaces
                .entry(interface.name.to_string())
                .or_insert_with(|| vec![digest(interface)]);
            self.file.writes.push(WriteEntry {
                resource: kind_name.clone(),
                property: property.name.to_string(),
                safe: false,
                reviewed_by: None,
                reviewed_at: None,
                disrupts_link: false,
                call: setter.filter(|_| !property.access.writes()),
                inverse: None,
            });
        }
        self.file.resources.push(ResourceEntry {
            name: kind_name,
            interface: interface.name.to_string(),
            path: pattern.to_owned(),
            identity: identity.map(str::to_owned),
            list: if wild {
                list(tree, pattern, interface)
            } else {
                None
            },
            properties,
        });
    }

    /// A name that no other kind has: the last part of the interface's, with the place before it if need be.
    fn name(&mut self, pattern: &str, interface: &Interface) -> String {
        let plain = |text: &str| -> String {
            let kept = text
                .chars()
                .filter(|c| c.is_ascii_alphanumeric() || "_-".contains(*c));
            kept.collect::<String>().to_lowercase()
        };
        let last = plain(interface.name.rsplit('.').next().unwrap_or_default());
        let last = match last.starts_with(|first: char| first.is_ascii_lowercase()) {
            true => last,
            false => format!("x{last}"),
        };
        let place = plain(
            pattern
                .trim_end_matches("/*")
                .rsplit('/')
                .next()
                .unwrap_or_default(),
        );
        let longer = format!("{last}-{place}");
        let numbered = (2..).map(|number| format!("{longer}-{number}"));
        let mut candidates = [last.clone(), longer.clone()].into_iter().chain(numbered);
        let free = candidates
            .find(|name| !self.names.contains(name))
            .unwrap_or(last);
        let name: String = free.chars().take(63).collect();
        self.names.insert(name.clone());
        name
    }
}

/// The call of a method that sets a property: `SetStaticHostname(s, b)` for `StaticHostname`. Flags behind the value
/// are off: by custom they ask for a person's consent, and there is none to ask.
fn setter(method: &Method, property: &introspect::dbus::Property) -> Option<CallEntry> {
    let name = method.name.as_str();
    let of = name
        .strip_prefix("Set")
        .or_else(|| name.strip_prefix("Save"))?;
    let types: Vec<_> = method
        .args(Direction::In)
        .map(|arg| arg.signature.to_string())
        .collect();
    let (first, flags) = types.split_first()?;
    let fits = of == property.name.as_str() && *first == property.signature.to_string();
    if !fits || !flags.iter().all(|flag| flag == "b") || method.is_deprecated() {
        return None;
    }
    let value = serde_json::Value::from("$value");
    Some(CallEntry {
        path: None,
        interface: None,
        method: name.to_owned(),
        signature: types.concat(),
        arguments: [value]
            .into_iter()
            .chain(flags.iter().map(|_| false.into()))
            .collect(),
    })
}

/// The method that lists the objects of a place by its name: `GetDevices` or `ListDevices` for `…/Devices/*`.
fn list(tree: &Tree, pattern: &str, interface: &Interface) -> Option<ListEntry> {
    let place = pattern
        .trim_end_matches("/*")
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_lowercase();
    let kind = interface
        .name
        .rsplit('.')
        .next()
        .unwrap_or_default()
        .to_lowercase();
    let wanted: BTreeSet<_> = ["get", "list"]
        .into_iter()
        .flat_map(|verb| {
            [
                format!("{verb}{place}"),
                format!("{verb}{place}s"),
                format!("{verb}{kind}s"),
            ]
        })
        .collect();
    let above = tree
        .objects
        .iter()
        .filter(|object| pattern.starts_with(object.path.trim_end_matches('/')));
    let above = above.flat_map(|object| {
        object
            .interfaces
            .iter()
            .map(move |interface| (object, interface))
    });
    let mut methods = above.flat_map(|(object, interface)| {
        interface
            .methods
            .iter()
            .map(move |method| (object, interface, method))
    });
    let (object, interface, method) = methods.find(|(_, _, method)| {
        let given: Vec<_> = method
            .args(Direction::Out)
            .map(|arg| arg.signature.to_string())
            .collect();
        let takes_nothing = method.args(Direction::In).next().is_none();
        takes_nothing && given == ["ao"] && wanted.contains(&method.name.as_str().to_lowercase())
    })?;
    Some(ListEntry {
        path: object.path.clone(),
        interface: interface.name.to_string(),
        method: method.name.to_string(),
        columns: Vec::new(),
    })
}
