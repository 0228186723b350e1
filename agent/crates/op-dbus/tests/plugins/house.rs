//! A host with a service to make a plugin of.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lab::{SystemBus, skip, wait_for};
use serde_json::Value;

use crate::rig::Rig;
use crate::rig::bus::python;

pub(crate) const SERVICE: &str = "org.freedesktop.NetworkManager";
pub(crate) const DEVICE: &str = "/org/freedesktop/NetworkManager/Devices/eth0";
pub(crate) const DEVICE_INTERFACE: &str = "org.freedesktop.NetworkManager.Device";

/// A host whose system bus has a mocked NetworkManager with the device `eth0`.
pub(crate) struct House {
    mock: Option<Child>,
    _bus: SystemBus,
    pub(crate) rig: Rig,
}

impl House {
    pub(crate) fn new() -> Option<Self> {
        let rig = Rig::storage(256)?;
        if python("import dbusmock").is_none() || !lab::has("busctl") {
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

    pub(crate) fn start_mock(&mut self) {
        let python = python("import dbusmock").unwrap();
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

    pub(crate) fn stop_mock(&mut self) {
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
    pub(crate) fn device(&self, property: &str) -> String {
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
    pub(crate) fn sets(&self) -> usize {
        let log = fs::read_to_string(self.log()).unwrap();
        let set = format!(" Set {DEVICE} ");
        log.lines().filter(|line| line.contains(&set)).count()
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.rig.base.join("@plugins/nm")
    }

    pub(crate) fn file(&self, name: &str) -> String {
        fs::read_to_string(self.directory().join(name)).unwrap()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.directory().join(name), text).unwrap();
    }

    pub(crate) fn generate(&self) {
        self.rig
            .json(&["plugin", "generate", SERVICE, "--name", "nm", "--write"])
            .expect(0);
    }

    /// What a person does: keeps two writes, and vouches for them.
    pub(crate) fn review(&self) {
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
    pub(crate) fn digests(&self) -> Value {
        let shown = self.rig.json(&["plugin", "show", "nm"]).expect(0).json();
        shown["interfaces"][DEVICE_INTERFACE].clone()
    }

    /// A plugin `nm` that is in use.
    pub(crate) fn with_plugin(&self) {
        self.generate();
        self.review();
        self.rig.json(&["plugin", "enable", "nm"]).expect(0);
    }

    pub(crate) fn declare(&self, device: &str) {
        self.rig
            .declare(&format!("  nm: {{device: {{eth0: {device}}}}}\n"));
    }

    pub(crate) fn query(&self) -> Value {
        self.rig.json(&["query"]).expect(0).json()["plugins"].clone()
    }

    pub(crate) fn problems(&self) -> Vec<Value> {
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
