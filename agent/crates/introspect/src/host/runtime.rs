//! What runs: processes, control groups, namespaces, containers, and how busy the machine is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use super::look::{Look, Unknown, kilobytes};

/// What runs on a machine.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Runtime {
    /// For how long it has been running, in seconds.
    pub uptime_seconds: Option<f64>,
    /// Clocks.
    pub clock: Clock,
    /// How many tasks ran or waited on average, in the last 1, 5 and 15 minutes.
    pub load: Option<[f64; 3]>,
    /// For how much of the time tasks waited for something (Documentation/accounting/psi.rst).
    pub pressure: Vec<Pressure>,
    /// Memory that programs could get without swapping, in bytes.
    pub memory_available_bytes: Option<u64>,
    /// Processes.
    pub processes: Processes,
    /// What the kernel allows at most.
    pub limits: Limits,
    /// Control groups (cgroups(7)).
    pub control_groups: ControlGroups,
    /// Namespaces (namespaces(7)) by kind, with how many there are.
    pub namespaces: BTreeMap<String, usize>,
    /// Containers, as far as the control groups of processes tell.
    pub containers: Vec<Container>,
    /// What could not be found out.
    pub unknown: Vec<Unknown>,
}

/// Clocks.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Clock {
    /// The time now, in UTC (RFC 3339).
    pub now: String,
    /// What the kernel measures time by.
    pub source: Option<String>,
}

/// Waiting for one thing.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Pressure {
    /// What is waited for: `cpu`, `io` or `memory`.
    pub resource: &'static str,
    /// Percent of the last 10, 60 and 300 seconds in which at least one task waited.
    pub some: [f64; 3],
}

/// A summary of processes.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Processes {
    /// How many there are.
    pub total: usize,
    /// Their threads.
    pub threads: u64,
    /// How many are in each state: `R` runs, `S` sleeps, `D` waits for a device, `Z` has ended and nobody has asked how, and
    /// so on (proc_pid_stat(5)).
    pub states: BTreeMap<String, usize>,
}

/// What the kernel allows.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Limits {
    /// Processes and threads.
    pub pid_max: Option<u64>,
    /// Threads.
    pub threads_max: Option<u64>,
    /// Open files of all processes.
    pub files_max: Option<u64>,
    /// Files that are open.
    pub files_open: Option<u64>,
}

/// Control groups.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ControlGroups {
    /// `v2`, or `v1` where the old hierarchies are.
    pub version: Option<&'static str>,
    /// Controllers.
    pub controllers: Vec<String>,
    /// The topmost groups.
    pub groups: Vec<String>,
}

/// A container.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Container {
    /// What it is of: `lxc`, `docker`, `podman`, `nspawn` or `kubernetes`.
    pub kind: &'static str,
    /// Its name or id.
    pub name: String,
    /// How many processes it has.
    pub processes: usize,
}

/// Looks at what runs on this machine. `go_on` is asked while processes are looked at, with how many there are and how many
/// are done; the rest is left out if it says `false`.
pub fn runtime(go_on: &dyn Fn(usize, usize) -> bool) -> Runtime {
    let mut look = Look::at(Path::new("/"));
    let look_at = &mut look;
    let census = Census::take(look_at, go_on);
    let memory = look_at.text("/proc/meminfo").unwrap_or_default();
    let uptime = look_at.line("/proc/uptime");
    Runtime {
        uptime_seconds: uptime.and_then(|line| line.split(' ').next()?.parse().ok()),
        clock: Clock {
            now: jiff::Timestamp::now().to_string(),
            source: look_at
                .line("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        },
        load: look_at
            .line("/proc/loadavg")
            .and_then(|line| three(line.split(' '))),
        pressure: ["cpu", "io", "memory"]
            .iter()
            .filter_map(|resource| pressure(look_at, resource))
            .collect(),
        memory_available_bytes: kilobytes(&memory, "MemAvailable"),
        processes: census.processes,
        limits: limits(look_at),
        control_groups: control_groups(look_at),
        namespaces: census
            .namespaces
            .into_iter()
            .map(|(kind, found)| (kind, found.len()))
            .collect(),
        containers: census
            .containers
            .into_iter()
            .map(|((kind, name), processes)| Container {
                kind,
                name,
                processes,
            })
            .collect(),
        unknown: look.unknown(),
    }
}

fn three<'a>(words: impl Iterator<Item = &'a str>) -> Option<[f64; 3]> {
    let numbers: Vec<f64> = words.take(3).map_while(|word| word.parse().ok()).collect();
    numbers.try_into().ok()
}

fn pressure(look: &mut Look, resource: &'static str) -> Option<Pressure> {
    let line = look.line(&format!("/proc/pressure/{resource}"))?;
    let values = line.split(' ').filter_map(|word| word.strip_prefix("avg"));
    let some = three(values.filter_map(|value| Some(value.split_once('=')?.1)))?;
    Some(Pressure { resource, some })
}

fn limits(look: &mut Look) -> Limits {
    let open = look.line("/proc/sys/fs/file-nr");
    Limits {
        pid_max: look.number("/proc/sys/kernel/pid_max"),
        threads_max: look.number("/proc/sys/kernel/threads-max"),
        files_max: look.number("/proc/sys/fs/file-max"),
        files_open: open.and_then(|line| line.split_whitespace().next()?.parse().ok()),
    }
}

fn control_groups(look: &mut Look) -> ControlGroups {
    let base = "/sys/fs/cgroup";
    let v2 = look.path(&format!("{base}/cgroup.controllers")).exists();
    let inside = look.names(base);
    let directories = inside
        .into_iter()
        .filter(|name| look.path(&format!("{base}/{name}")).is_dir());
    let directories: Vec<_> = directories.collect();
    let controllers = look
        .line(&format!("{base}/cgroup.controllers"))
        .unwrap_or_default();
    let groups = look.cut("control groups", directories);
    match v2 {
        true => ControlGroups {
            version: Some("v2"),
            controllers: controllers.split_whitespace().map(str::to_owned).collect(),
            groups,
        },
        // The topmost directories of the old kind are the controllers.
        false => ControlGroups {
            version: (!groups.is_empty()).then_some("v1"),
            controllers: groups,
            groups: Vec::new(),
        },
    }
}

/// What is found out process by process.
#[derive(Default)]
struct Census {
    processes: Processes,
    namespaces: BTreeMap<String, BTreeSet<String>>,
    containers: BTreeMap<(&'static str, String), usize>,
}

impl Census {
    fn take(look: &mut Look, go_on: &dyn Fn(usize, usize) -> bool) -> Self {
        let mut names = look.names("/proc");
        names.retain(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        let mut census = Self::default();
        let mut hidden = 0;
        for (done, pid) in names.iter().enumerate() {
            if done.is_multiple_of(64) && !go_on(names.len(), done) {
                look.miss(
                    "processes",
                    format!("stopped after {done} of {}", names.len()),
                );
                break;
            }
            census.add(pid, &mut hidden);
        }
        if hidden > 0 {
            let why = format!("{hidden} processes of others do not show theirs");
            look.miss("namespaces", why);
        }
        census
    }

    fn add(&mut self, pid: &str, hidden: &mut usize) {
        // It has ended since it was listed.
        let Ok(status) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
            return;
        };
        // The name before may have anything in it, even parentheses.
        let Some((_, rest)) = status.rsplit_once(") ") else {
            return;
        };
        let fields: Vec<_> = rest.split(' ').collect();
        let state = fields.first().map_or("?", |state| *state);
        let threads = fields.get(17).and_then(|field| field.parse::<u64>().ok());
        self.processes.total += 1;
        self.processes.threads += threads.unwrap_or(1);
        *self.processes.states.entry(state.to_owned()).or_default() += 1;
        if let Some(container) = fs::read_to_string(format!("/proc/{pid}/cgroup"))
            .ok()
            .and_then(|groups| container(&groups))
        {
            *self.containers.entry(container).or_default() += 1;
        }
        for kind in ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"] {
            match fs::read_link(format!("/proc/{pid}/ns/{kind}")) {
                Ok(link) => {
                    let found = self.namespaces.entry(kind.to_owned()).or_default();
                    found.insert(link.display().to_string());
                }
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                    *hidden += 1;
                    return;
                }
                Err(_) => {}
            }
        }
    }
}

/// The container that a process is in, by the names that container programs give to control groups.
fn container(groups: &str) -> Option<(&'static str, String)> {
    const SCOPES: [(&str, &str); 5] = [
        ("docker-", "docker"),
        ("libpod-", "podman"),
        ("cri-containerd-", "kubernetes"),
        ("crio-", "kubernetes"),
        ("machine-", "nspawn"),
    ];
    let path = groups.lines().find_map(|line| line.splitn(3, ':').nth(2))?;
    path.split('/').find_map(|part| {
        if let Some(name) = part.strip_prefix("lxc.payload.") {
            return Some(("lxc", name.to_owned()));
        }
        let scope = part.strip_suffix(".scope")?;
        SCOPES.iter().find_map(|(prefix, kind)| {
            let name = scope.strip_prefix(prefix)?;
            Some((*kind, name.to_owned()))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_known_by_their_groups() {
        let found = |text: &str| container(text);
        assert_eq!(
            found("0::/lxc.payload.web-01/init.scope\n"),
            Some(("lxc", "web-01".to_owned()))
        );
        assert_eq!(
            found("0::/system.slice/docker-0a1b.scope\n"),
            Some(("docker", "0a1b".to_owned()))
        );
        assert_eq!(
            found("0::/machine.slice/machine-dev.scope/payload\n"),
            Some(("nspawn", "dev".to_owned()))
        );
        assert_eq!(found("0::/system.slice/dbus.service\n"), None);
        assert_eq!(found(""), None);
    }

    #[test]
    fn this_machine_is_seen() {
        let seen = runtime(&|_, _| true);
        assert!(seen.processes.total > 0 && seen.uptime_seconds.unwrap() > 0.0);
        assert!(seen.namespaces["pid"] > 0 && seen.load.is_some());
        let stopped = runtime(&|_, done| done < 1);
        assert!(
            stopped
                .unknown
                .iter()
                .any(|unknown| unknown.what == "processes")
                || stopped.processes.total <= 64
        );
    }
}
