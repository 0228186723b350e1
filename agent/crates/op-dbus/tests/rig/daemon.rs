//! The daemon on a machine of a test.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lab::wait_for;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::Rig;

/// A daemon that runs until it is dropped.
pub struct Daemon {
    pub child: Child,
    pub jsonrpc: PathBuf,
    pub api: PathBuf,
    log: PathBuf,
}

impl Daemon {
    /// Starts one without a bus, and waits until its doors are open.
    pub fn start(rig: &Rig) -> Self {
        Self::start_with(rig, &["--no-bus"], |_| {})
    }

    pub fn start_with(rig: &Rig, options: &[&str], prepare: impl FnOnce(&mut Command)) -> Self {
        let jsonrpc = rig.machine.dir().join("jsonrpc.sock");
        let api = rig.base.join("sockets/api/opdbus.sock");
        let log_file = rig.machine.dir().join("daemon.log");
        let log = std::fs::File::create(&log_file).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_op-dbus"));
        command
            .arg("-vv")
            .arg("--file")
            .arg(&rig.file)
            .arg("daemon")
            .arg("--jsonrpc")
            .arg(&jsonrpc)
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .env_remove("JOURNAL_STREAM");
        prepare(&mut command);
        let mut daemon = Self {
            child: command.spawn().expect("start the daemon"),
            jsonrpc,
            api,
            log: log_file,
        };
        let limit = Duration::from_secs(60);
        wait_for("the daemon's doors", limit, || {
            if let Some(status) = daemon.child.try_wait().unwrap() {
                panic!("the daemon ended: {status}");
            }
            UnixStream::connect(&daemon.jsonrpc).ok()
        });
        // It listens before its first look, and answers after it.
        daemon.host();
        daemon
    }

    pub fn id(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// Sends SIGTERM and waits; how long that took.
    pub fn terminate(&mut self) -> Duration {
        let begun = Instant::now();
        self.signal(Signal::TERM);
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
        begun.elapsed()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.id()).unwrap(), signal).unwrap();
    }

    pub fn connect(&self) -> Line {
        Line::open(&self.jsonrpc)
    }

    /// What `daemon.status` says of the host.
    pub fn host(&self) -> Value {
        self.connect().request("daemon.status", json!({}))["result"]["host"].take()
    }

    /// Waits until the host stands so.
    #[track_caller]
    pub fn wait_until(
        &self,
        what: &str,
        limit: Duration,
        condition: impl Fn(&Value) -> bool,
    ) -> Value {
        wait_for(what, limit, || Some(self.host()).filter(&condition))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            eprintln!("the daemon's log:\n{log}");
        }
    }
}

/// A connection to the JSON-RPC door.
pub struct Line {
    pub stream: UnixStream,
    pub reader: BufReader<UnixStream>,
    next: u64,
}

impl Line {
    pub fn open(path: &std::path::Path) -> Self {
        let stream = UnixStream::connect(path).expect("connect to the daemon");
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        Self {
            stream,
            reader,
            next: 0,
        }
    }

    /// Sends a request and gives its answer; what is told in between is left out.
    pub fn request(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = self.next;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        loop {
            let message = self.receive().expect("an answer");
            if message["id"] == json!(id) {
                return message;
            }
        }
    }

    pub fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.request(
            "tools.call",
            json!({ "name": tool, "arguments": arguments }),
        )
    }

    pub fn send(&mut self, message: &Value) {
        self.stream
            .write_all(format!("{message}\n").as_bytes())
            .unwrap();
    }

    pub fn receive(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.reader.read_line(&mut line).unwrap() {
            0 => None,
            _ => Some(serde_json::from_str(&line).unwrap()),
        }
    }
}
