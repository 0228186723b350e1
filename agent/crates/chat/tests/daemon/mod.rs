//! A daemon that says what a test wants, and counts; and who talks to it.
#![allow(dead_code)]

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chat::{Chat, Right, Seat, Speaker};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;

/// What it says now.
#[derive(Default)]
pub struct Say {
    /// The hash of all plans.
    pub hash: String,
    /// What a list of containers has.
    pub containers: Value,
    /// Calls that change something wait for the bell.
    pub hangs: bool,
    /// A run that waits to be confirmed for so many milliseconds is what comes of a change.
    pub window: Option<i64>,
    /// The run waits.
    pub waits: bool,
    /// How it ended, as the ledger has it.
    pub ended: Option<&'static str>,
    /// All calls of tools, and what was taken back.
    pub calls: Vec<Value>,
    pub cancelled: usize,
}

pub struct Daemon {
    pub path: PathBuf,
    pub say: Arc<Mutex<Say>>,
    pub bell: Arc<Notify>,
    pub dir: tempfile::TempDir,
}

impl Daemon {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let say = Say {
            hash: "aaaabbbbccccdddd".to_owned(),
            containers: json!([{ "name": "web-01", "state": { "running": true } }]),
            ..Say::default()
        };
        let daemon = Self {
            path,
            say: Arc::new(Mutex::new(say)),
            bell: Arc::new(Notify::new()),
            dir,
        };
        let (say, bell) = (Arc::clone(&daemon.say), Arc::clone(&daemon.bell));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&say), Arc::clone(&bell)));
            }
        });
        daemon
    }

    /// A chat that keeps what is said.
    pub fn chat(&self) -> Arc<Chat> {
        Chat::new(
            api::Client::via(&self.path, "web"),
            Some(self.dir.path().to_owned()),
        )
    }

    /// How often a tool was called.
    pub fn calls_of(&self, tool: &str) -> usize {
        let say = self.say.lock().unwrap();
        say.calls.iter().filter(|call| call["name"] == tool).count()
    }

    /// The calls that changed something.
    pub fn done(&self) -> Vec<Value> {
        let say = self.say.lock().unwrap();
        let writes = say.calls.iter().filter(|call| {
            let name = call["name"].as_str().unwrap();
            call["dry_run"] != true && ["container_start", "container_destroy"].contains(&name)
        });
        writes.cloned().collect()
    }
}

pub fn speaker(name: &str) -> Speaker {
    speaker_as(name, "admin")
}

pub fn speaker_as(name: &str, role: &'static str) -> Speaker {
    let token: Arc<str> = format!("opdbus_{name}").into();
    Speaker::new(name, move || Right {
        token: Arc::clone(&token),
        role: role.to_owned(),
    })
}

pub fn sit(chat: &Arc<Chat>, name: &str) -> Seat {
    chat.join(speaker(name), None, None)
}

/// The next event that `is` knows.
pub async fn until(seat: &mut Seat, is: impl Fn(&Value) -> bool) -> Value {
    let mut seen = Vec::new();
    let found = async {
        loop {
            let event: Value = serde_json::from_str(&seat.next().await.unwrap()).unwrap();
            if is(&event) {
                return event;
            }
            seen.push(event);
        }
    };
    let found = tokio::time::timeout(Duration::from_secs(30), found).await;
    found.unwrap_or_else(|_| panic!("it did not come: {seen:#?}"))
}

/// The next event of this kind.
pub async fn of(seat: &mut Seat, kind: &str) -> Value {
    until(seat, |event| event["type"] == kind).await
}

/// The button of a plan, with a name where one was typed.
pub fn approve(plan: &Value, name: Option<&str>) -> String {
    json!({ "type": "approve", "plan": plan["plan"], "name": name }).to_string()
}

async fn serve(stream: UnixStream, say: Arc<Mutex<Say>>, bell: Arc<Notify>) {
    let (reader, writer) = stream.into_split();
    let writer = Arc::new(tokio::sync::Mutex::new(writer));
    let mut lines = BufReader::new(reader).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let (say, bell, writer) = (Arc::clone(&say), Arc::clone(&bell), Arc::clone(&writer));
        tokio::spawn(async move {
            let asked: Value = serde_json::from_str(&line).unwrap();
            if asked["method"] == "tools.cancel" {
                say.lock().unwrap().cancelled += 1;
                return;
            }
            let mut answer = answer(&asked, &say, &bell).await;
            answer["jsonrpc"] = json!("2.0");
            answer["id"] = asked["id"].clone();
            let _ = writer
                .lock()
                .await
                .write_all(format!("{answer}\n").as_bytes())
                .await;
        });
    }
}

fn failed(code: &str, message: &str) -> Value {
    json!({ "error": { "code": -32000, "message": message, "data": { "code": code, "message": message } } })
}

async fn answer(asked: &Value, say: &Mutex<Say>, bell: &Notify) -> Value {
    let params = &asked["params"];
    let (name, dry) = (
        params["name"].as_str().unwrap_or_default(),
        params["dry_run"] == true,
    );
    if asked["method"] == "tools.list" {
        return json!({ "result": { "tools": tools() } });
    }
    if asked["method"] != "tools.call" {
        return json!({ "result": {} });
    }
    let (hash, containers, hangs) = {
        let mut say = say.lock().unwrap();
        say.calls.push(params.clone());
        (say.hash.clone(), say.containers.clone(), say.hangs)
    };
    match name {
        "container_list" => json!({ "result": { "containers": containers } }),
        "container_start" | "container_destroy" if dry => {
            let resource = format!(
                "container:{}",
                params["arguments"]["name"].as_str().unwrap()
            );
            let lost = name == "container_destroy";
            let verb = if lost { "delete" } else { "update" };
            json!({ "result": { "plan_hash": hash, "notes": [], "changes": [
                { "plugin": "lxc", "resource": resource, "verb": verb, "before": {}, "after": {}, "destroys": lost },
            ]}})
        }
        "container_start" | "container_destroy" if params["plan"] != json!(hash) => {
            failed("plan-changed", "the plan is no longer that")
        }
        "container_start" | "container_destroy" => {
            if hangs {
                bell.notified().await;
            }
            let resource = format!(
                "container:{}",
                params["arguments"]["name"].as_str().unwrap()
            );
            let changes = json!([{ "plugin": "lxc", "resource": resource, "verb": "update" }]);
            let mut result =
                json!({ "run": "r1", "outcome": "applied", "changes": changes, "notes": [] });
            let mut say = say.lock().unwrap();
            if let Some(window) = say.window {
                say.waits = true;
                result["outcome"] = json!("awaiting-confirmation");
                result["deadline_ms"] = json!(jiff::Timestamp::now().as_millisecond() + window);
            }
            json!({ "result": result, "entry": 7 })
        }
        _ if name.starts_with("state_") || name == "ledger_log" => {
            of_window(name, &mut say.lock().unwrap())
        }
        _ => failed("not-found", "no such tool"),
    }
}

/// What is known of a run that waits to be confirmed.
fn of_window(name: &str, say: &mut Say) -> Value {
    match name {
        "state_status" if say.waits => json!({ "result": { "awaiting": { "run": "r1" } } }),
        "state_status" => json!({ "result": { "awaiting": null } }),
        "state_confirm" if !say.waits => failed("refused", "no run waits to be confirmed"),
        "state_confirm" => {
            (say.waits, say.ended) = (false, Some("apply_end"));
            json!({ "result": { "run": "r1", "outcome": "applied" }, "entry": 8 })
        }
        _ => {
            let ended = say.ended.map(|operation| json!({ "operation": operation }));
            let begun = json!({ "operation": "apply_await_confirmation" });
            let entries: Vec<_> = ended.into_iter().chain([begun]).collect();
            json!({ "result": { "entries": entries } })
        }
    }
}

fn tools() -> Vec<Value> {
    let tool = |name: &str, effect: &str, sentences: Value| {
        json!({
            "name": name, "title": name.replace('_', " "), "description": "Containers.", "domain": "containers",
            "effect": effect, "role": "viewer", "output_schema": {}, "sentences": sentences,
            "input_schema": { "type": "object", "properties": { "name": { "type": "string" } }, "required": [] },
        })
    };
    let mut start = tool(
        "container_start",
        "write",
        json!(["start container web-01"]),
    );
    let mut destroy = tool(
        "container_destroy",
        "destroy",
        json!(["destroy container web-01"]),
    );
    for tool in [&mut start, &mut destroy] {
        tool["input_schema"]["required"] = json!(["name"]);
    }
    vec![
        tool("container_list", "read", json!(["list containers"])),
        start,
        destroy,
    ]
}
