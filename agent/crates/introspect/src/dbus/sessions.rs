//! Who is logged in, as systemd-logind knows it (org.freedesktop.login1(5)).

use std::collections::HashMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use zbus::{Connection, OwnedObjectPath, OwnedVariant, Variant};

use super::call::{CallError, Object, call};

/// The time that logind has for one answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many sessions are shown.
const MOST: usize = 500;

const LOGIND: &str = "org.freedesktop.login1";

/// Who is logged in.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Sessions {
    /// Whether systemd-logind is there to be asked.
    pub logind: bool,
    /// The sessions.
    pub sessions: Vec<Session>,
    /// What could not be found out, and why.
    pub unknown: Vec<String>,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Session {
    /// Its id.
    pub id: String,
    /// The user's number.
    pub uid: u32,
    /// The user's name.
    pub user: String,
    /// The seat, if there is one.
    pub seat: Option<String>,
    /// What it is: `tty`, `x11`, `wayland`, `unspecified` and so on.
    pub kind: Option<String>,
    /// What it is for: `user`, `greeter`, `manager` and so on.
    pub class: Option<String>,
    /// `online`, `active` or `closing`.
    pub state: Option<String>,
    /// Its terminal.
    pub tty: Option<String>,
    /// Whether it is from another machine.
    pub remote: Option<bool>,
    /// Which one.
    pub remote_host: Option<String>,
    /// The process that leads it.
    pub leader: Option<u32>,
    /// When it began, in UTC (RFC 3339).
    pub since: Option<String>,
}

type Listed = (String, u32, String, String, OwnedObjectPath);

/// Asks logind who is logged in; it is not started for that.
pub async fn sessions(connection: &Connection) -> Sessions {
    let manager = Object {
        owner: LOGIND,
        path: "/org/freedesktop/login1",
        interface: "org.freedesktop.login1.Manager",
    };
    let listed: Vec<Listed> = match call(connection, manager, "ListSessions", &(), PATIENCE).await {
        Ok(listed) => listed,
        Err(error) => {
            let unknown = match error {
                CallError::Gone => {
                    "systemd-logind does not run, and a look starts nothing".to_owned()
                }
                error => format!("systemd-logind: {error}"),
            };
            return Sessions {
                unknown: vec![unknown],
                ..Sessions::default()
            };
        }
    };
    let mut answer = Sessions {
        logind: true,
        ..Sessions::default()
    };
    if listed.len() > MOST {
        let more = listed.len() - MOST;
        answer
            .unknown
            .push(format!("{more} more sessions are left out"));
    }
    for (id, uid, user, seat, path) in listed.into_iter().take(MOST) {
        let properties = Object {
            owner: LOGIND,
            path: path.as_str(),
            interface: "org.freedesktop.DBus.Properties",
        };
        let interface = ("org.freedesktop.login1.Session",);
        let told = call(connection, properties, "GetAll", &interface, PATIENCE).await;
        let told: HashMap<String, OwnedVariant> = told.unwrap_or_else(|error| {
            answer.unknown.push(format!("session {id}: {error}"));
            HashMap::new()
        });
        answer.sessions.push(session(id, uid, user, seat, &told));
        if matches!(answer.unknown.last(), Some(last) if last.contains("no answer")) {
            break;
        }
    }
    answer
}

fn session(
    id: String,
    uid: u32,
    user: String,
    seat: String,
    told: &HashMap<String, OwnedVariant>,
) -> Session {
    let value = |name: &str| told.get(name).map(|value| &**value);
    let text = |name: &str| match value(name) {
        Some(Variant::Str(text)) if !text.is_empty() => Some(text.to_string()),
        _ => None,
    };
    let since = match value("Timestamp") {
        Some(Variant::U64(micros)) => i64::try_from(*micros).ok(),
        _ => None,
    };
    let since = since.and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok());
    Session {
        kind: text("Type"),
        class: text("Class"),
        state: text("State"),
        tty: text("TTY"),
        remote: match value("Remote") {
            Some(Variant::Bool(remote)) => Some(*remote),
            _ => None,
        },
        remote_host: text("RemoteHost"),
        leader: match value("Leader") {
            Some(Variant::U32(pid)) => Some(*pid),
            _ => None,
        },
        since: since.map(|since| since.to_string()),
        seat: (!seat.is_empty()).then_some(seat),
        id,
        uid,
        user,
    }
}
