//! What is on the machine, as the command line shows it, with other programs as witnesses.
#![allow(clippy::unwrap_used)]

mod bridge_rig;
mod mcp_client;

use std::process::Command;

use bridge_rig::{Rig, busctl};
use serde_json::{Value, json};

const LOGIND: &str = "org.freedesktop.login1";
const MANAGER: &str = "/org/freedesktop/login1";

fn sessions() -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_op-dbus"))
        .args(["--here", "--json", "introspect", "sessions"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A property of a session, as busctl has it.
fn property(path: &str, name: &str) -> Value {
    let interface = "org.freedesktop.login1.Session";
    let get = [
        LOGIND,
        path,
        "org.freedesktop.DBus.Properties",
        "Get",
        "ss",
        interface,
        name,
    ];
    busctl(&get)[0]["data"].clone()
}

#[test]
fn sessions_are_those_that_logind_has() {
    let Some(mut rig) = Rig::new() else { return };
    let none = sessions();
    assert_eq!(
        (&none["logind"], &none["sessions"]),
        (&json!(false), &json!([]))
    );
    if rig.mock(LOGIND, &["--template", "logind"]).is_none() {
        return;
    }
    assert_eq!(sessions()["sessions"], json!([]));
    let mock = "org.freedesktop.DBus.Mock";
    for (id, seat, uid, user, active) in [
        ("c1", "seat0", "1000", "ada", "true"),
        ("7", "seat1", "1001", "oscar", "false"),
    ] {
        busctl(&[
            LOGIND,
            MANAGER,
            mock,
            "AddSession",
            "ssusb",
            id,
            seat,
            uid,
            user,
            active,
        ]);
    }
    let shown = sessions();
    assert_eq!(shown["logind"], true, "{shown:#}");
    assert_eq!(shown["unknown"], json!([]), "{shown:#}");
    let listed = busctl(&[
        LOGIND,
        MANAGER,
        "org.freedesktop.login1.Manager",
        "ListSessions",
    ]);
    let listed = listed[0].as_array().unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!(shown["sessions"].as_array().unwrap().len(), 2, "{shown:#}");
    for row in listed {
        let path = row[4].as_str().unwrap();
        let session = shown["sessions"].as_array().unwrap().iter();
        let mut session = session.filter(|session| session["id"] == row[0]);
        let session = session
            .next()
            .unwrap_or_else(|| panic!("no {row}: {shown:#}"));
        for (key, place) in [("uid", 1), ("user", 2), ("seat", 3)] {
            assert_eq!(session[key], row[place], "{key}");
        }
        for (key, name) in [
            ("kind", "Type"),
            ("class", "Class"),
            ("state", "State"),
            ("tty", "TTY"),
            ("remote", "Remote"),
            ("remote_host", "RemoteHost"),
            ("leader", "Leader"),
        ] {
            let seen = match property(path, name) {
                Value::String(text) if text.is_empty() => Value::Null,
                seen => seen,
            };
            assert_eq!(session[key], seen, "{key} of {path}");
        }
        let micros = property(path, "Timestamp").as_i64().unwrap();
        let since = session["since"].as_str().unwrap();
        let since: jiff::Timestamp = since.parse().unwrap();
        assert_eq!(since.as_microsecond(), micros, "{path}");
    }
}
