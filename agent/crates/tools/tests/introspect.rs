//! The looks as tools: on this machine, and on a systemd of the test's own.
#![allow(clippy::unwrap_used)]

mod fixture;

use std::sync::Mutex;

use fixture::{call, caller, item, registry, texts};
use lab::{Machine, run};
use serde_json::json;
use tools::{Cancel, Door, Options, Role, ToolError};

#[test]
fn this_machine_is_seen_as_other_programs_see_it() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let btrfs = machine.btrfs(128);
    let target = btrfs.to_str().unwrap();
    run("btrfs", &["subvolume", "create", &format!("{target}/@one")]);
    lab::veth("lab0", "lab1");
    run("ip", &["address", "add", "192.0.2.7/24", "dev", "lab0"]);
    run("ip", &["link", "set", "lab0", "up"]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let registry = registry(machine.dir(), "");
    let look = |name: &str| call(&registry, Role::Viewer, name, json!({})).unwrap();

    let seen = look("introspect_hardware");
    let processors = run("getconf", &["_NPROCESSORS_CONF"]);
    assert_eq!(seen["processors"]["threads"].to_string(), processors.trim());
    assert!(seen["memory"]["total_bytes"].as_u64().unwrap() > 1 << 20);

    let seen = look("introspect_software");
    assert_eq!(seen["kernel"]["release"], run("uname", &["-r"]).trim());

    let seen = look("introspect_filesystems");
    let mount = item(&seen["mounts"], "target", target);
    assert_eq!(mount["kind"], "btrfs");
    let witness = run("stat", &["-f", "-c", "%b %S", target]);
    let numbers: Vec<u64> = witness
        .split_whitespace()
        .map(|word| word.parse().unwrap())
        .collect();
    assert_eq!(mount["usage"]["total_bytes"], numbers[0] * numbers[1]);
    let filesystem = seen["btrfs"]
        .as_array()
        .unwrap()
        .iter()
        .find(|found| found["mounts"] == json!([target]))
        .unwrap();
    let paths = texts(&filesystem["subvolumes"], "path");
    assert_eq!(paths, [target.to_owned(), format!("{target}/@one")]);
    let data = item(&filesystem["allocation"], "content", "data");
    assert_eq!(data["profiles"], json!(["single"]));

    let seen = look("introspect_network");
    let link = item(&seen["links"], "name", "lab0");
    assert!(
        link["addresses"]
            .as_array()
            .unwrap()
            .contains(&json!("192.0.2.7/24"))
    );
    item(&seen["routes"], "destination", "192.0.2.0/24");
    let port = listener.local_addr().unwrap().port();
    let sockets = seen["listening"].as_array().unwrap();
    assert!(
        sockets
            .iter()
            .any(|socket| socket["port"] == port && socket["address"] == "127.0.0.1")
    );

    let seen = look("introspect_runtime");
    assert!(seen["processes"]["total"].as_u64().unwrap() > 1);
}

#[test]
fn a_machine_without_a_bus_is_told_from_one_where_nobody_is_logged_in() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    run("mount", &["-t", "tmpfs", "tmpfs", "/run"]);
    let registry = registry(machine.dir(), "");
    let look = |name: &str, arguments| call(&registry, Role::Viewer, name, arguments);
    let seen = look("introspect_sessions", json!({})).unwrap();
    assert_eq!(
        (&seen["logind"], &seen["sessions"]),
        (&json!(false), &json!([]))
    );
    assert!(seen["unknown"][0].as_str().unwrap().contains("bus"));
    let refused = look("introspect_dbus", json!({})).unwrap_err();
    assert!(matches!(refused, ToolError::Unavailable(_)), "{refused}");
}

#[test]
fn services_are_listed_and_looked_at() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let Some(systemd) = machine.systemd() else {
        return;
    };
    let registry = registry(machine.dir(), "");
    let look = |name: &str, arguments| call(&registry, Role::Viewer, name, arguments);
    let names = look("introspect_dbus", json!({})).unwrap();
    let found = item(&names["names"], "name", "org.freedesktop.systemd1");
    assert!(found["owner"].as_str().unwrap().starts_with(':'));
    let hostnamed = item(&names["names"], "name", "org.freedesktop.hostname1");
    assert_eq!(
        (&hostnamed["activatable"], &hostnamed["owner"]),
        (&json!(true), &json!(null))
    );

    let service = "org.freedesktop.systemd1";
    let first = look(
        "introspect_service",
        json!({ "service": service, "limit": 10, "objects": 20 }),
    )
    .unwrap();
    assert_eq!(
        (&first["total"], &first["truncated"][0]["reason"]),
        (&json!(20), &json!("objects"))
    );
    assert!(first.get("interfaces").is_none());
    let more =
        json!({ "service": service, "limit": 10, "objects": 20, "cursor": first["next_cursor"] });
    let second = look("introspect_service", more).unwrap();
    assert!(texts(&first["objects"], "path").last() < texts(&second["objects"], "path").first());

    let manager = json!({ "service": service, "path": "/org/freedesktop/systemd1", "depth": 0,
                          "interface": "org.freedesktop.systemd1.Manager" });
    let seen = look("introspect_service", manager).unwrap();
    let start = item(&seen["interfaces"][0]["methods"], "name", "StartUnit");
    assert_eq!(texts(&start["args"], "signature"), ["s", "s", "o"]);

    // Nobody was started by any of it, and nobody is.
    let asleep = look(
        "introspect_service",
        json!({ "service": "org.freedesktop.hostname1" }),
    )
    .unwrap_err();
    assert!(matches!(asleep, ToolError::Unavailable(_)), "{asleep}");
    look("introspect_sessions", json!({})).unwrap();
    let names = look("introspect_dbus", json!({})).unwrap();
    for name in ["org.freedesktop.hostname1", "org.freedesktop.login1"] {
        assert_eq!(
            item(&names["names"], "name", name)["owner"],
            json!(null),
            "{name}"
        );
    }
    drop(systemd);
}

#[test]
fn what_is_no_name_is_refused_and_a_session_bus_is_its_users_alone() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let Some(_bus) = machine.system_bus() else {
        return;
    };
    let registry = registry(machine.dir(), "");
    for arguments in [
        json!({ "service": "no name" }),
        json!({ "service": "org.freedesktop.DBus", "path": "no path" }),
        json!({ "service": "org.freedesktop.DBus", "objects": 1_000_000 }),
    ] {
        let refused = call(
            &registry,
            Role::Viewer,
            "introspect_service",
            arguments.clone(),
        );
        assert!(matches!(refused, Err(ToolError::Invalid(_))), "{arguments}");
    }
    let mut by_daemon = caller(Role::Admin);
    by_daemon.door = Door::Jsonrpc;
    let told = Mutex::new(Vec::new());
    let listener = |event: &tools::Event| told.lock().unwrap().push(event.text.clone());
    let ask = |name: &str, arguments| {
        let (options, cancel) = (Options::default(), Cancel::default());
        registry.call(&by_daemon, name, arguments, options, &cancel, &listener)
    };
    let refused = ask("introspect_dbus", json!({ "bus": "session" })).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("op-dbus introspect --bus session"),
        "{refused}"
    );
    ask(
        "introspect_service",
        json!({ "service": "org.freedesktop.DBus" }),
    )
    .unwrap();
    assert!(
        told.lock()
            .unwrap()
            .iter()
            .any(|text| text.contains("org.freedesktop.DBus"))
    );
}
