//! Plugins made from D-Bus services, from the mock of NetworkManager (python-dbusmock) to the ledger.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod rig;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::StreamExt;
use lab::{SystemBus, skip, wait_for};
use rig::{Ended, Rig};
use serde_json::{Value, json};

const SERVICE: &str = "org.freedesktop.NetworkManager";
const DEVICE: &str = "/org/freedesktop/NetworkManager/Devices/eth0";
const DEVICE_INTERFACE: &str = "org.freedesktop.NetworkManager.Device";

/// A host whose system bus has a mocked NetworkManager with the device `eth0`.
struct House {
    mock: Option<Child>,
    _bus: SystemBus,
    rig: Rig,
}

impl House {
    fn new() -> Option<Self> {
        let rig = Rig::storage(256)?;
        if rig::bus::python("import dbusmock").is_none() || !lab::has("busctl") {
            skip("needs python3-dbusmock and busctl");
            return None;
        }
        let bus = rig.machine.system_bus()?;
        let mut house = Self {
            mock: None,
            _bus: bus,
            rig,
        };
        house.start_mock();
        house.rig.declare("");
        house.rig.apply();
        Some(house)
    }

    fn log(&self) -> PathBuf {
        self.rig.machine.dir().join("mock.log")
    }

    fn start_mock(&mut self) {
        let python = rig::bus::python("import dbusmock").unwrap();
        let log = fs::File::create(self.log()).unwrap();
        let mock = Command::new(python)
            .args(["-m", "dbusmock", "--system", "--template", "networkmanager"])
            .stdin(Stdio::null())
            .stdout(log)
            .spawn()
            .unwrap();
        self.mock = Some(mock);
        wait_for("the mock", Duration::from_secs(60), || {
            let added = self.mock_call("AddEthernetDevice", &["ssi", "eth0", "eth0", "100"]);
            added.status.success().then_some(())
        });
    }

    fn stop_mock(&mut self) {
        if let Some(mut mock) = self.mock.take() {
            let _ = mock.kill();
            let _ = mock.wait();
        }
    }

    fn mock_call(&self, method: &str, arguments: &[&str]) -> std::process::Output {
        let mut all = vec!["--system", "call", SERVICE, "/org/freedesktop"];
        all.extend(["org.freedesktop.DBus.Mock", method]);
        all.extend(arguments);
        lab::output("busctl", &all)
    }

    /// A property of the device as `busctl` tells it.
    fn device(&self, property: &str) -> String {
        let all = [
            "--system",
            "get-property",
            SERVICE,
            DEVICE,
            DEVICE_INTERFACE,
            property,
        ];
        lab::run("busctl", &all).trim().to_owned()
    }

    /// How often something of the device was set. What the mock sets itself, when it begins, is its list of devices.
    fn sets(&self) -> usize {
        let log = fs::read_to_string(self.log()).unwrap();
        let set = format!(" Set {DEVICE} ");
        log.lines().filter(|line| line.contains(&set)).count()
    }

    fn directory(&self) -> PathBuf {
        self.rig.base.join("@plugins/nm")
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.directory().join(name)).unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.directory().join(name), text).unwrap();
    }

    fn generate(&self) {
        self.rig
            .json(&["plugin", "generate", SERVICE, "--name", "nm", "--write"])
            .expect(0);
    }

    /// What a person does: keeps two writes, and vouches for them.
    fn review(&self) {
        let text = self.file("semantic-mapping.toml");
        let (head, writes) = text.split_once("[[write]]").unwrap();
        let kept = writes.split("[[write]]").filter(|entry| {
            entry.contains("resource = \"device\"")
                && (entry.contains("property = \"AutoConnect\"")
                    || entry.contains("property = \"Managed\""))
        });
        let kept: Vec<_> = kept
            .map(|entry| {
                let reviewed =
                    "safe = true\nreviewed_by = \"the test\"\nreviewed_at = \"2026-11-21\"";
                format!("[[write]]{}", entry.replace("safe = false", reviewed))
            })
            .collect();
        assert_eq!(kept.len(), 2, "{writes}");
        let text = format!("{head}{}", kept.concat());
        // The mock tells another type of a property once it was set (`v`): both are reviewed.
        for (property, value) in [("AutoConnect", "false"), ("Managed", "true")] {
            let all = [
                "set-property",
                SERVICE,
                DEVICE,
                DEVICE_INTERFACE,
                property,
                "b",
                value,
            ];
            lab::run("busctl", &[&["--system"], &all[..]].concat());
        }
        let known = self.digests();
        let [reviewed, now] = [&known["reviewed"][0], &known["now"]];
        let both = format!("{reviewed},\n{now}");
        self.write(
            "semantic-mapping.toml",
            &text.replace(&reviewed.to_string(), &both),
        );
    }

    /// The digests of the device's interface: in the mapping, and as it is.
    fn digests(&self) -> Value {
        let shown = self.rig.json(&["plugin", "show", "nm"]).expect(0).json();
        shown["interfaces"][DEVICE_INTERFACE].clone()
    }

    /// A plugin `nm` that is in use.
    fn with_plugin(&self) {
        self.generate();
        self.review();
        self.rig.json(&["plugin", "enable", "nm"]).expect(0);
    }

    fn declare(&self, device: &str) {
        self.rig
            .declare(&format!("  nm: {{device: {{eth0: {device}}}}}\n"));
    }

    fn query(&self) -> Value {
        self.rig.json(&["query"]).expect(0).json()["plugins"].clone()
    }

    fn problems(&self) -> Vec<Value> {
        let bad = self
            .rig
            .json(&["check", self.rig.file.to_str().unwrap()])
            .expect(2)
            .json();
        bad["error"]["problems"]
            .as_array()
            .unwrap_or_else(|| panic!("{bad:#}"))
            .clone()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop_mock();
    }
}

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
