//! What systemd's small services say: hostnamed, timedated, logind.

use std::fmt::Display;

use dbus::{Bus, OwnedObjectPath, Peer, Properties};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::error::ToolError;

pub(super) const HOSTNAMED: Peer<'static> = Peer {
    name: "org.freedesktop.hostname1",
    path: "/org/freedesktop/hostname1",
    interface: "org.freedesktop.hostname1",
};
pub(super) const TIMEDATED: Peer<'static> = Peer {
    name: "org.freedesktop.timedate1",
    path: "/org/freedesktop/timedate1",
    interface: "org.freedesktop.timedate1",
};
const LOGIND: Peer<'static> = Peer {
    name: "org.freedesktop.login1",
    path: "/org/freedesktop/login1",
    interface: "org.freedesktop.login1.Manager",
};

/// A service that could not be asked.
#[derive(Serialize, JsonSchema)]
pub(super) struct Missing {
    /// The service.
    service: String,
    /// Why.
    reason: String,
}

impl Missing {
    pub(super) fn new(service: &str, reason: impl Display) -> Self {
        Self {
            service: service.to_owned(),
            reason: reason.to_string(),
        }
    }
}

/// Name and make of the machine.
#[derive(Serialize, JsonSchema)]
pub(super) struct Hostname {
    /// The name that is set for good; null if none is.
    static_hostname: Option<String>,
    /// The name that it has now.
    hostname: Option<String>,
    /// A name for people.
    pretty_hostname: Option<String>,
    /// `server`, `vm`, `container` and so on.
    chassis: Option<String>,
    /// What it is used for, such as `production`.
    deployment: Option<String>,
    /// Where it stands.
    location: Option<String>,
    /// Who made it.
    hardware_vendor: Option<String>,
    /// What model it is.
    hardware_model: Option<String>,
}

/// Time zone and clock.
#[derive(Serialize, JsonSchema)]
pub(super) struct Time {
    /// The time zone.
    timezone: Option<String>,
    /// Whether the clock is to be set over the network.
    ntp: Option<bool>,
    /// Whether it has been.
    ntp_synchronized: Option<bool>,
    /// Whether the hardware clock has the local time.
    local_rtc: Option<bool>,
}

/// A session of somebody who is logged in.
#[derive(Serialize, JsonSchema)]
pub(super) struct Session {
    /// Its id.
    id: String,
    /// The uid.
    uid: u32,
    /// The login name.
    user: String,
    /// The seat, where there is one.
    seat: Option<String>,
    /// `tty`, `x11`, `wayland` and so on.
    session_type: Option<String>,
    /// `user`, `greeter`, `manager` and so on.
    class: Option<String>,
    /// `online`, `active` or `closing`.
    state: Option<String>,
    /// The terminal.
    tty: Option<String>,
    /// Whether it came over the network.
    remote: Option<bool>,
    /// From where.
    remote_host: Option<String>,
    /// What let it in, such as `sshd`.
    service: Option<String>,
    /// The process id of its first process.
    leader: Option<u64>,
    /// Since when (RFC 3339).
    since: Option<String>,
}

/// A service that neither runs nor can be started.
pub(super) fn absent(service: &str) -> ToolError {
    ToolError::Unavailable(format!(
        "{service} is not on the system bus of this host: it comes with systemd; install or unmask it"
    ))
}

/// What nobody can write on a host like NixOS.
pub(super) fn read_only(what: &str, error: dbus::Error) -> ToolError {
    match error.name() {
        Some(
            "System.Error.EROFS"
            | "System.Error.EACCES"
            | "org.freedesktop.DBus.Error.AccessDenied",
        ) => ToolError::Refused(format!(
            "the {what} cannot be changed here ({error}). On NixOS it stands in the host's configuration \
                 (`networking.hostName`, `time.timeZone`)"
        )),
        Some("org.freedesktop.DBus.Error.InvalidArgs") => ToolError::Invalid(error.to_string()),
        _ => error.into(),
    }
}

/// All properties of a service, or a note that it could not be asked.
fn properties(
    bus: &Bus,
    peer: Peer<'_>,
    service: &str,
    missing: &mut Vec<Missing>,
) -> Option<Properties> {
    let ask = || match bus.offers(peer.name)? {
        true => bus.properties(peer).map(Some),
        false => Ok(None),
    };
    let reason = match ask() {
        Ok(Some(found)) => return Some(found),
        Ok(None) => "it is not on the system bus of this host".to_owned(),
        Err(error) => error.to_string(),
    };
    missing.push(Missing::new(service, reason));
    None
}

fn value(properties: &Properties, name: &str) -> Value {
    properties
        .get(name)
        .map(|value| dbus::json(value))
        .unwrap_or_default()
}

fn text(properties: &Properties, name: &str) -> Option<String> {
    let value = value(properties, name);
    value
        .as_str()
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

pub(super) fn hostname(bus: &Bus, missing: &mut Vec<Missing>) -> Option<Hostname> {
    let found = properties(bus, HOSTNAMED, "systemd-hostnamed", missing)?;
    let text = |name: &str| text(&found, name);
    Some(Hostname {
        static_hostname: text("StaticHostname"),
        hostname: text("Hostname"),
        pretty_hostname: text("PrettyHostname"),
        chassis: text("Chassis"),
        deployment: text("Deployment"),
        location: text("Location"),
        hardware_vendor: text("HardwareVendor"),
        hardware_model: text("HardwareModel"),
    })
}

pub(super) fn time(bus: &Bus, missing: &mut Vec<Missing>) -> Option<Time> {
    let found = properties(bus, TIMEDATED, "systemd-timedated", missing)?;
    let flag = |name: &str| value(&found, name).as_bool();
    Some(Time {
        timezone: text(&found, "Timezone"),
        ntp: flag("NTP"),
        ntp_synchronized: flag("NTPSynchronized"),
        local_rtc: flag("LocalRTC"),
    })
}

type Row = (String, u32, String, String, OwnedObjectPath);

fn rows(bus: &Bus) -> Result<Vec<Row>, ToolError> {
    match bus.offers(LOGIND.name)? {
        true => Ok(bus.call(LOGIND, "ListSessions", &())?),
        false => Err(absent("systemd-logind")),
    }
}

pub(super) fn count_sessions(bus: &Bus, missing: &mut Vec<Missing>) -> Option<usize> {
    match rows(bus) {
        Ok(rows) => Some(rows.len()),
        Err(error) => {
            missing.push(Missing::new("systemd-logind", error));
            None
        }
    }
}

pub(super) fn sessions(bus: &Bus) -> Result<Vec<Session>, ToolError> {
    let mut rows = rows(bus)?;
    rows.sort_by(|one, other| one.0.cmp(&other.0));
    let session = |(id, uid, user, seat, path): Row| {
        let peer = Peer {
            path: path.as_str(),
            interface: "org.freedesktop.login1.Session",
            ..LOGIND
        };
        // One that has ended in between has nothing more to tell.
        let found = bus.properties(peer).unwrap_or_default();
        let text = |name: &str| text(&found, name);
        let since = value(&found, "Timestamp").as_i64().filter(|time| *time > 0);
        let since = since.and_then(|time| jiff::Timestamp::from_microsecond(time).ok());
        Session {
            id,
            uid,
            user,
            seat: Some(seat).filter(|seat| !seat.is_empty()),
            session_type: text("Type"),
            class: text("Class"),
            state: text("State"),
            tty: text("TTY"),
            remote: value(&found, "Remote").as_bool(),
            remote_host: text("RemoteHost"),
            service: text("Service"),
            leader: value(&found, "Leader").as_u64(),
            since: since.map(|time| time.to_string()),
        }
    };
    Ok(rows.into_iter().map(session).collect())
}
