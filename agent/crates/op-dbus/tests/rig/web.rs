//! The web server on a machine of a test, and a client that can be as rude as it likes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lab::wait_for;
use serde_json::{Value, json};

use super::Rig;
use super::bus::{Who, as_who};
use super::daemon::Daemon;

/// Nobody, but in the group that gets to the daemon's socket.
const WEB: Who = Who {
    uid: 60_010,
    groups: "60000",
};
pub const ADDRESS: &str = "127.0.0.1:8089";

/// A web server without rights, that runs until it is dropped.
pub struct Web {
    pub child: Child,
    pub address: SocketAddr,
    log: PathBuf,
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    /// In small letters.
    pub head: String,
    /// As it was sent: values of cookies are no words.
    pub raw_head: String,
    pub body: String,
}

impl Web {
    pub fn start(rig: &Rig, daemon: &Daemon) -> Self {
        Self::start_with(rig, daemon, |_| {})
    }

    pub fn start_with(rig: &Rig, daemon: &Daemon, prepare: impl FnOnce(&mut Command)) -> Self {
        let log_file = rig.machine.dir().join("web.log");
        let log = std::fs::File::create(&log_file).unwrap();
        let mut command = as_who(WEB, env!("CARGO_BIN_EXE_op-dbus"));
        command
            .arg("-vv")
            .arg("--file")
            .arg(&rig.file)
            .args(["web", "--listen", ADDRESS, "--socket"])
            .arg(&daemon.jsonrpc)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .env_remove("JOURNAL_STREAM")
            .env_remove("MCP_CHAT_PORT")
            .env_remove("STATE_DIRECTORY");
        prepare(&mut command);
        let mut web = Self {
            child: command.spawn().expect("start the web server"),
            address: ADDRESS.parse().unwrap(),
            log: log_file,
        };
        wait_for("the web server", Duration::from_secs(60), || {
            if let Some(status) = web.child.try_wait().unwrap() {
                panic!("the web server ended: {status}: {}", web.said());
            }
            TcpStream::connect(web.address).ok()
        });
        web
    }

    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("connect to the web server");
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        stream
    }

    /// Sends bytes, and reads one answer.
    pub fn raw(&self, bytes: &[u8]) -> Reply {
        let mut stream = self.connect();
        // It may be refused while it is still being sent.
        let _ = stream.write_all(bytes);
        Reply::read(&mut stream)
    }

    pub fn get(&self, path: &str, headers: &str) -> Reply {
        let host = self.address;
        self.raw(
            format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n")
                .as_bytes(),
        )
    }

    pub fn post(&self, path: &str, headers: &str, body: &str) -> Reply {
        let (host, length) = (self.address, body.len());
        self.raw(
            format!(
                "POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n\
                 Accept: application/json, text/event-stream\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
            )
            .as_bytes(),
        )
    }

    /// One request of the era without sessions.
    pub fn ask(&self, token: &str, method: &str, params: Value) -> Reply {
        self.ask_at("/mcp", token, method, params)
    }

    pub fn ask_at(&self, path: &str, token: &str, method: &str, mut params: Value) -> Reply {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let name = params["name"].as_str().or(params["uri"].as_str());
        let name = name.map_or(String::new(), |name| format!("Mcp-Name: {name}\r\n"));
        let body = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
        let headers = format!(
            "{}MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\n{name}",
            bearer(token)
        );
        self.post(path, &headers, &body.to_string())
    }

    pub fn call(&self, token: &str, tool: &str, arguments: Value) -> Reply {
        self.ask(
            token,
            "tools/call",
            json!({ "name": tool, "arguments": arguments }),
        )
    }

    /// Has the declaration read again.
    pub fn hang_up(&self) {
        self.signal(rustix::process::Signal::HUP);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        use rustix::process::{Pid, kill_process};
        let id = i32::try_from(self.child.id()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    pub fn terminate(&mut self) {
        self.signal(rustix::process::Signal::TERM);
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.said());
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the web server's log:\n{}", self.said());
        }
    }
}

pub fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

impl Reply {
    /// Reads to the end of the answer, or what came of it.
    pub fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        let mut part = [0; 8192];
        while let Ok(count @ 1..) = stream.read(&mut part) {
            bytes.extend_from_slice(&part[..count]);
        }
        let text = String::from_utf8_lossy(&bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        Self {
            status: status.unwrap_or_default(),
            head: head.to_ascii_lowercase(),
            raw_head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:#?}");
        self
    }

    /// The message, of JSON or of the last event of a stream; chunks have lines of their own.
    #[track_caller]
    pub fn json(&self) -> Value {
        let lines = self.body.lines();
        let found = lines
            .map(|line| line.strip_prefix("data:").unwrap_or(line).trim())
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .rfind(Value::is_object);
        found.unwrap_or_else(|| panic!("no JSON: {self:#?}"))
    }
}

/// A command that makes a token's file as the operator would.
pub fn make_token(rig: &Rig, name: &str, scope: &str) -> (String, String) {
    let file = rig.machine.dir().join(format!("token-{name}"));
    let file = file.to_str().unwrap();
    let made = rig.json(&["web", "token", name, "--file", file, "--scope", scope]);
    let made = made.expect(0).json();
    let secret = made["token"].as_str().unwrap().to_owned();
    (
        secret,
        format!("    {name}: {{file: {file}, scopes: [\"{scope}\"]}}\n"),
    )
}

/// The command that runs as the web server does.
pub fn as_web(program: &str) -> Command {
    as_who(WEB, program)
}
