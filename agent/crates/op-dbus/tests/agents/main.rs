//! Agents and their tasks: on the bus with busctl and Python, by command, and over the daemon's death.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod faces;
mod order;
mod retries;
#[path = "../rig/mod.rs"]
mod rig;
mod rights;

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use lab::{Kept, wait_for};
use rig::Rig;
use rig::bus::{Bus, NOBODY, ROOT, Who};
use rig::daemon::Daemon;
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(60);
const AGENTS: [(&str, &str); 6] = [
    ("systemd", "Systemd"),
    ("file", "File"),
    ("network", "Network"),
    ("packagekit", "PackageKit"),
    ("monitor", "Monitor"),
    ("executor", "Executor"),
];

/// A host on which commands may be run that leave traces.
struct Host {
    rig: Rig,
    bus: Bus,
    daemon: Option<Daemon>,
}

impl Host {
    /// On a bus that is as strict as that of a host.
    fn new() -> Option<Self> {
        Self::on(Bus::strict)
    }

    fn on(bus: fn(&Rig) -> Option<Bus>) -> Option<Self> {
        let rig = Rig::storage(512)?;
        rig.declare("");
        rig.apply();
        let dir = rig.machine.dir().display().to_string();
        fs::create_dir(format!("{dir}/files")).unwrap();
        fs::write(format!("{dir}/files/greeting"), "hello\n").unwrap();
        let note = |name: &str| format!("{name}: [/bin/sh, -c, 'echo {name} >> {dir}/notes']");
        let hang = format!(
            "hang: [/bin/sh, -c, 'echo hang >> {dir}/notes; while [ ! -e {dir}/go ]; do sleep 0.05; done']"
        );
        rig.declare_top(
            &format!(
                "reconcile: observe\naccess:\n  files: {{read: [{dir}/files], write: [{dir}/files]}}\n  commands:\n\
                 \x20   late: [{dir}/late]\n\
                 \x20   {}\n    {}\n    {}\n    {hang}\n",
                note("a"),
                note("b"),
                note("c"),
            ),
            "",
        );
        let bus = bus(&rig)?;
        let daemon = Some(bus.daemon(&rig));
        Some(Self { rig, bus, daemon })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.rig.machine.dir().join(name)
    }

    /// The commands that were run, in order.
    fn notes(&self) -> Vec<String> {
        let notes = fs::read_to_string(self.file("notes")).unwrap_or_default();
        notes.lines().map(str::to_owned).collect()
    }

    /// Lets the command that hangs end, now and later.
    fn go(&self) {
        fs::write(self.file("go"), "").unwrap();
    }

    fn call(&self, who: Who, agent: &str, method: &str, values: &[&str]) -> rig::Ended {
        let name = format!("org.dbusmcp.Agent.{agent}");
        let path = format!("/org/dbusmcp/Agent/{agent}");
        let mut all = vec![
            "--system",
            "--json=short",
            "call",
            &name,
            &path,
            "org.dbusmcp.Agent",
            method,
        ];
        all.extend(values);
        self.bus.run(who, "busctl", &all)
    }

    /// What an agent answers as JSON.
    #[track_caller]
    fn ask(&self, who: Who, agent: &str, method: &str, values: &[&str]) -> Value {
        let printed = self.call(who, agent, method, values).expect(0).json();
        serde_json::from_str(printed["data"][0].as_str().expect("a text")).expect("JSON")
    }

    #[track_caller]
    fn execute(&self, who: Who, agent: &str, task: &Value) -> Value {
        self.ask(who, agent, "Execute", &["s", &task.to_string()])
    }

    /// Submits the run of a command by the command line; the task's number.
    #[track_caller]
    fn submit(&self, command: &str, options: &[&str]) -> String {
        let mut all = vec!["task", "submit", "command_run"];
        let name = format!("name={command}");
        all.push(&name);
        all.extend(options);
        self.rig.json(&all).expect(0).json()["id"].to_string()
    }

    #[track_caller]
    fn task(&self, id: &str) -> Value {
        self.rig.json(&["task", "show", id]).expect(0).json()
    }

    #[track_caller]
    fn wait_until(&self, id: &str, state: &str) -> Value {
        wait_for(&format!("task {id} to be {state}"), SOON, || {
            Some(self.task(id)).filter(|task| task["state"] == state)
        })
    }

    /// The daemon dies, or ends, and comes again.
    fn restart(&mut self, kill: bool) {
        let mut daemon = self.daemon.take().unwrap();
        match kill {
            true => {
                daemon.child.kill().unwrap();
                daemon.child.wait().unwrap();
            }
            false => assert!(daemon.terminate() < Duration::from_secs(30)),
        }
        drop(daemon);
        self.daemon = Some(self.bus.daemon(&self.rig));
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.go();
    }
}

/// The mock of polkit, which allows these actions.
struct Polkit<'a> {
    bus: &'a Bus,
    _process: Kept,
}

const POLKIT: &str = "org.freedesktop.PolicyKit1";

impl<'a> Polkit<'a> {
    fn start(bus: &'a Bus) -> Option<Self> {
        let Some(python) = rig::bus::python("import dbus, gi, dbusmock") else {
            lab::skip("needs python3-dbusmock");
            return None;
        };
        let mut command = bus.command(ROOT, &python);
        command
            .args(["-m", "dbusmock", "--template", "polkitd"])
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let process = Kept(command.spawn().unwrap());
        bus.wait_for(POLKIT);
        Some(Self {
            bus,
            _process: process,
        })
    }

    fn allow(&self, actions: &[&str]) {
        let count = actions.len().to_string();
        let mut all = vec![
            "--system",
            "call",
            POLKIT,
            "/org/freedesktop/PolicyKit1/Authority",
        ];
        all.extend(["org.freedesktop.DBus.Mock", "SetAllowed", "as", &count]);
        all.extend(actions);
        self.bus.run(ROOT, "busctl", &all).expect(0);
    }

    /// Answers with this, in Python, from now on.
    fn answer(&self, python: &str) {
        let path = "/org/freedesktop/PolicyKit1/Authority";
        let mut all = vec!["--system", "call", POLKIT, path];
        all.extend(["org.freedesktop.DBus.Mock", "AddMethod", "sssss"]);
        all.extend(["org.freedesktop.PolicyKit1.Authority", "CheckAuthorization"]);
        all.extend(["(sa{sv})sa{ss}us", "(bba{ss})", python]);
        self.bus.run(ROOT, "busctl", &all).expect(0);
    }
}
