//! Plugins made from D-Bus services, from the mock of NetworkManager (python-dbusmock) to the ledger.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod house;
#[path = "../rig/mod.rs"]
mod rig;

use std::fs;

use futures_util::StreamExt;
use house::{DEVICE, DEVICE_INTERFACE, House, SERVICE};
use rig::Ended;
use serde_json::json;

fn message(ended: &Ended) -> String {
    ended.json()["error"]["message"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn a_service_becomes_a_plugin_that_keeps_what_is_declared() {
    let Some(house) = House::new() else { return };
    let rig = &house.rig;

    // Only a look: nothing is written.
    let shown = rig
        .json(&["plugin", "generate", SERVICE, "--name", "nm"])
        .expect(0)
        .json();
    let mapping = shown["files"]["semantic-mapping.toml"].as_str().unwrap();
    assert!(
        mapping.contains("AutoConnect") && !mapping.lines().any(|line| line == "safe = true"),
        "{mapping}"
    );
    assert!(!house.directory().exists());
    // The name of one that comes with the agent is taken.
    rig.json(&["plugin", "generate", SERVICE, "--write"])
        .expect(3);

    house.generate();
    assert!(
        lab::run(
            "btrfs",
            &["subvolume", "show", house.directory().to_str().unwrap()]
        )
        .contains("nm")
    );
    assert!(house.directory().join("state").is_dir() && house.directory().join("cache").is_dir());
    assert!(
        house.query().get("nm").is_none(),
        "a disabled plugin shows nothing"
    );
    let refused = rig.json(&["plugin", "enable", "nm"]).expect(3);
    assert!(
        message(&refused).contains("device.AutoConnect"),
        "{refused:?}"
    );
    house.declare("{AutoConnect: true}");
    assert!(
        house.problems()[0]["found"]
            .as_str()
            .unwrap()
            .contains("disabled")
    );

    house.review();
    rig.json(&["plugin", "enable", "nm"]).expect(0);
    rig.declare("");
    let seen = house.query();
    assert_eq!(seen["nm"]["device:eth0"]["owner"], "foreign");
    assert_eq!(seen["nm"]["device:eth0"]["state"]["AutoConnect"], false);
    assert_eq!(
        seen["networkmanager"]["device:eth0"]["state"]["Managed"],
        true
    );

    let before = house.sets();
    house.declare("{AutoConnect: true}");
    let plan = rig.json(&["plan"]).expect(0).json();
    let change = &plan["changes"][0];
    assert_eq!(change["resource"], "device:eth0", "{plan:#}");
    assert_eq!(change["before"], json!({ "AutoConnect": false }));
    assert_eq!(change["after"], json!({ "AutoConnect": true }));
    assert_eq!(house.sets(), before, "looking sets nothing");
    rig.apply();
    assert_eq!(house.device("AutoConnect"), "b true");
    assert_eq!(house.device("Managed"), "b true");
    rig.assert_converged();
    assert_eq!(house.sets(), before + 1, "once, and nothing else of it");
    assert_eq!(house.query()["nm"]["device:eth0"]["owner"], "ours");

    // Somebody changes it behind our back.
    let all = [
        "--system",
        "set-property",
        SERVICE,
        DEVICE,
        DEVICE_INTERFACE,
        "AutoConnect",
        "b",
        "false",
    ];
    lab::run("busctl", &all);
    let drift = rig.json(&["verify"]).expect(1).json();
    assert_eq!(drift["drift"][0]["resource"], "nm/device:eth0", "{drift:#}");
    rig.apply();
    assert_eq!(house.device("AutoConnect"), "b true");

    // Nobody confirms it.
    house.declare("{AutoConnect: false}");
    rig.json(&["apply", "--confirm", "60s"]).expect(0);
    assert_eq!(house.device("AutoConnect"), "b false");
    rig.json(&["rollback"]).expect(0);
    assert_eq!(house.device("AutoConnect"), "b true");

    // What is no longer declared stays as it is.
    rig.declare("");
    rig.assert_converged();
    assert_eq!(house.device("AutoConnect"), "b true");
    let calls: Vec<_> = rig
        .ledger(&[])
        .iter()
        .map(|entry| entry["operation"].clone())
        .collect();
    for tool in ["plugin_create", "plugin_enable"] {
        let entries = calls.iter().filter(|call| **call == tool).count();
        assert!(
            entries >= 2,
            "{tool}: the refused call and the done one are in the ledger: {calls:?}"
        );
    }
}

/// A service that shows the property `First` for so many looks, and `Second` from then on.
fn moody(looks: usize) -> dbus::Bus {
    let bus = dbus::Bus::system().unwrap();
    let connection = bus.connection().clone();
    bus.wait(async {
        let mut calls = zbus::MessageStream::from(connection.clone());
        connection.request_name("org.example.Moody").await.unwrap();
        tokio::spawn(async move {
            let mut looked = 0;
            while let Some(Ok(call)) = calls.next().await {
                let header = call.header();
                if call.message_type() != zbus::message::Type::MethodCall {
                    continue;
                }
                if header.member().unwrap().as_str() != "Introspect" {
                    let name = "org.freedesktop.DBus.Error.UnknownMethod";
                    connection
                        .reply_error(&header, name, &("no",))
                        .await
                        .unwrap();
                    continue;
                }
                looked += 1;
                let name = if looked > looks { "Second" } else { "First" };
                let text = format!(
                    "<node><interface name='org.example.Moody'>\
                     <property name='{name}' type='u' access='read'/></interface></node>"
                );
                connection.reply(&header, &(text,)).await.unwrap();
            }
        });
    });
    bus
}

#[test]
fn what_is_created_is_what_was_shown() {
    let Some(house) = House::new() else { return };
    let _service = moody(2);
    let create = |more: &[&str]| {
        let call = ["tool", "call", "plugin_create"];
        let arguments = r#"{"service":"org.example.Moody"}"#;
        house.rig.json(&[&call[..], &[arguments], more].concat())
    };
    let plan = create(&["--dry-run"]).expect(0).json();
    let hash = plan["plan_hash"].as_str().unwrap();
    // It is looked at once more, and not again between the comparison and the writing.
    create(&["--plan", hash]).expect(0);
    let file = house.rig.base.join("@plugins/moody/semantic-mapping.toml");
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains("First") && !text.contains("Second"), "{text}");
    // What is enabled has to be what was shown, too.
    house
        .rig
        .json(&[
            "tool",
            "call",
            "plugin_enable",
            r#"{"name":"moody"}"#,
            "--plan",
            hash,
        ])
        .expect(3);
}

#[test]
fn what_was_not_reviewed_is_not_written() {
    let Some(house) = House::new() else { return };
    let rig = &house.rig;
    house.with_plugin();
    let before = house.sets();

    house.declare("{AutoConnect: 3, State: 7, Managd: true, Driver: x}");
    let problems = house.problems();
    let paths: Vec<_> = problems
        .iter()
        .map(|problem| problem["path"].as_str().unwrap())
        .collect();
    let at = |name: &str| format!("plugins.nm.device.eth0.{name}");
    let all = ["AutoConnect", "State", "Managd", "Driver"].map(at);
    assert_eq!(paths, all);
    assert!(
        problems[1]["found"]
            .as_str()
            .unwrap()
            .contains("only reads it")
    );
    assert!(
        problems[1]["accepted"]
            .as_str()
            .unwrap()
            .contains("`AutoConnect`, `Managed`")
    );
    assert_eq!(problems[2]["hint"], "did you mean `Managed`?");
    assert!(
        problems.iter().all(|problem| problem["line"].is_u64()),
        "{problems:?}"
    );

    // No mapping answers for it.
    rig.declare("  mn: {device: {}}\n");
    let problems = house.problems();
    assert_eq!(problems[0]["found"], "an unknown key");
    assert_eq!(problems[0]["hint"], "did you mean `nm`?");

    // A device that is not there is not made.
    rig.declare("  nm: {device: {eth7: {AutoConnect: true}}}\n");
    let refused = rig.json(&["plan"]).expect(3);
    assert!(
        message(&refused).contains("no such object: there are `eth0`"),
        "{refused:?}"
    );

    // The review is taken back.
    house.declare("{AutoConnect: true}");
    let mapping = house.file("semantic-mapping.toml");
    house.write(
        "semantic-mapping.toml",
        &mapping.replace("safe = true", "safe = false"),
    );
    assert!(
        house.problems()[0]["found"]
            .as_str()
            .unwrap()
            .contains("does not declare it safe")
    );
    rig.json(&["plan"]).expect(2);

    // The interface is not the one that was reviewed.
    house.write("semantic-mapping.toml", &mapping);
    let add = [
        "--system",
        "call",
        SERVICE,
        DEVICE,
        "org.freedesktop.DBus.Mock",
        "AddMethod",
        "sssss",
    ];
    lab::run(
        "busctl",
        &[&add[..], &[DEVICE_INTERFACE, "Explode", "", "", ""]].concat(),
    );
    let refused = rig.json(&["apply"]).expect(3);
    assert!(
        message(&refused).contains("no longer the one that was reviewed"),
        "{refused:?}"
    );
    let known = house.digests();
    assert_ne!(known["reviewed"][0], known["now"]);
    assert_eq!(house.sets(), before);
    // It was looked at again.
    let new = mapping.replace(
        known["reviewed"][0].as_str().unwrap(),
        known["now"].as_str().unwrap(),
    );
    house.write("semantic-mapping.toml", &new);
    rig.apply();
    assert_eq!(house.device("AutoConnect"), "b true");
}

#[test]
fn a_service_that_is_away_hurts_only_its_plugin() {
    let Some(mut house) = House::new() else {
        return;
    };
    house.with_plugin();
    house.declare("{AutoConnect: true}");
    house.stop_mock();
    let seen = house.query();
    assert!(
        seen["nm"]["error"]
            .as_str()
            .unwrap()
            .contains("not on the bus"),
        "{seen:#}"
    );
    assert!(seen["btrfs"].get("@cache").is_some());
    assert!(
        seen.get("networkmanager").is_none(),
        "one that comes with the agent appears with its service"
    );
    let failed = house.rig.json(&["plan"]).expect(1);
    assert!(message(&failed).contains("not on the bus"), "{failed:?}");
    house.rig.json(&["query", "networkmanager"]).expect(1);
    house.rig.declare("");
    house.rig.assert_converged();
    house.start_mock();
    house.declare("{AutoConnect: true}");
    house.rig.apply();
    assert_eq!(house.device("AutoConnect"), "b true");
}

#[test]
fn files_that_others_may_write_are_not_followed() {
    let Some(house) = House::new() else { return };
    house.with_plugin();
    let before = house.sets();
    house.declare("{AutoConnect: true}");
    let directory = house.directory();
    let file = directory.join("semantic-mapping.toml");
    let file = file.to_str().unwrap();
    let good = |house: &House| {
        house.rig.declare("");
        assert!(house.query()["nm"].get("device:eth0").is_some());
        house.declare("{AutoConnect: true}");
    };
    // `query` works on a bad declaration no more than others do, so it is asked without one.
    let refuses = |why: &str| {
        house.rig.declare("");
        let seen = house.query();
        assert!(
            seen["nm"]["error"]
                .as_str()
                .is_some_and(|error| error.contains(why)),
            "{seen:#}"
        );
        house.declare("{AutoConnect: true}");
        assert!(house.problems()[0]["found"].as_str().unwrap().contains(why));
        house.rig.json(&["plan"]).expect(2);
    };
    lab::run("chmod", &["0666", file]);
    refuses("can be written by others");
    lab::run("chmod", &["0644", file]);
    lab::run("chown", &["65534", file]);
    refuses("belongs to user 65534");
    lab::run("chown", &["0", file]);
    good(&house);
    lab::run("chmod", &["0777", directory.to_str().unwrap()]);
    refuses("can be written by others");
    lab::run("chmod", &["0755", directory.to_str().unwrap()]);
    lab::run("mv", &[file, &format!("{file}.real")]);
    lab::run("ln", &["-s", &format!("{file}.real"), file]);
    refuses("is a symbolic link");
    assert_eq!(house.sets(), before);
}
