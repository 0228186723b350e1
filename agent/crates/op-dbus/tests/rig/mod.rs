//! A machine with the command on it.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

pub mod bus;
pub mod daemon;
pub mod mcp;
pub mod web;
pub mod witness;

use std::cell::Cell;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use lab::{Machine, Ovs};
use serde_json::Value;

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl Ended {
    /// Waits for the end of a command that was begun.
    pub fn of(child: Child) -> Self {
        child.wait_with_output().unwrap().into()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    #[track_caller]
    pub fn expect(self, status: i32) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The command without a machine.
pub fn op_dbus(arguments: &[&str]) -> Ended {
    end(Command::new(env!("CARGO_BIN_EXE_op-dbus")).args(arguments))
}

fn end(command: &mut Command) -> Ended {
    let output = command.stdin(Stdio::null()).output();
    output.expect("op-dbus").into()
}

/// A machine of its own with a btrfs file system, and Open vSwitch if asked for.
pub struct Rig {
    pub base: PathBuf,
    pub ovs: Option<Ovs>,
    pub file: PathBuf,
    window: Cell<bool>,
    pub machine: Machine,
}

impl Rig {
    /// Without Open vSwitch.
    pub fn storage(mib: u64) -> Option<Self> {
        let machine = Machine::new("needs root")?;
        let base = machine.btrfs(mib).join("base");
        let file = machine.dir().join("state.yaml");
        Some(Self {
            base,
            ovs: None,
            file,
            window: Cell::new(false),
            machine,
        })
    }

    /// With Open vSwitch.
    pub fn whole(mib: u64) -> Option<Self> {
        let mut rig = Self::storage(mib)?;
        rig.ovs = Some(rig.machine.ovs());
        Some(rig)
    }

    /// With Open vSwitch and LXC, or skipped.
    pub fn with_lxc(mib: u64) -> Option<Self> {
        if !lab::has("lxc-start") || !lab::has("busybox") {
            lab::skip("needs lxc and busybox-static");
            return None;
        }
        Self::whole(mib)
    }

    pub fn ovs(&self) -> &Ovs {
        self.ovs.as_ref().unwrap()
    }

    /// Writes the declaration: the sections under `plugins:` beside `btrfs`, indented by two.
    pub fn declare(&self, sections: &str) {
        self.declare_top("", sections);
    }

    /// The same with keys beside `plugins`.
    pub fn declare_top(&self, keys: &str, sections: &str) {
        let base = self.base.display();
        let text =
            format!("{keys}version: \"1.0\"\nplugins:\n  btrfs: {{base: {base}}}\n{sections}");
        std::fs::write(&self.file, text).unwrap();
    }

    /// A bridge, its tables, the busybox template, and containers as given by name and last address byte.
    pub fn declare_house(&self, containers: &[(&str, u8)]) {
        let mut lines = String::new();
        for (name, last) in containers {
            lines.push_str(&format!(
                "      {name}: {{template: busybox, bridge: br0, address: 10.7.0.{last}/24}}\n"
            ));
        }
        let containers = match lines.as_str() {
            "" => "    containers: {}\n".to_owned(),
            lines => format!("    containers:\n{lines}"),
        };
        let run_dir = self.ovs().run_dir().display();
        self.declare(&format!(
            "  ovs:\n    run_dir: {run_dir}\n    bridges:\n      br0: {{datapath: netdev, addresses: [10.7.0.1/24]}}\n\
             \x20 openflow:\n    bridges:\n      br0: {{standard_tables: true}}\n\
             \x20 lxc:\n    templates:\n      busybox: {{recipe: busybox}}\n{containers}"
        ));
    }

    /// The section with a bridge that takes the card of [`lab::plug_in`] as its uplink.
    pub fn uplink(&self) -> String {
        let run_dir = self.ovs().run_dir().display();
        format!(
            "  ovs: {{run_dir: {run_dir}, bridges: {{br0: {{datapath: netdev, uplinks: [eth0]}}}}}}\n"
        )
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_op-dbus"));
        command.arg("--file").arg(&self.file).args(arguments);
        command.env_remove("SSH_CONNECTION");
        command
    }

    /// Runs it, and kills it at the nth of these system calls; whether it came to its end before. With `-f` in
    /// `options` its threads and children count too, each by itself.
    pub fn killed_at(&self, options: &[&str], calls: &str, nth: usize, arguments: &[&str]) -> bool {
        let command = self.command(arguments);
        let status = Command::new("strace")
            .args(["-qq", "-o", "/dev/null"])
            .args(options)
            .args(["-e", &format!("trace={calls}")])
            .args(["-e", &format!("inject={calls}:signal=KILL:when={nth}")])
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        status.success()
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        end(&mut self.command(arguments))
    }

    /// With `--json`.
    pub fn json(&self, arguments: &[&str]) -> Ended {
        let mut all = vec!["--json"];
        all.extend(arguments);
        self.run(&all)
    }

    #[track_caller]
    pub fn apply(&self) -> Value {
        self.json(&["apply"]).expect(0).json()
    }

    /// Nothing left to do, nothing left behind, and a ledger that holds together.
    #[track_caller]
    pub fn assert_converged(&self) {
        let verified = self.json(&["verify"]).expect(0).json();
        assert_eq!(verified["converged"], true, "{verified:#}");
        let second = self.apply();
        assert_eq!(second["outcome"], "unchanged", "{second:#}");
        assert!(
            !self.beside(".journal").exists(),
            "a journal was left behind"
        );
        let ledger = self.json(&["ledger", "verify"]).expect(0).json();
        assert_eq!(ledger["valid"], true, "{ledger:#}");
    }

    /// Waits until the guard of a confirm window has undone the run: its last act removes its declaration.
    pub fn wait_for_guard(&self) {
        lab::wait_for("the guard undoes the run", Duration::from_secs(30), || {
            (!self.beside(".window.json").exists()).then_some(())
        });
        assert!(!self.beside(".journal").exists());
    }

    pub fn beside(&self, suffix: &str) -> PathBuf {
        PathBuf::from(format!("{}{suffix}", self.base.display()))
    }

    /// Ledger entries, oldest first.
    pub fn ledger(&self, filter: &[&str]) -> Vec<Value> {
        let mut arguments = vec!["ledger", "log", "--limit", "0"];
        arguments.extend(filter);
        let log = self.json(&arguments).expect(0).json();
        log["entries"].as_array().unwrap().clone()
    }

    /// What a container's command prints.
    pub fn exec(&self, container: &str, arguments: &[&str]) -> Ended {
        let mut all = vec!["container", "exec", container, "--"];
        all.extend(arguments);
        self.run(&all)
    }

    /// Stops every container, so that nothing of them outlives the test.
    pub fn stop_containers(&self) {
        let path = self.base.join("@containers");
        let path = path.to_str().unwrap();
        let running = lab::output("lxc-ls", &["-P", path, "--running", "-1"]).stdout;
        for name in String::from_utf8_lossy(&running).lines() {
            lab::output("lxc-stop", &["-k", "-P", path, "-n", name.trim()]);
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if self.ovs.is_some() {
            self.stop_containers();
        }
    }
}
