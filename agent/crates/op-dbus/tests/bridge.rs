//! The bridge as a client sees it: over standard input and output, to real services and to mocks.
#![allow(clippy::unwrap_used)]

mod bridge_rig;
mod mcp_client;

use std::collections::BTreeSet;

use bridge_rig::{Rig, busctl, plain};
use mcp_client::Client;
use serde_json::{Value, json};

/// What holds for every list of tools.
fn check_tools(tools: &[Value]) {
    let names: BTreeSet<_> = tools
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), tools.len());
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    for tool in tools {
        let name = tool["name"].as_str().unwrap();
        assert!(name.len() <= 48 && name.chars().all(allowed), "{name}");
        for schema in [&tool["inputSchema"], &tool["outputSchema"]] {
            assert!(jsonschema::draft202012::meta::is_valid(schema), "{schema}");
            assert_eq!(schema["type"], "object");
        }
    }
}

fn tool<'a>(tools: &'a [Value], name: &str) -> &'a Value {
    let found = tools.iter().find(|tool| tool["name"] == name);
    found.unwrap_or_else(|| panic!("no tool {name}"))
}

/// All properties of an object, as the bridge and as busctl have them.
fn compare(client: &mut Client, service: &str, path: &str, interface: &str) {
    let shown = client.value("get_properties", json!({ "object_path": path }));
    let all = ["org.freedesktop.DBus.Properties", "GetAll", "s", interface];
    let seen = busctl(&[&[service, path][..], &all[..]].concat());
    assert_eq!(shown["properties"][interface], plain(&seen[0]), "{service}");
}

#[test]
fn real_services_say_what_they_say_to_busctl() {
    let Some(mut rig) = Rig::new() else { return };
    let services = [
        (
            "hostname1",
            "/lib/systemd/systemd-hostnamed",
            "/org/freedesktop/hostname1",
            Some(("Describe", "json")),
        ),
        (
            "timedate1",
            "/lib/systemd/systemd-timedated",
            "/org/freedesktop/timedate1",
            Some(("ListTimezones", "timezones")),
        ),
        (
            "locale1",
            "/lib/systemd/systemd-localed",
            "/org/freedesktop/locale1",
            None,
        ),
    ];
    for (short, program, path, read) in services {
        let name = format!("org.freedesktop.{short}");
        if rig.service(&name, program, &[]).is_none() {
            return;
        }
        let mut client = rig.bridge(&name, &[]);
        let tools = client.tools();
        check_tools(&tools);
        for tool in &tools {
            assert_eq!(tool["annotations"]["readOnlyHint"], true, "{tool}");
        }
        // TimeUSec goes on between two looks, and asking for the whole of it is not the point.
        if name != "org.freedesktop.timedate1" {
            compare(&mut client, &name, path, &name);
        }
        // Before the next service: one that nobody asks ends after half a minute.
        if let Some((method, field)) = read {
            let told = client.value(&format!("{short}-{method}"), json!({}));
            assert_eq!(told[field], busctl(&[&name, path, &name, method])[0]);
        }
        // The same tools in the next run.
        assert_eq!(rig.bridge(&name, &[]).tools(), tools);
        assert_eq!(client.end(), 0);
    }
}

#[test]
fn polkit_is_asked_about_and_not_changed() {
    let Some(mut rig) = Rig::new() else { return };
    let (name, path) = (
        "org.freedesktop.PolicyKit1",
        "/org/freedesktop/PolicyKit1/Authority",
    );
    if rig
        .service(name, "/usr/lib/polkit-1/polkitd", &["--no-debug"])
        .is_none()
    {
        return;
    }
    let mut client = rig.bridge(name, &["--raw"]);
    check_tools(&client.tools());
    let actions = client.value("Authority-EnumerateActions", json!({ "locale": "" }));
    let interface = "org.freedesktop.PolicyKit1.Authority";
    let seen = busctl(&[name, path, interface, "EnumerateActions", "s", ""]);
    assert_eq!(actions["action_descriptions"][0], seen[0][0]);
    compare(&mut rig.bridge(name, &[]), name, path, interface);
    let refused = client.call("Authority-RevokeTemporaryAuthorizations", json!({}));
    assert_eq!(refused["code"], -32602, "{refused}");
}

#[test]
fn a_mocked_network_manager_is_read_and_nothing_else_unless_allowed() {
    let Some(mut rig) = Rig::new() else { return };
    let name = "org.freedesktop.NetworkManager";
    if rig
        .mock(name, &["--system", "--template", "networkmanager"])
        .is_none()
    {
        return;
    }
    let mut client = rig.bridge(name, &[]);
    let tools = client.tools();
    check_tools(&tools);
    let devices = client.value("NetworkManager-GetDevices", json!({}));
    let path = "/org/freedesktop/NetworkManager";
    assert_eq!(
        devices["out0"],
        busctl(&[name, path, name, "GetDevices"])[0]
    );
    compare(&mut client, name, path, name);

    let before = rig.calls();
    let call =
        json!({ "object_path": path, "connection": "/", "device": "/", "specific_object": "/" });
    let refused = client.call("NetworkManager-ActivateConnection", call);
    assert_eq!(refused["code"], -32602, "{refused}");
    let set = json!({
        "object_path": path, "interface": name, "property": "WirelessEnabled", "value": false,
    });
    assert_eq!(client.call("set_property", set.clone())["code"], -32602);
    assert_eq!(rig.calls(), before, "nothing reached the service");
    let about = client.value("describe", json!({ "interface": name }));
    let why = about["interface"]["without_tool"]["DeactivateConnection"]
        .as_str()
        .unwrap();
    assert!(why.contains("--allow-write=org.freedesktop.NetworkManager.DeactivateConnection"));

    let pattern = "--allow-write=org.freedesktop.NetworkManager.WirelessEnabled";
    let mut client = rig.bridge(name, &[pattern]);
    let plan = client.value("set_property", {
        let mut set = set.clone();
        set["dry_run"] = json!(true);
        set
    });
    assert!(plan["plan_hash"].is_string(), "{plan}");
    let wrong = json!({
        "object_path": path, "interface": name, "property": "WirelessEnabled", "value": "no",
    });
    let error = client.error("set_property", wrong);
    assert!(
        error.contains("/value: \"no\" was given, this must be true or false"),
        "{error}"
    );
    assert_eq!(busctl_property(name, path, "WirelessEnabled"), json!(true));
    client.value("set_property", set);
    assert_eq!(busctl_property(name, path, "WirelessEnabled"), json!(false));
    let other = json!({
        "object_path": path, "interface": name, "property": "NetworkingEnabled", "value": false,
    });
    assert!(client.error("set_property", other).starts_with("refused"));
    assert_eq!(
        client.call("NetworkManager-Enable", json!({ "enable": false }))["code"],
        -32602
    );
}

fn busctl_property(name: &str, path: &str, property: &str) -> Value {
    let get = [
        name,
        path,
        "org.freedesktop.DBus.Properties",
        "Get",
        "ss",
        name,
        property,
    ];
    plain(&busctl(&get)[0])
}

#[test]
fn a_mocked_package_kit_installs_what_it_is_allowed_to() {
    let Some(mut rig) = Rig::new() else { return };
    let (name, path) = ("org.freedesktop.PackageKit", "/org/freedesktop/PackageKit");
    if rig.mock(name, &["--system", name, path, name]).is_none() {
        return;
    }
    for (method, takes, gives, code) in [
        ("GetDaemonState", "", "s", "ret = 'idle'"),
        ("InstallPackages", "tas", "", ""),
        ("RemovePackages", "tasbb", "", ""),
    ] {
        let add = [
            "call",
            name,
            path,
            "org.freedesktop.DBus.Mock",
            "AddMethod",
            "sssss",
        ];
        lab::run(
            "busctl",
            &[&["--system"], &add[..], &[name, method, takes, gives, code]].concat(),
        );
    }
    let read = |client: &mut Client| client.value("PackageKit-GetDaemonState", json!({}));
    let mut client = rig.bridge(name, &[]);
    check_tools(&client.tools());
    assert_eq!(read(&mut client), json!({ "out0": "idle" }));
    let before = rig.calls();
    let install = json!({ "arg1": 1_u64, "arg2": ["a;1;x;y"] });
    assert_eq!(
        client.call("PackageKit-InstallPackages", install.clone())["code"],
        -32602
    );
    assert_eq!(rig.calls(), before);

    let mut client = rig.bridge(name, &["--allow-write=org.freedesktop.PackageKit.*"]);
    let tools = client.tools();
    check_tools(&tools);
    let hints = &tool(&tools, "PackageKit-InstallPackages")["annotations"];
    assert_eq!(
        (&hints["readOnlyHint"], &hints["destructiveHint"]),
        (&json!(false), &json!(true))
    );
    client.value("PackageKit-InstallPackages", install);
    let calls = rig.calls();
    assert!(
        calls[before.len()..].contains("InstallPackages 1 [\"a;1;x;y\"]"),
        "{calls}"
    );
    // What loses something takes a person, and this client cannot ask one.
    let remove = json!({ "arg1": 0, "arg2": ["a;1;x;y"], "arg3": true, "arg4": true });
    let error = client.error("PackageKit-RemovePackages", remove);
    assert!(error.starts_with("unconfirmed"), "{error}");
    assert!(!rig.calls().contains("RemovePackages 0"));
}

/// The rest of a list that was cut.
fn rest(client: &mut Client, answer: &Value) -> Vec<Value> {
    let mut items = Vec::new();
    let mut cursor = answer["_more"][0]["cursor"].clone();
    while cursor.is_string() {
        let page = client.value("more", json!({ "cursor": cursor }));
        items.extend(page["rest"].as_array().unwrap().iter().cloned());
        cursor = page["_more"][0]["cursor"].clone();
    }
    items
}

/// systemd lists in the order of a hash with a new seed each time.
fn sorted(mut items: Vec<Value>) -> Vec<Value> {
    items.sort_by_key(Value::to_string);
    items
}

#[test]
fn systemd_is_bridged_whole() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let Some(_systemd) = machine.systemd() else {
        return;
    };
    let (name, path) = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_op-dbus"));
    command.args(["bridge", "--service", name, "--allow-write"]);
    let mut client = Client::with(&mut command, json!({}));
    let tools = client.tools();
    check_tools(&tools);
    assert!(tools.len() > 80, "{}", tools.len());
    let hints = |name: &str| tool(&tools, name)["annotations"].clone();
    assert_eq!(hints("Manager-ListUnits")["readOnlyHint"], true);
    assert_eq!(hints("Manager-RestartUnit")["destructiveHint"], false);
    assert_eq!(hints("Manager-PowerOff")["destructiveHint"], true);
    assert!(
        !tools
            .iter()
            .any(|tool| tool["name"] == "Manager-DumpByFileDescriptor")
    );

    let manager = "org.freedesktop.systemd1.Manager";
    let units = client.value("Manager-ListUnitFiles", json!({}));
    let cut = units["_more"][0]["total"].as_u64();
    let mut files = units["unit_files"].as_array().unwrap().clone();
    files.extend(rest(&mut client, &units));
    assert!(cut.is_none_or(|total| files.len() as u64 == total));
    let seen = busctl(&[name, path, manager, "ListUnitFiles"]);
    assert_eq!(sorted(files), sorted(seen[0].as_array().unwrap().clone()));
    let unit = client.value("Manager-GetUnit", json!({ "name": "dbus.service" }));
    let unit_path = unit["unit"].as_str().unwrap();
    let get = json!({
        "object_path": unit_path, "interface": "org.freedesktop.systemd1.Unit", "names": ["Id", "ActiveState"],
    });
    let got = client.value("get_properties", get);
    let expected = json!({ "Id": "dbus.service", "ActiveState": "active" });
    assert_eq!(got["properties"]["org.freedesktop.systemd1.Unit"], expected);
    // A write that is known to be one that can be changed back needs no more than leave.
    let job = client.value(
        "Manager-RestartUnit",
        json!({ "name": "systemd-journald.service", "mode": "replace" }),
    );
    assert!(
        job["job"]
            .as_str()
            .unwrap()
            .starts_with("/org/freedesktop/systemd1/job/")
    );
    let error = client.error("Manager-GetUnit", json!({ "name": "nothing.service" }));
    assert!(
        error.starts_with("failed") && error.contains("systemd1.NoSuchUnit"),
        "{error}"
    );
}

#[test]
fn services_of_the_session_bus_are_bridged_too() {
    let Some(mut rig) = Rig::new() else { return };
    let socket = rig.machine.dir().join("session.sock");
    let address = format!("unix:path={}", socket.display());
    let config = rig.machine.dir().join("session.conf");
    let text = format!(
        "<busconfig><type>session</type><listen>{address}</listen><auth>EXTERNAL</auth><policy context=\"default\">\
         <allow user=\"*\"/><allow own=\"*\"/><allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/></policy></busconfig>"
    );
    std::fs::write(&config, text).unwrap();
    let file = format!("--config-file={}", config.display());
    rig.keep("dbus-daemon", &["--nofork", &file], &[]);
    lab::wait_for(
        "the session bus",
        std::time::Duration::from_secs(60),
        || std::os::unix::net::UnixStream::connect(&socket).ok(),
    );
    let (name, path) = ("org.example.Session", "/org/example/Session");
    let mock = ["-m", "dbusmock", "--session", name, path, name];
    if !rig.has_dbusmock() {
        return;
    }
    rig.keep(
        "/usr/bin/python3",
        &mock,
        &[("DBUS_SESSION_BUS_ADDRESS", &address)],
    );
    let at = format!("--address={address}");
    let call = |arguments: &[&str]| {
        lab::output(
            "busctl",
            &[&[at.as_str(), "call", name, path][..], arguments].concat(),
        )
    };
    let mocked = "org.freedesktop.DBus.Mock";
    lab::wait_for("the mock", std::time::Duration::from_secs(60), || {
        let made = call(&[
            mocked,
            "AddMethod",
            "sssss",
            "",
            "GetSum",
            "ii",
            "i",
            "ret = args[0] + args[1]",
        ]);
        made.status.success().then_some(())
    });
    let made = call(&[mocked, "AddMethod", "sssss", "", "SetIt", "s", "", ""]);
    assert!(made.status.success(), "{made:?}");
    let made = call(&[mocked, "AddProperty", "ssv", "", "Colour", "s", "green"]);
    assert!(made.status.success(), "{made:?}");

    // The system's bus has no such name, and is not asked.
    let refused = rig
        .command(name, &[])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert!(!refused.status.success(), "{refused:?}");
    let mut command = rig.command(name, &["--session"]);
    command
        .env("DBUS_SESSION_BUS_ADDRESS", &address)
        .env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent");
    let mut client = Client::with(&mut command, json!({}));
    let tools = client.tools();
    check_tools(&tools);
    assert!(
        tools.iter().all(|tool| tool["name"] != "Session-SetIt"),
        "{tools:#?}"
    );
    let seen = lab::run(
        "busctl",
        &[
            &at,
            "--json=short",
            "call",
            name,
            path,
            name,
            "GetSum",
            "ii",
            "2",
            "40",
        ],
    );
    let seen: Value = serde_json::from_str(&seen).unwrap();
    let sum = client.value("Session-GetSum", json!({ "arg1": 2, "arg2": 40 }));
    assert_eq!(sum["out0"], seen["data"][0], "{sum}");
    let shown = client.value("get_properties", json!({ "object_path": path }));
    assert_eq!(shown["properties"][name]["Colour"], "green");
    let resources = client.listed("resources/list", "resources");
    assert!(
        resources
            .iter()
            .all(|one| one["uri"].as_str().unwrap().starts_with("dbus://session/")),
        "{resources:#?}"
    );
    assert_eq!(client.end(), 0);
}
