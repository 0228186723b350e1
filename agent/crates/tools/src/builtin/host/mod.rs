//! The machine itself: what it is, who is logged in, its name and its time zone.

mod kernel;
mod resources;
mod services;

use dbus::{Bus, Peer};
use reconcile::{Change, Plan, Verb};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::call::Call;
use crate::error::ToolError;
use crate::page::{Page, page};
use crate::tool::{Domain, Tool};

use kernel::{Kernel, Load, Memory, OperatingSystem, Processors};
use services::{Hostname, Missing, Session, Time};

#[derive(Deserialize, JsonSchema)]
struct Nothing {}

#[derive(Deserialize, JsonSchema)]
struct Sessions {
    #[serde(flatten)]
    page: Page,
}

#[derive(Deserialize, JsonSchema)]
struct NewHostname {
    /// Labels of letters, digits and `-`, parted by dots; at most 64 characters.
    #[schemars(length(min = 1, max = 64))]
    hostname: String,
}

#[derive(Deserialize, JsonSchema)]
struct NewTimezone {
    /// A time zone by its name in the time zone database, such as `Europe/Berlin` or `UTC`.
    #[schemars(length(min = 1, max = 64))]
    timezone: String,
}

/// A machine. What could not be found out is null, and `unavailable` says why.
#[derive(Serialize, JsonSchema)]
struct Info {
    /// Its name and its make, from systemd-hostnamed.
    hostname: Option<Hostname>,
    /// The name that the kernel has.
    kernel_hostname: Option<String>,
    /// The operating system (os-release(5)).
    operating_system: Option<OperatingSystem>,
    /// The kernel.
    kernel: Kernel,
    /// Its time zone and how its clock is set, from systemd-timedated.
    time: Option<Time>,
    /// The time now, in UTC (RFC 3339).
    now: String,
    /// For how long it has been running, in seconds.
    uptime_seconds: Option<f64>,
    /// Its processors.
    processors: Processors,
    /// Its memory.
    memory: Option<Memory>,
    /// How busy it is.
    load: Option<Load>,
    /// How many sessions there are, from systemd-logind.
    sessions: Option<usize>,
    /// What could not be asked.
    unavailable: Vec<Missing>,
}

#[derive(Serialize, JsonSchema)]
struct SessionList {
    /// The sessions.
    sessions: Vec<Session>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Whether there was something to do.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    /// It is done.
    Done,
    /// It was so before.
    Unchanged,
}

/// A setting that was changed.
#[derive(Serialize, JsonSchema)]
struct Set {
    /// Whether there was something to do.
    outcome: Outcome,
    /// What it was.
    before: String,
    /// What it is now.
    after: String,
}

pub(super) fn tools() -> Vec<Tool> {
    let domain = Domain::Host;
    vec![
        Tool::read(
            domain,
            "host_info",
            "Show the machine",
            "Shows what machine this is: name, operating system, kernel, time zone, uptime, processors, memory and \
             load.",
            info,
        )
.says(&["what machine is this?", "uptime", "show the host", "how much memory is there?"]),
        Tool::read(
            domain,
            "host_resources",
            "Show resources over time",
            "Shows how busy the processors were, how much memory was taken and how high the load was, as lines over \
             time. The daemon takes a sample every 30 s and keeps those of six hours, as long as it runs.",
            resources::resources,
        )
.says(&["cpu usage of the last hour", "plot the load", "show resources over time", "graph of the memory"]),
        Tool::read(
            domain,
            "host_sessions",
            "List sessions",
            "Lists who is logged in, from systemd-logind.",
            sessions,
        )
.says(&["who is logged in?", "list sessions"]),
        Tool::write(
            domain,
            "host_set_hostname",
            "Set the host name",
            "Sets the name of the machine for good (/etc/hostname).",
            |call, input: NewHostname| preview(call, &HOSTNAME, &good_hostname(&input.hostname)?),
            |call, input: NewHostname| set(call, &HOSTNAME, &good_hostname(&input.hostname)?),
        )
.says(&["set the hostname to edge-01", "rename the host name to edge-01"])
        .example(json!({ "hostname": "web-01" })),
        Tool::write(
            domain,
            "host_set_timezone",
            "Set the time zone",
            "Sets the time zone of the machine (/etc/localtime).",
            |call, input: NewTimezone| preview(call, &TIMEZONE, &good_timezone(&input.timezone)?),
            |call, input: NewTimezone| set(call, &TIMEZONE, &good_timezone(&input.timezone)?),
        )
.says(&["set the time zone to Europe/Berlin", "change the timezone to UTC"])
        .example(json!({ "timezone": "Europe/Berlin" })),
    ]
}

fn info(_: &Call<'_>, _: Nothing) -> Result<Info, ToolError> {
    let mut unavailable = Vec::new();
    let (hostname, time, sessions) = match Bus::system() {
        Ok(bus) => (
            services::hostname(&bus, &mut unavailable),
            services::time(&bus, &mut unavailable),
            services::count_sessions(&bus, &mut unavailable),
        ),
        Err(error) => {
            unavailable.push(Missing::new("the system bus", &error));
            (None, None, None)
        }
    };
    Ok(Info {
        hostname,
        kernel_hostname: kernel::line("/proc/sys/kernel/hostname"),
        operating_system: kernel::operating_system(),
        kernel: kernel::kernel(),
        time,
        now: jiff::Timestamp::now().to_string(),
        uptime_seconds: kernel::uptime(),
        processors: kernel::processors(),
        memory: kernel::memory(),
        load: kernel::load(),
        sessions,
        unavailable,
    })
}

fn sessions(_: &Call<'_>, input: Sessions) -> Result<SessionList, ToolError> {
    let found = services::sessions(&Bus::system()?)?;
    let (sessions, next_cursor) = page(found, &input.page)?;
    Ok(SessionList {
        sessions,
        next_cursor,
    })
}

/// A setting of one of systemd's services.
struct Setting {
    peer: Peer<'static>,
    /// What it belongs to, for people.
    service: &'static str,
    resource: &'static str,
    property: &'static str,
    method: &'static str,
}

const HOSTNAME: Setting = Setting {
    peer: services::HOSTNAMED,
    service: "systemd-hostnamed",
    resource: "hostname",
    property: "StaticHostname",
    method: "SetStaticHostname",
};

const TIMEZONE: Setting = Setting {
    peer: services::TIMEDATED,
    service: "systemd-timedated",
    resource: "timezone",
    property: "Timezone",
    method: "SetTimezone",
};

impl Setting {
    fn read(&self, bus: &Bus) -> Result<String, ToolError> {
        if !bus.offers(self.peer.name)? {
            return Err(services::absent(self.service));
        }
        let value = bus.property(self.peer, self.property)?;
        Ok(dbus::json(&value).as_str().unwrap_or_default().to_owned())
    }
}

fn preview(_: &Call<'_>, setting: &Setting, wanted: &str) -> Result<Plan, ToolError> {
    let before = setting.read(&Bus::system()?)?;
    if before == wanted {
        return Ok(Plan::default());
    }
    let change = Change::new(
        "host",
        setting.resource,
        Verb::Update,
        json!({ setting.resource: before }),
        json!({ setting.resource: wanted }),
    );
    Ok(Plan {
        changes: vec![change],
        notes: Vec::new(),
    })
}

fn set(_: &Call<'_>, setting: &Setting, wanted: &str) -> Result<Set, ToolError> {
    let bus = Bus::system()?;
    let before = setting.read(&bus)?;
    if before == wanted {
        return Ok(Set {
            outcome: Outcome::Unchanged,
            after: before.clone(),
            before,
        });
    }
    // Nobody is asked in between: this program answers for its callers.
    let set: Result<(), _> = bus.call(setting.peer, setting.method, &(wanted, false));
    set.map_err(|error| services::read_only(setting.resource, error))?;
    Ok(Set {
        outcome: Outcome::Done,
        before,
        after: setting.read(&bus)?,
    })
}

/// RFC 1123 §2.1, in the 64 characters that the kernel has for it.
fn good_hostname(text: &str) -> Result<String, ToolError> {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let good = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    match text.len() <= 64 && text.split('.').all(good) {
        true => Ok(text.to_owned()),
        false => Err(ToolError::Invalid(format!(
            "`{}` is no host name: labels of letters, digits and `-`, parted by dots, at most 64 characters",
            text.escape_debug()
        ))),
    }
}

/// A name below /usr/share/zoneinfo, as far as its characters go; timedated knows which there are.
fn good_timezone(text: &str) -> Result<String, ToolError> {
    let good = |part: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte);
        !part.is_empty() && part.bytes().all(inner) && !part.starts_with('-')
    };
    match text.split('/').all(good) {
        true => Ok(text.to_owned()),
        false => Err(ToolError::Invalid(format!(
            "`{}` is no time zone: write it like Europe/Berlin or UTC; `timedatectl list-timezones` lists them",
            text.escape_debug()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_the_system_would_trip_over_are_not_taken() {
        for name in ["web-01", "Web", "a.example.org", "0"] {
            assert!(good_hostname(name).is_ok(), "{name}");
        }
        let long = "a".repeat(65);
        for name in [
            "", "-a", "a-", "a..b", ".a", "a b", "a_b", "ä", "a\n", &long,
        ] {
            assert!(good_hostname(name).is_err(), "{name:?}");
        }
        for name in [
            "UTC",
            "Europe/Berlin",
            "America/Argentina/Buenos_Aires",
            "Etc/GMT+1",
        ] {
            assert!(good_timezone(name).is_ok(), "{name}");
        }
        for name in [
            "",
            "/etc/passwd",
            "../../etc/passwd",
            "Europe/",
            "-a",
            "a b",
            "a\0",
        ] {
            assert!(good_timezone(name).is_err(), "{name:?}");
        }
    }
}
