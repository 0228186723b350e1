//! A client of `op-dbus mcp`, which says what a test wants it to.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The revision without sessions.
const STATELESS: &str = "2026-07-28";

/// A server, and the test at its standard input and output.
pub struct Client {
    pub child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    next: u64,
    meta: Option<Value>,
    /// What the server told on the way, and asked.
    pub told: Vec<Value>,
    /// The answer to a request of the server, if it asks.
    pub answer: Option<Value>,
}

impl Client {
    /// Starts a server, and says nothing yet.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("start op-dbus mcp");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            input,
            lines,
            next: 0,
            meta: None,
            told: Vec::new(),
            answer: None,
        }
    }

    /// A client with a session.
    pub fn session(command: Command, capabilities: Value) -> Self {
        let mut client = Self::spawn(command);
        client.initialize(capabilities);
        client
    }

    /// A client whose requests stand for themselves.
    pub fn stateless(command: Command, capabilities: Value) -> Self {
        let mut client = Self::spawn(command);
        client.speak_stateless(capabilities);
        client
    }

    pub fn speak_stateless(&mut self, capabilities: Value) {
        self.meta = Some(json!({
            "io.modelcontextprotocol/protocolVersion": STATELESS,
            "io.modelcontextprotocol/clientCapabilities": capabilities,
            "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        }));
    }

    pub fn initialize(&mut self, capabilities: Value) -> Value {
        self.meta = None;
        let about = json!({
            "protocolVersion": "2025-11-25", "capabilities": capabilities,
            "clientInfo": { "name": "test", "version": "1" },
        });
        let answer = self.request("initialize", about);
        self.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        answer["result"].clone()
    }

    /// Sends a request; its id.
    pub fn begin(&mut self, method: &str, mut params: Value) -> u64 {
        self.next += 1;
        if let Some(meta) = &self.meta {
            for (key, value) in meta.as_object().unwrap() {
                params["_meta"][key] = value.clone();
            }
        }
        let id = self.next;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        id
    }

    /// Sends a request and gives the whole answer.
    #[track_caller]
    pub fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.begin(method, params);
        self.wait(id)
    }

    /// Calls a tool: its result.
    #[track_caller]
    pub fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let answer = self.request(
            "tools/call",
            json!({ "name": tool, "arguments": arguments }),
        );
        assert!(answer["error"].is_null(), "{answer:#}");
        answer["result"].clone()
    }

    /// Waits for an answer, and answers what the server asks meanwhile.
    #[track_caller]
    pub fn wait(&mut self, id: u64) -> Value {
        loop {
            let message = self.receive().expect("an answer");
            if message["method"].is_null() {
                assert_eq!(message["id"], json!(id), "{message:#}");
                return message;
            }
            if let (Some(id), Some(answer)) = (message.get("id"), &self.answer) {
                let answer = json!({ "jsonrpc": "2.0", "id": id, "result": answer });
                self.send(&answer);
            }
            self.told.push(message);
        }
    }

    /// The next message; nothing when the server has ended.
    #[track_caller]
    pub fn receive(&mut self) -> Option<Value> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(serde_json::from_str(&line).expect("JSON, and nothing else")),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => None,
            Err(error) => panic!("no message: {error}"),
        }
    }

    pub fn send(&mut self, message: &Value) {
        self.send_line(message.to_string().as_bytes());
    }

    pub fn send_line(&mut self, line: &[u8]) {
        let input = self.input.as_mut().expect("an open input");
        input.write_all(line).unwrap();
        input.write_all(b"\n").unwrap();
    }

    /// Closes the server's input.
    pub fn hang_up(&mut self) {
        self.input = None;
    }

    /// Closes the input and waits for the server to end.
    pub fn end(mut self) -> ExitStatus {
        self.hang_up();
        self.child.wait().unwrap()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
