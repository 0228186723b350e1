//! Names on a bus, and the objects of one service.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use introspect::dbus::{
    Fault, Interface, Limits, Name, Scanner, Scanners, Tree, Truncation, WalkError, Which,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use zbus::ObjectPath;
use zbus::names::BusName;

use crate::call::Call;
use crate::caller::Door;
use crate::error::ToolError;
use crate::page::{Page, page};
use crate::tool::{Domain, Tool};

#[derive(Deserialize, JsonSchema)]
struct Wanted {
    /// The bus: `system`, or `session` where the command line works in its own process.
    #[serde(default)]
    bus: Which,
    /// Connections that have no name of their own, too.
    #[serde(default)]
    unnamed: bool,
    #[serde(flatten)]
    page: Page,
}

#[derive(Serialize, JsonSchema)]
struct NameList {
    /// The bus.
    bus: Which,
    /// The names, in order.
    names: Vec<Name>,
    /// How many there are beyond those that were looked at.
    left_out: usize,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct Service {
    /// The bus: `system`, or `session` where the command line works in its own process.
    #[serde(default)]
    bus: Which,
    /// The service's name, such as `org.freedesktop.systemd1`. It is not started.
    #[schemars(length(min = 1, max = 255))]
    service: String,
    /// The object where to begin; `/` if it is not named.
    #[serde(default)]
    #[schemars(length(min = 1, max = 2048))]
    path: Option<String>,
    /// How many steps to go down at most; 16 if it is not said.
    #[serde(default)]
    #[schemars(range(max = 64))]
    depth: Option<usize>,
    /// How many objects to look at, at most; 200 if it is not said.
    #[serde(default)]
    #[schemars(range(min = 1, max = 10_000))]
    objects: Option<usize>,
    /// Only objects with this interface, and its definition.
    #[serde(default)]
    #[schemars(length(min = 3, max = 255))]
    interface: Option<String>,
    /// The definitions of all interfaces of the page, too.
    #[serde(default)]
    definitions: bool,
    /// Look anew, even where the objects were looked at a moment ago.
    #[serde(default)]
    refresh: bool,
    #[serde(flatten)]
    page: Page,
}

/// A service's objects.
#[derive(Serialize, JsonSchema)]
struct Seen {
    /// The service.
    service: String,
    /// The connection that has its name.
    owner: String,
    /// Where the look began.
    path: String,
    /// How many objects there are in all pages.
    total: usize,
    /// The objects, by path.
    objects: Vec<ObjectSeen>,
    /// What the objects of this page can do; the first definition of each interface.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    interfaces: Vec<Interface>,
    /// What was cut off, and why; empty if the service has no other objects.
    truncated: Vec<Truncation>,
    /// What single objects said that could not be used.
    faults: Vec<Fault>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// An object.
#[derive(Serialize, JsonSchema)]
struct ObjectSeen {
    /// Its path.
    path: String,
    /// The names of its interfaces.
    interfaces: Vec<String>,
}

pub(super) fn tools(scanners: &Arc<Scanners>) -> Vec<Tool> {
    let (for_names, for_service) = (Arc::clone(scanners), Arc::clone(scanners));
    vec![
        Tool::read(
            Domain::Introspection,
            "introspect_dbus",
            "List the names on a bus",
            "Lists who is on the message bus, with process, user and unit, and who could be started. Nobody is started.",
            move |call: &Call<'_>, wanted: Wanted| list(call, &for_names, &wanted),
        )
.says(&["who is on the system bus?", "list bus names"])
        .example(json!({ "bus": "system" }))
        .example(json!({ "unnamed": true, "limit": 20 })),
        Tool::read(
            Domain::Introspection,
            "introspect_service",
            "Look at a service on the bus",
            "Lists the objects of a service on the message bus with their interfaces, and what these can do if asked for. \
             The look is bounded: `truncated` says what was cut off. The service is not started.",
            move |call: &Call<'_>, wanted: Service| look(call, &for_service, &wanted),
        )
.says(&["objects of org.freedesktop.login1", "show the objects of service org.freedesktop.hostname1"])
        .example(json!({ "service": "org.freedesktop.systemd1", "depth": 3 }))
        .example(json!({
            "service": "org.freedesktop.hostname1",
            "interface": "org.freedesktop.hostname1",
        })),
    ]
}

/// The scanner of a bus that this caller can have.
fn scanner(call: &Call<'_>, scanners: &Scanners, which: Which) -> Result<Arc<Scanner>, ToolError> {
    // A daemon has no session, and another user's bus does not let it in.
    if which == Which::Session && call.caller.door != Door::Cli {
        return Err(ToolError::Unavailable(
            "a session bus is there for its user alone: look at yours with \
             `op-dbus introspect --bus session`"
                .to_owned(),
        ));
    }
    Ok(scanners.of(which)?)
}

fn list(call: &Call<'_>, scanners: &Scanners, wanted: &Wanted) -> Result<NameList, ToolError> {
    let mut seen = scanner(call, scanners, wanted.bus)?.names()?;
    if !wanted.unnamed {
        seen.names.retain(|name| !name.name.starts_with(':'));
    }
    let (names, next_cursor) = page(seen.names, &wanted.page)?;
    Ok(NameList {
        bus: wanted.bus,
        names,
        left_out: seen.left_out,
        next_cursor,
    })
}

fn look(call: &Call<'_>, scanners: &Scanners, wanted: &Service) -> Result<Seen, ToolError> {
    let service = BusName::try_from(wanted.service.as_str()).map_err(|_| {
        let name = wanted.service.escape_debug();
        ToolError::Invalid(format!(
            "`{name}` is no name on a bus: write it like org.freedesktop.systemd1"
        ))
    })?;
    let path = wanted.path.as_deref().unwrap_or("/");
    let root = ObjectPath::try_from(path).map_err(|_| {
        let path = path.escape_debug();
        ToolError::Invalid(format!("`{path}` is no object: write it like /org/example"))
    })?;
    let limits = limits(call, wanted);
    let go_on = |known: usize, done: usize| {
        if done.is_multiple_of(25) {
            call.progress(format!("looking at {service}"), done, known);
        }
        call.check().is_ok()
    };
    let scanner = scanner(call, scanners, wanted.bus)?;
    let tree = scanner.tree(&service, &root, &limits, wanted.refresh, &go_on)?;
    call.check()?;
    seen(&tree, wanted)
}

fn limits(call: &Call<'_>, wanted: &Service) -> Limits {
    let usual = Limits::default();
    let left = call
        .options
        .deadline
        .map(|deadline| deadline.saturating_duration_since(Instant::now()));
    Limits {
        objects: wanted.objects.unwrap_or(usual.objects),
        depth: wanted.depth.unwrap_or(usual.depth),
        time: left.unwrap_or(Duration::MAX).min(usual.time),
        ..usual
    }
}

fn seen(tree: &Tree, wanted: &Service) -> Result<Seen, ToolError> {
    let only = wanted.interface.as_deref();
    let has = |found: &Interface| only.is_none_or(|only| found.name.as_str() == only);
    let objects = tree.objects.iter();
    let objects = objects.filter(|object| {
        only.is_none() || object.interfaces.iter().any(|interface| has(interface))
    });
    let objects: Vec<_> = objects.collect();
    let total = objects.len();
    let (objects, next_cursor) = page(objects, &wanted.page)?;
    let mut known = BTreeSet::new();
    let mut interfaces = Vec::new();
    if wanted.definitions || only.is_some() {
        let all = objects.iter().flat_map(|object| &object.interfaces);
        for interface in all.filter(|interface| has(interface)) {
            if known.insert(interface.name.as_str()) {
                interfaces.push((**interface).clone());
            }
        }
    }
    let object = |object: &introspect::dbus::Object| ObjectSeen {
        path: object.path.clone(),
        interfaces: object
            .interfaces
            .iter()
            .map(|interface| interface.name.to_string())
            .collect(),
    };
    Ok(Seen {
        service: tree.service.clone(),
        owner: tree.owner.clone(),
        path: tree.root.clone(),
        total,
        objects: objects.into_iter().map(object).collect(),
        interfaces,
        truncated: tree.truncated.clone(),
        faults: tree.faults.clone(),
        next_cursor,
    })
}

impl From<WalkError> for ToolError {
    fn from(error: WalkError) -> Self {
        match error {
            WalkError::NotRunning(_) => Self::Unavailable(error.to_string()),
            WalkError::Bus(_) => Self::Failed(error.to_string()),
        }
    }
}
