//! The machine: the real hostnamed, timedated and logind, and machines that have none of them.
#![allow(clippy::unwrap_used)]

mod fixture;

use std::collections::HashMap;
use std::fs;

use dbus::{Bus, OwnedObjectPath};
use fixture::{call, call_with, registry, texts};
use lab::Machine;
use serde_json::{Value, json};
use tools::{Options, Registry, Role, ToolError};
use zbus::interface;

fn ask(registry: &Registry, name: &str, arguments: Value) -> Value {
    call(registry, Role::Operator, name, arguments)
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn the_machine_is_shown_and_its_name_and_time_zone_are_set() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let Some(systemd) = machine.systemd() else {
        return;
    };
    if !systemd
        .root()
        .join("usr/share/zoneinfo/Europe/Berlin")
        .exists()
    {
        return lab::skip("needs tzdata");
    }
    // There is one clock for all: nothing in the container may turn it.
    let status = systemd.inside(&["grep", "CapBnd", "/proc/1/status"]);
    let status = String::from_utf8(status.stdout).unwrap();
    let bound = status.split_whitespace().last().unwrap();
    let bound = u64::from_str_radix(bound, 16).unwrap();
    assert_eq!(bound & (1 << 25), 0, "CAP_SYS_TIME");
    let registry = registry(machine.dir(), "");
    let info = ask(&registry, "host_info", json!({}));
    assert_eq!(info["unavailable"], json!([]), "{info}");
    assert_eq!(info["hostname"]["chassis"], "container");
    let said = lab::run("uname", &["-r"]);
    assert_eq!(info["kernel"]["release"], said.trim());
    assert_eq!(info["sessions"], 0);
    assert!(info["memory"]["total_bytes"].as_u64().unwrap() > 1 << 26);
    assert!(info["uptime_seconds"].as_f64().unwrap() > 0.0);

    let name = json!({ "hostname": "op-dbus-lab" });
    let options = Options {
        dry_run: true,
        ..Options::default()
    };
    let plan = call_with(
        &registry,
        Role::Operator,
        "host_set_hostname",
        name.clone(),
        options,
    )
    .unwrap();
    assert_eq!(
        plan["changes"][0]["after"],
        json!({ "hostname": "op-dbus-lab" })
    );
    let set = ask(&registry, "host_set_hostname", name.clone());
    assert_eq!(
        (&set["outcome"], &set["after"]),
        (&json!("done"), &json!("op-dbus-lab"))
    );
    let written = fs::read_to_string(systemd.root().join("etc/hostname")).unwrap();
    assert_eq!(written.trim(), "op-dbus-lab");
    assert_ne!(lab::run("uname", &["-n"]).trim(), "op-dbus-lab");
    assert_eq!(
        ask(&registry, "host_set_hostname", name)["outcome"],
        "unchanged"
    );

    let set = ask(
        &registry,
        "host_set_timezone",
        json!({ "timezone": "Europe/Berlin" }),
    );
    assert_eq!(set["after"], "Europe/Berlin");
    let link = fs::read_link(systemd.root().join("etc/localtime")).unwrap();
    assert!(link.ends_with("zoneinfo/Europe/Berlin"), "{link:?}");
    let result = call(
        &registry,
        Role::Operator,
        "host_set_timezone",
        json!({ "timezone": "Europe/Nonsense" }),
    );
    assert!(matches!(result, Err(ToolError::Invalid(_))), "{result:?}");
    assert_eq!(
        ask(&registry, "host_sessions", json!({}))["sessions"],
        json!([])
    );
}

#[test]
fn what_is_missing_is_said_and_nothing_is_made_up() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    lab::run("mount", &["-t", "tmpfs", "tmpfs", "/run"]);
    let registry = registry(machine.dir(), "");
    let info = ask(&registry, "host_info", json!({}));
    assert_eq!(texts(&info["unavailable"], "service"), ["the system bus"]);
    assert_eq!(
        (&info["hostname"], &info["sessions"]),
        (&Value::Null, &Value::Null)
    );
    let Some(_bus) = machine.system_bus() else {
        return;
    };
    let info = ask(&registry, "host_info", json!({}));
    assert_eq!(
        texts(&info["unavailable"], "service"),
        ["systemd-hostnamed", "systemd-timedated", "systemd-logind"]
    );
    assert!(info["kernel_hostname"].is_string());
    let result = call(
        &registry,
        Role::Operator,
        "host_set_hostname",
        json!({ "hostname": "a" }),
    );
    assert!(
        matches!(result, Err(ToolError::Unavailable(_))),
        "{result:?}"
    );
    let result = call(&registry, Role::Viewer, "host_sessions", json!({}));
    assert!(
        matches!(result, Err(ToolError::Unavailable(_))),
        "{result:?}"
    );
}

/// A logind with two sessions, one of which has ended when it is looked at.
struct Logind;

#[interface(name = "org.freedesktop.login1.Manager")]
impl Logind {
    fn list_sessions(&self) -> Vec<(String, u32, String, String, OwnedObjectPath)> {
        let path = |text: &str| OwnedObjectPath::try_from(text).unwrap();
        vec![
            (
                "7".to_owned(),
                1000,
                "alice".to_owned(),
                String::new(),
                path("/session/_37"),
            ),
            (
                "8".to_owned(),
                0,
                "root".to_owned(),
                "seat0".to_owned(),
                path("/session/gone"),
            ),
        ]
    }
}

struct Session;

#[interface(name = "org.freedesktop.login1.Session")]
impl Session {
    #[zbus(property, name = "Type")]
    fn kind(&self) -> &'static str {
        "tty"
    }

    #[zbus(property)]
    fn remote(&self) -> bool {
        true
    }

    #[zbus(property)]
    fn remote_host(&self) -> &'static str {
        "192.0.2.1"
    }

    #[zbus(property)]
    fn leader(&self) -> u32 {
        4711
    }

    #[zbus(property)]
    fn timestamp(&self) -> u64 {
        1_769_860_800_000_000
    }
}

#[test]
fn sessions_are_listed() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let Some(_daemon) = machine.system_bus() else {
        return;
    };
    let bus = Bus::system().unwrap();
    bus.wait(async {
        let server = bus.connection().object_server();
        server.at("/org/freedesktop/login1", Logind).await.unwrap();
        server.at("/session/_37", Session).await.unwrap();
        bus.connection()
            .request_name("org.freedesktop.login1")
            .await
            .unwrap();
    });
    let registry = registry(machine.dir(), "");
    let list = ask(&registry, "host_sessions", json!({}));
    let alice = &list["sessions"][0];
    let expected: HashMap<_, _> = HashMap::from([
        ("user", json!("alice")),
        ("session_type", json!("tty")),
        ("remote_host", json!("192.0.2.1")),
        ("leader", json!(4711)),
        ("since", json!("2026-01-31T12:00:00Z")),
        ("seat", Value::Null),
    ]);
    for (key, value) in expected {
        assert_eq!(alice[key], value, "{key}");
    }
    assert_eq!(list["sessions"][1]["user"], "root");
    assert_eq!(ask(&registry, "host_info", json!({}))["sessions"], 2);
}
