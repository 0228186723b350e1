//! What the chat costs: from a message to its first result beside the same tool by the daemon's socket in the same
//! run; and what many connections take.
//!
//! Needs root. Prints one line a figure; asserts nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, dead_code)]

#[path = "../tests/chat/client.rs"]
mod client;
#[path = "../tests/rig/mod.rs"]
mod rig;

use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use client::Client;
use rig::Rig;
use rig::daemon::Daemon;
use rig::web::{Web, make_token};
use serde_json::{Value, json};

/// How many messages are timed one after the other; a session may say 20 a second.
const MESSAGES: usize = 200;
/// Connections that say nothing.
const IDLE: usize = 500;
/// Connections that ask.
const ACTIVE: usize = 50;
/// Connections of one token.
const EACH: usize = 14;

fn main() {
    let Some(rig) = Rig::storage(256) else { return };
    let tokens: Vec<_> = (0..(IDLE + ACTIVE).div_ceil(EACH) + 1)
        .map(|n| make_token(&rig, &format!("t{n}"), "mcp:read"))
        .collect();
    let lines: String = tokens.iter().map(|(_, line)| line.as_str()).collect();
    rig.declare("");
    rig.apply();
    rig.declare_top(&format!("web:\n  tokens:\n{lines}"), "");
    for (path, mode) in [
        (rig.machine.dir().to_owned(), 0o755),
        (rig.file.clone(), 0o644),
    ] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let daemon = Daemon::start(&rig);
    std::fs::set_permissions(&daemon.jsonrpc, std::fs::Permissions::from_mode(0o666)).unwrap();
    let web = Web::start(&rig, &daemon);

    let mut chat = Client::new(&web, &tokens[0].0);
    let mut line = daemon.connect();
    let (mut said, mut called) = (Vec::new(), Vec::new());
    ask(&mut chat);
    for _ in 0..MESSAGES {
        std::thread::sleep(Duration::from_millis(55));
        said.push(ask(&mut chat));
        let begun = Instant::now();
        line.call("host_info", json!({}));
        called.push(begun.elapsed());
    }
    print("host info: by the daemon's socket", called);
    print("host info: from a message to its result", said);

    let before = memory(&web);
    println!("the web server with one connection: {before:.1} MiB");
    let mut clients: Vec<_> = (0..IDLE + ACTIVE)
        .map(|n| {
            Client::from(
                &web,
                u8::try_from(2 + n / 60).unwrap(),
                &tokens[1 + n % (tokens.len() - 1)].0,
            )
        })
        .collect();
    println!("with {} more: {:.1} MiB", clients.len(), memory(&web));
    let active = clients.split_off(IDLE);
    let asking: Vec<_> = active
        .into_iter()
        .map(|mut client| {
            std::thread::spawn(move || {
                let times: Vec<_> = (0..5).map(|_| ask(&mut client)).collect();
                (client, times)
            })
        })
        .collect();
    let ended: Vec<_> = asking.into_iter().map(|one| one.join().unwrap()).collect();
    println!(
        "after {ACTIVE} of them asked at once: {:.1} MiB",
        memory(&web)
    );
    print(
        &format!("host info: {ACTIVE} at once, {IDLE} idle beside them"),
        ended.iter().flat_map(|(_, times)| times.clone()).collect(),
    );
    drop(clients);
}

/// How long a message takes to its result. Others of the same user may speak meanwhile.
fn ask(client: &mut Client) -> Duration {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let id = json!(format!("m{}", ASKED.fetch_add(1, Ordering::Relaxed)));
    let begun = Instant::now();
    client.send(&json!({ "type": "message", "id": id, "content": "host info" }));
    let ours = |event: &Value| event["in_reply_to"] == id && event["status"] != "running";
    let done = client.until("its result", ours);
    let took = begun.elapsed();
    assert_eq!(done["status"], "done", "{done}");
    client.seen.clear();
    took
}

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64() * 1000.0;
    println!("{what}: p50 {:.2} ms, p99 {:.2} ms", at(50), at(99));
}

/// Resident memory of the web server in MiB.
fn memory(web: &Web) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", web.child.id())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.split_whitespace()
        .next()
        .unwrap()
        .parse::<f64>()
        .unwrap()
        / 1024.0
}
