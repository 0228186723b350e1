//! Services on a private bus, and bridges to them.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lab::{Machine, SystemBus, has, output, run, skip, wait_for};
use serde_json::{Value, json};

use crate::mcp_client::Client;

/// Programs that a test started; they end with it.
#[derive(Default)]
pub struct Started(Vec<Child>);

impl Drop for Started {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A machine with a bus; it goes last.
pub struct Rig {
    started: Started,
    _bus: SystemBus,
    pub machine: Machine,
}

impl Rig {
    pub fn new() -> Option<Self> {
        let machine = Machine::new("needs root")?;
        let _bus = machine.system_bus()?;
        Some(Self {
            started: Started::default(),
            _bus,
            machine,
        })
    }

    /// Starts a program, and waits until it has the name.
    pub fn service(&mut self, name: &str, program: &str, arguments: &[&str]) -> Option<()> {
        if !has(program) && !PathBuf::from(program).is_file() {
            skip(&format!("needs {program}"));
            return None;
        }
        let log = fs::File::create(self.log(name)).unwrap();
        let child = Command::new(program)
            .args(arguments)
            .env("SYSTEMD_LOG_TARGET", "console")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.started.0.push(child);
        wait_for(name, Duration::from_secs(60), || owned(name).then_some(()));
        Some(())
    }

    /// Starts a program that runs until the test ends.
    pub fn keep(&mut self, program: &str, arguments: &[&str], environment: &[(&str, &str)]) {
        let child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        self.started.0.push(child);
    }

    /// Whether there is python-dbusmock; the test counts as skipped if not.
    pub fn has_dbusmock(&self) -> bool {
        let found = output("/usr/bin/python3", &["-c", "import dbusmock"]);
        if !found.status.success() {
            skip("needs python3-dbusmock");
        }
        found.status.success()
    }

    /// A mock made by python-dbusmock, from its template or empty.
    pub fn mock(&mut self, name: &str, arguments: &[&str]) -> Option<()> {
        let python = "/usr/bin/python3";
        let module = output(python, &["-c", "import dbusmock"]);
        if !module.status.success() {
            skip("needs python3-dbusmock");
            return None;
        }
        let log = self.log("mock").display().to_string();
        let mut all = vec!["-m", "dbusmock", "--logfile", &log];
        all.extend(arguments);
        self.service(name, python, &all)
    }

    /// What was called on the mock.
    pub fn calls(&self) -> String {
        fs::read_to_string(self.log("mock")).unwrap_or_default()
    }

    fn log(&self, name: &str) -> PathBuf {
        self.machine.dir().join(format!("{name}.log"))
    }

    /// The bridge's command line.
    pub fn command(&self, service: &str, options: &[&str]) -> Command {
        let program = self.machine.dir().join("dbus-mcp-bridge");
        if !program.exists() {
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_op-dbus"), &program).unwrap();
        }
        let mut command = Command::new(program);
        command.args(["--service", service]).args(options);
        command
    }

    /// A bridge, and a client of it that cannot ask a person.
    pub fn bridge(&self, service: &str, options: &[&str]) -> Client {
        Client::with(&mut self.command(service, options), json!({}))
    }
}

pub fn owned(name: &str) -> bool {
    let call = [
        "--system",
        "call",
        "org.freedesktop.DBus",
        "/org/freedesktop/DBus",
        "org.freedesktop.DBus",
        "NameHasOwner",
        "s",
        name,
    ];
    output("busctl", &call).stdout.starts_with(b"b true")
}

/// What busctl says to a call: the values of the answer.
pub fn busctl(arguments: &[&str]) -> Vec<Value> {
    let mut call = vec!["--system", "--json=short", "call"];
    call.extend(arguments);
    let printed: Value = serde_json::from_str(&run("busctl", &call)).unwrap();
    printed["data"].as_array().cloned().unwrap_or_default()
}

/// A value of busctl's with its variants as their plain values.
pub fn plain(value: &Value) -> Value {
    match value {
        Value::Object(object) if object.len() == 2 && object.contains_key("data") => {
            plain(&object["data"])
        }
        Value::Object(object) => {
            let entries = object
                .iter()
                .map(|(key, value)| (key.clone(), plain(value)));
            Value::Object(entries.collect())
        }
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Number(number) if number.is_i64() || number.is_u64() => {
            let exact = 1_u64 << 53;
            match number.as_u64().is_none_or(|number| number < exact) {
                true => value.clone(),
                false => number.to_string().into(),
            }
        }
        other => other.clone(),
    }
}
