//! Who is on a bus, and who could be started.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use schemars::JsonSchema;
use serde::Serialize;
use zbus::{Connection, OwnedVariant, Variant};

use super::call::{CallError, Object, call};
use super::walk::WalkError;

/// The time that the bus has for one answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many questions to the bus are on their way at once.
const AT_ONCE: usize = 32;

/// How many names are looked at.
pub const MOST_NAMES: usize = 4096;

const BUS: Object<'static> = Object {
    owner: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
};

/// A name on the bus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Name {
    /// The name.
    pub name: String,
    /// Whether the bus can start somebody to take it.
    pub activatable: bool,
    /// The connection that has it; none if nobody has it now.
    pub owner: Option<String>,
    /// The process behind the connection, as the bus numbers it.
    pub pid: Option<u32>,
    /// The user that this process ran as when it connected.
    pub uid: Option<u32>,
    /// The name of the process.
    pub process: Option<String>,
    /// The unit of systemd that the process belongs to.
    pub unit: Option<String>,
}

/// The names on a bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The names that services take and those of connections without one, by name.
    pub names: Vec<Name>,
    /// How many there are beyond [`MOST_NAMES`].
    pub left_out: usize,
}

/// Lists the names of a bus; nobody is asked but the bus itself.
pub async fn names(connection: &Connection) -> Result<Names, WalkError> {
    let owned: Vec<String> = ask(connection, "ListNames").await?;
    let activatable: Vec<String> = ask(connection, "ListActivatableNames").await?;
    let activatable: BTreeSet<String> = activatable.into_iter().collect();
    let known: BTreeSet<&String> = owned.iter().chain(&activatable).collect();
    let left_out = known.len().saturating_sub(MOST_NAMES);
    let running: BTreeSet<&String> = owned.iter().collect();
    let owners = stream::iter(known.iter().take(MOST_NAMES).copied())
        .map(async |name| match running.contains(name) {
            true => (name, owner(connection, name).await),
            false => (name, None),
        })
        .buffered(AT_ONCE);
    let owners: BTreeMap<&String, Option<String>> = owners.collect().await;
    let unique: BTreeSet<&String> = owners.values().flatten().collect();
    let processes = stream::iter(unique)
        .map(async |owner| (owner.clone(), Process::behind(connection, owner).await))
        .buffered(AT_ONCE);
    let processes: HashMap<String, Process> = processes.collect().await;
    let name = |(name, owner): (&&String, &Option<String>)| {
        let process = owner.as_ref().and_then(|owner| processes.get(owner));
        let process = process.cloned().unwrap_or_default();
        Name {
            name: (*name).clone(),
            activatable: activatable.contains(*name),
            owner: owner.clone(),
            pid: process.pid,
            uid: process.uid,
            process: process.name,
            unit: process.unit,
        }
    };
    Ok(Names {
        names: owners.iter().map(name).collect(),
        left_out,
    })
}

async fn ask(connection: &Connection, method: &str) -> Result<Vec<String>, WalkError> {
    let answer = call(connection, BUS, method, &(), PATIENCE).await;
    answer.map_err(|error: CallError| WalkError::Bus(error.to_string()))
}

/// The connection that has a name; none if it has just gone.
async fn owner(connection: &Connection, name: &str) -> Option<String> {
    if name.starts_with(':') {
        return Some(name.to_owned());
    }
    call(connection, BUS, "GetNameOwner", &(name,), PATIENCE)
        .await
        .ok()
}

/// The process behind a connection, as far as the bus knows it.
#[derive(Debug, Clone, Default)]
struct Process {
    pid: Option<u32>,
    uid: Option<u32>,
    name: Option<String>,
    unit: Option<String>,
}

impl Process {
    async fn behind(connection: &Connection, owner: &str) -> Self {
        let method = "GetConnectionCredentials";
        let Ok(told) = call(connection, BUS, method, &(owner,), PATIENCE).await else {
            return Self::default();
        };
        let told: HashMap<String, OwnedVariant> = told;
        let number = |key: &str| match told.get(key).map(|value| &**value) {
            Some(Variant::U32(number)) => Some(*number),
            _ => None,
        };
        let (pid, uid) = (number("ProcessID"), number("UnixUserID"));
        // A bus in another namespace numbers processes in its own way: another user's process is another process.
        let here = pid.filter(|pid| {
            let seen = fs::metadata(format!("/proc/{pid}")).ok();
            seen.is_some_and(|seen| Some(seen.uid()) == uid)
        });
        Self {
            pid,
            uid,
            name: here.and_then(process_name),
            unit: here.and_then(unit),
        }
    }
}

fn process_name(pid: u32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

/// The innermost unit in the path of the process's control group (cgroups(7)).
fn unit(pid: u32) -> Option<String> {
    unit_in(&fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?)
}

fn unit_in(groups: &str) -> Option<String> {
    let units = groups.lines().filter_map(|line| {
        let path = line.splitn(3, ':').nth(2)?;
        let is_unit = |part: &&str| part.ends_with(".service") || part.ends_with(".scope");
        path.rsplit('/').find(is_unit)
    });
    units.map(str::to_owned).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_the_innermost_one() {
        let unit = |text: &str| unit_in(text).unwrap_or_default();
        assert_eq!(unit("0::/system.slice/dbus.service\n"), "dbus.service");
        assert_eq!(
            unit("0::/user.slice/user@0.service/app.slice/web.service/sub\n"),
            "web.service"
        );
        assert_eq!(unit("2:cpu:/\n1:name=systemd:/init.scope\n"), "init.scope");
        assert_eq!(unit("0::/\n"), "");
        assert_eq!(unit(""), "");
    }
}
