//! From where a tool is told to look, to what is there.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dbus::{Bus, Peer};
use declaration::ContainerName;
use inspector::container::{self, Directory, Files, TarFiles};
use inspector::{Budget, Format, Inspection, Limits, Place, Source, masked};
use serde_json::{Map, Value};

use super::fetch::Fetcher;
use crate::builtin::file::reach::Reach;
use crate::builtin::file::secret;
use crate::call::Call;
use crate::caller::Role;
use crate::error::ToolError;

/// The bus itself, which is always there.
const BUS: Peer<'static> = Peer {
    name: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
};

/// Looks at what is there, if the caller may.
pub(super) fn gather(call: &Call<'_>, text: &str) -> Result<Inspection, ToolError> {
    call.check()?;
    let limits = Limits::default();
    match text.parse().map_err(of_inspector)? {
        Place::File(path) => file(call, &path, &limits),
        Place::Oci(path) => oci(call, &path, &limits),
        Place::Stdin => Err(ToolError::Invalid(
            "a tool has no standard input: name a file, or use `op-dbus inspect -`".to_owned(),
        )),
        Place::Url(url) => {
            operator(call, "fetch URLs")?;
            let allowed = call.site.access().inspect.urls;
            let bytes = Fetcher::new(&allowed, limits.bytes).fetch(call, &url)?;
            let name = url.split(['?', '#']).next().unwrap_or_default();
            inspector::inspect(&Source::new(name, bytes), &limits).map_err(of_inspector)
        }
        Place::Dbus {
            name,
            path,
            interface,
        } => {
            operator(call, "read properties with the rights of the daemon")?;
            let value = properties(call, &name, &path, interface.as_deref(), &limits)?;
            Ok(Inspection::of_value(text, Format::DbusObject, value))
        }
        Place::Lxc(name) => {
            operator(call, "look into containers")?;
            let value = lxc(call, &name, &limits)?;
            Ok(Inspection::of_value(text, Format::LxcContainer, value))
        }
    }
}

/// An error of the inspector as a door tells it.
pub(super) fn of_inspector(error: inspector::Error) -> ToolError {
    use inspector::Error;
    match error {
        Error::Schema(_) => ToolError::Invalid(error.to_string()),
        Error::Syntax {
            format: "source", ..
        } => ToolError::Invalid(error.to_string()),
        Error::TimedOut(_) => ToolError::TimedOut,
        other => ToolError::Failed(other.to_string()),
    }
}

fn operator(call: &Call<'_>, what: &str) -> Result<(), ToolError> {
    match call.caller.role {
        Some(role) if role >= Role::Operator => Ok(()),
        _ => Err(ToolError::Refused(format!(
            "it takes the role operator to {what}: a viewer sees the files that every user may read"
        ))),
    }
}

fn file(call: &Call<'_>, path: &Path, limits: &Limits) -> Result<Inspection, ToolError> {
    let opened = Reach::reading(call).open(path)?;
    if opened.is_directory() {
        return Err(ToolError::Invalid(format!(
            "{} is a directory: write oci:{} if it is the layout of an image",
            path.display(),
            path.display()
        )));
    }
    let name = path.to_string_lossy();
    let source = Source::stream(&name, File::from(opened.fd), limits).map_err(of_inspector)?;
    if secret::has_private_key(&source.bytes) {
        return Err(secret::refused(path));
    }
    inspector::inspect(&source, limits).map_err(of_inspector)
}

fn oci(call: &Call<'_>, path: &Path, limits: &Limits) -> Result<Inspection, ToolError> {
    let opened = Reach::reading(call).open(path)?;
    let value = match opened.is_directory() {
        true => {
            let files = Reached {
                call,
                directory: path.to_owned(),
            };
            container::image(&files, limits)
        }
        false => TarFiles::new(File::from(opened.fd), &Budget::new(*limits))
            .and_then(|files| container::image(&files, limits)),
    };
    let name = format!("oci:{}", path.display());
    Ok(Inspection::of_value(
        name,
        Format::OciImage,
        value.map_err(of_inspector)?,
    ))
}

/// Files below a directory, each within the caller's reach.
struct Reached<'c> {
    call: &'c Call<'c>,
    directory: PathBuf,
}

impl Files for Reached<'_> {
    fn read(&self, path: &str, most: usize) -> Result<Option<Vec<u8>>, inspector::Error> {
        let whole = self.directory.join(path);
        let opened = match Reach::reading(self.call).open(&whole) {
            Ok(opened) if opened.is_directory() => return Ok(None),
            Ok(opened) => opened,
            Err(ToolError::NotFound(_)) => return Ok(None),
            Err(error) => {
                return Err(inspector::Error::Unreadable {
                    path: path.to_owned(),
                    reason: error.to_string(),
                });
            }
        };
        let limits = Limits {
            bytes: most,
            ..Limits::default()
        };
        Budget::new(limits).read(File::from(opened.fd)).map(Some)
    }
}

fn lxc(call: &Call<'_>, name: &str, limits: &Limits) -> Result<Value, ToolError> {
    let name: ContainerName = name
        .parse()
        .map_err(|error: declaration::NameError| ToolError::Invalid(error.to_string()))?;
    let containers = call.site.paths()?.base.join("@containers");
    let containers = Directory::open(&containers).map_err(of_inspector)?;
    let directory = containers.below(name.as_str()).map_err(of_inspector)?;
    let directory = directory.ok_or_else(|| {
        ToolError::NotFound(format!(
            "there is no container `{name}`: `op-dbus container list` shows those there are"
        ))
    })?;
    container::lxc(&directory, limits).map_err(of_inspector)
}

/// The properties of an object by interface, without those that sound secret. Nothing is started: only who has the name
/// already is asked, by the unique name. The bounds are for all interfaces together.
fn properties(
    call: &Call<'_>,
    name: &str,
    path: &str,
    interface: Option<&str>,
    limits: &Limits,
) -> Result<Value, ToolError> {
    let mut budget = Budget::new(*limits);
    let bus = Bus::system()?;
    let owned: bool = bus.call(BUS, "NameHasOwner", &(name,))?;
    if !owned {
        return Err(ToolError::NotFound(format!(
            "nobody has the name {name} on the system bus now, and nothing is started to read it"
        )));
    }
    let owner: String = bus.call(BUS, "GetNameOwner", &(name,))?;
    let peer = Peer {
        name: &owner,
        path,
        interface: interface.unwrap_or_default(),
    };
    let interfaces = match interface {
        Some(interface) => vec![interface.to_owned()],
        None => interfaces(&bus, peer, budget.left().map_err(of_inspector)?, limits)?,
    };
    let mut all = Map::new();
    for interface in &interfaces {
        call.check()?;
        let left = budget.left().map_err(of_inspector)?;
        let found = bus.properties_within(left, Peer { interface, ..peer })?;
        let found = found
            .iter()
            .map(|(key, value)| (key.clone(), dbus::json(value)));
        let mut found = found.collect::<Vec<_>>();
        found.sort_by(|one, other| one.0.cmp(&other.0));
        let found = Value::Object(found.into_iter().collect());
        budget.take_all(&found).map_err(of_inspector)?;
        all.insert(interface.clone(), found);
    }
    Ok(masked(Value::Object(all)))
}

/// The interfaces of an object that have properties, as it describes itself.
fn interfaces(
    bus: &Bus,
    peer: Peer<'_>,
    left: Duration,
    limits: &Limits,
) -> Result<Vec<String>, ToolError> {
    const MOST: usize = 64;
    let introspectable = Peer {
        interface: "org.freedesktop.DBus.Introspectable",
        ..peer
    };
    let xml: String = bus.call_within(left, introspectable, "Introspect", &())?;
    let node = inspector::parse::xml(&xml, &mut Budget::new(*limits)).map_err(of_inspector)?;
    let list = node["node"]["interface"].as_array().into_iter().flatten();
    let with_properties = list.filter(|interface| !interface["property"].is_null());
    let names = with_properties.filter_map(|interface| interface["@name"].as_str());
    Ok(names.take(MOST).map(str::to_owned).collect())
}
