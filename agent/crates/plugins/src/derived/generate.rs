//! A first mapping from what a service says of itself, for a person to review: nothing in it is declared safe.

mod lists;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use dbus::Bus;
use declaration::PluginName;
use introspect::dbus::{Direction, Interface, Limits, Method, Tree, WalkError, walk};
use zbus::{ObjectPath, names::BusName};

use super::checker::holds_variant;
use super::digest::digest;
use super::format::{
    BusKind, CallEntry, Capability, MappingFile, PluginFile, ResourceEntry, TypeText, WriteEntry,
};
use super::store::Files;
use lists::Lists;

/// Objects that are looked at.
const MOST_OBJECTS: usize = 500;
/// Interfaces of one object that are looked at.
const MOST_INTERFACES: usize = 100;
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
    /// Whoever asked does not want it any more.
    #[error("stopped on request")]
    Stopped,
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
    from_tree(service, name, &tree, go_on)
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

/// The two files from a walk. `go_on` is asked before each object, as the walk asks it.
pub fn from_tree(
    service: &str,
    name: PluginName,
    tree: &Tree,
    go_on: &(dyn Fn(usize, usize) -> bool + Sync),
) -> Result<Generated, GenerateError> {
    let mut draft = Draft::default();
    draft.notes.extend(
        tree.truncated
            .iter()
            .map(|cut| format!("Not all was seen: {}.", cut.text)),
    );
    let most = tree
        .objects
        .iter()
        .map(|object| object.interfaces.len())
        .max();
    if most.is_some_and(|most| most > MOST_INTERFACES) {
        draft.notes.push(format!(
            "Of each object, {MOST_INTERFACES} interfaces were looked at."
        ));
    }
    let lists = Lists::of(tree, go_on)?;
    let groups = groups(tree, &lists, go_on)?;
    for ((pattern, _), interface) in groups.iter().take(MOST_KINDS) {
        if !go_on(tree.objects.len(), tree.objects.len()) {
            return Err(GenerateError::Stopped);
        }
        draft.kind(&lists, pattern, interface);
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

type Groups = BTreeMap<(String, String), Arc<Interface>>;

/// Interfaces with something to show, by where their objects are.
fn groups(
    tree: &Tree,
    lists: &Lists<'_>,
    go_on: &(dyn Fn(usize, usize) -> bool + Sync),
) -> Result<Groups, GenerateError> {
    let mut places: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for object in &tree.objects {
        let (parent, last) = object.path.rsplit_once('/').unwrap_or_default();
        for interface in object.interfaces.iter().take(MOST_INTERFACES) {
            places
                .entry((parent, interface.name.as_str()))
                .or_default()
                .insert(last);
        }
    }
    let mut groups = BTreeMap::new();
    for (done, object) in tree.objects.iter().enumerate() {
        if !go_on(tree.objects.len(), done) {
            return Err(GenerateError::Stopped);
        }
        let (parent, last) = object.path.rsplit_once('/').unwrap_or_default();
        for interface in object.interfaces.iter().take(MOST_INTERFACES) {
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
                || lists.find(&format!("{parent}/*"), interface).is_some()
            {
                true => format!("{parent}/*"),
                false => object.path.clone(),
            };
            groups
                .entry((pattern, name.to_owned()))
                .or_insert_with(|| Arc::clone(interface));
        }
    }
    Ok(groups)
}

#[derive(Default)]
struct Draft {
    file: MappingFile,
    names: BTreeSet<String>,
    notes: Vec<String>,
}

impl Draft {
    fn kind(&mut self, lists: &Lists<'_>, pattern: &str, interface: &Interface) {
        let mut properties = BTreeMap::new();
        for property in interface
            .properties
            .iter()
            .filter(|property| property.access.reads())
        {
            let name = property.name.to_string();
            if secret_names::is_secret(&name) {
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
        let methods: BTreeMap<_, _> = interface
            .methods
            .iter()
            .map(|method| (method.name.as_str(), method))
            .collect();
        for property in interface.properties.iter().filter(|property| {
            // Plain JSON does not say the type of what is in a variant.
            properties.contains_key(property.name.as_str()) && !holds_variant(&property.signature)
        }) {
            let setter = ["Set", "Save"].into_iter().find_map(|verb| {
                let method = methods.get(format!("{verb}{}", property.name).as_str())?;
                setter(method, property)
            });
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
                lists.find(pattern, interface)
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
    let types: Vec<_> = method
        .args(Direction::In)
        .map(|arg| arg.signature.to_string())
        .collect();
    let (first, flags) = types.split_first()?;
    let fits = *first == property.signature.to_string();
    if !fits || !flags.iter().all(|flag| flag == "b") || method.is_deprecated() {
        return None;
    }
    let value = serde_json::Value::from("$value");
    Some(CallEntry {
        path: None,
        interface: None,
        method: method.name.to_string(),
        signature: types.concat(),
        arguments: [value]
            .into_iter()
            .chain(flags.iter().map(|_| false.into()))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use introspect::dbus::{Object, xml};

    use super::*;

    fn tree(objects: &[(&str, &str)]) -> Tree {
        let objects = objects.iter().map(|(path, text)| {
            let text = format!("<node>{text}</node>");
            let parsed = xml::parse(&text, &xml::Limits::default()).unwrap();
            let interfaces = parsed.node.interfaces.into_iter().map(Arc::new).collect();
            let path = (*path).to_owned();
            Object { path, interfaces }
        });
        Tree {
            service: "org.example".to_owned(),
            owner: ":1.1".to_owned(),
            root: "/".to_owned(),
            objects: objects.collect(),
            truncated: Vec::new(),
            faults: Vec::new(),
        }
    }

    const THING: &str = "<interface name='org.example.Thing'>
        <property name='Loose' type='a{sv}' access='readwrite'/><property name='Odd' type='v' access='readwrite'/>
        <property name='Firm' type='u' access='readwrite'/></interface>";

    const ROOT: &str = "<interface name='org.example'>
        <method name='ListThings'><arg type='ao' direction='out'/></method></interface>";

    #[test]
    fn what_holds_a_variant_is_shown_and_gets_no_write() {
        let name = "thing".parse().unwrap();
        let tree = tree(&[("/", ROOT), ("/things/a", THING)]);
        let made = from_tree("org.example", name, &tree, &|_, _| true).unwrap();
        let text = &made.files.mapping;
        assert_eq!(text.matches("[[write]]").count(), 1, "{text}");
        assert!(text.contains("property = \"Firm\"") && text.contains("Loose = \"a{sv}\""));
        assert!(text.contains("method = \"ListThings\""), "{text}");
    }

    #[test]
    fn it_stops_between_objects() {
        let tree = tree(&[("/a", THING), ("/b", THING), ("/c", THING)]);
        let asked = AtomicUsize::new(0);
        // The first three are for the methods; then the objects are gone through once more.
        let go_on = |_, _| asked.fetch_add(1, Ordering::SeqCst) < 4;
        let made = from_tree("org.example", "thing".parse().unwrap(), &tree, &go_on);
        assert!(matches!(made, Err(GenerateError::Stopped)), "{made:?}");
        assert_eq!(asked.load(Ordering::SeqCst), 5);
    }

    #[test]
    fn of_an_object_with_very_many_interfaces_some_are_looked_at() {
        let one = |n: usize| {
            format!(
                "<interface name='org.example.T{n}'><property name='A' type='u' access='read'/></interface>"
            )
        };
        let text: String = (0..MOST_INTERFACES + 50).map(one).collect();
        let tree = tree(&[("/a", &text)]);
        let made = from_tree("org.example", "thing".parse().unwrap(), &tree, &|_, _| true).unwrap();
        assert_eq!(
            made.files.mapping.matches("[[resource]]").count(),
            MOST_INTERFACES
        );
        assert!(
            made.notes
                .iter()
                .any(|note| note.contains("interfaces were looked at"))
        );
    }
}
