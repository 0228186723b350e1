//! Many callers at once, and callers that mean no good: everybody else is served all the while.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod crowds;
mod ends;
mod messages;
#[path = "../rig/mod.rs"]
mod rig;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lab::wait_for;
use rig::Rig;
use rig::daemon::{Daemon, Line};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use serde_json::{Value, json};

/// How soon a caller is answered, whatever others do, on a machine that may have much else to do.
const SOON: Duration = Duration::from_secs(60);
/// How soon a run with hundreds of changes is over.
const RUN: Duration = Duration::from_secs(60);
/// The most memory that the daemon may ever take, in KiB: a build for development needs more than a release.
const MEMORY: u64 = 120 << 10;
/// How many files a test of a thousand connections opens.
const FILES: u64 = 8192;

/// A host that is only looked at, so that nobody but the test changes it.
fn observed(rig: &Rig, subvolumes: usize) {
    declare(rig, "reconcile: observe\n", subvolumes);
}

fn declare(rig: &Rig, top: &str, subvolumes: usize) {
    let base = rig.base.display();
    let list: String = (0..subvolumes)
        .map(|n| format!("      \"@s{n}\": {{}}\n"))
        .collect();
    let list = match subvolumes {
        0 => String::new(),
        _ => format!("    subvolumes:\n{list}"),
    };
    let text = format!("version: \"1.0\"\n{top}plugins:\n  btrfs:\n    base: {base}\n{list}");
    std::fs::write(&rig.file, text).unwrap();
}

/// A daemon of a host that is as declared.
fn start(rig: &Rig) -> Daemon {
    observed(rig, 0);
    rig.apply();
    Daemon::start(rig)
}

fn request(id: usize, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

fn call(id: usize, tool: &str, arguments: Value) -> Value {
    request(
        id,
        "tools.call",
        json!({ "name": tool, "arguments": arguments }),
    )
}

/// A line of `/proc/PID/status`, as a number.
fn of_process(daemon: &Daemon, key: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(key))
        .unwrap();
    let mut words = line.trim_start_matches(':').split_whitespace();
    words.next().unwrap().parse().unwrap()
}

fn open_files(daemon: &Daemon) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", daemon.id()))
        .unwrap()
        .count()
}

/// Its memory never went beyond the bound.
#[track_caller]
fn assert_small(daemon: &Daemon) {
    let peak = of_process(daemon, "VmHWM");
    println!("memory at most {} MiB", peak >> 10);
    assert!(peak < MEMORY, "{} MiB", peak >> 10);
}

/// A caller who comes now gets an answer soon.
#[track_caller]
fn assert_served(daemon: &Daemon) {
    let begun = Instant::now();
    let answer = daemon.connect().call("ledger_show", json!({ "id": 1 }));
    assert_eq!(answer["result"]["id"], 1, "{answer:#}");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

#[track_caller]
fn assert_ledger_holds(rig: &Rig) {
    let ledger = rig.json(&["ledger", "verify"]).expect(0).json();
    assert_eq!(ledger["valid"], true, "{ledger:#}");
}

/// Sends the same again and again until the daemon takes no more of it.
fn stuff(stream: &mut UnixStream, bytes: &[u8]) {
    stream
        .set_write_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    for _ in 0..1_000_000 {
        match stream.write_all(bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the daemon reads on and on");
}

/// Everything that the daemon says until it ends the connection.
fn last_words(stream: &mut UnixStream) -> String {
    stream.set_read_timeout(Some(SOON)).unwrap();
    let mut words = Vec::new();
    match stream.read_to_end(&mut words) {
        // What was not read when it closed is a reset, after all that it had to say.
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the connection is still open: {error}"),
    }
    String::from_utf8(words).unwrap()
}

/// Room for thousands of connections; `false` where there is none.
fn room_for_files() -> bool {
    let limit = getrlimit(Resource::Nofile);
    let current = limit
        .current
        .max(Some(FILES))
        .min(limit.maximum.or(Some(FILES)));
    let raised = setrlimit(Resource::Nofile, Rlimit { current, ..limit });
    if raised.is_err() || current < Some(FILES) {
        lab::skip("needs 8192 open files");
        return false;
    }
    true
}

/// Keeps every run waiting, as another process that changes the host would.
fn lock(rig: &Rig) -> File {
    let file = File::options()
        .create(true)
        .append(true)
        .open(rig.beside(".lock"))
        .unwrap();
    flock(&file, FlockOperation::LockExclusive).unwrap();
    file
}

/// All calls are sent before the first answer is read; each asks for another entry than the one before.
fn ask_at_once(rig: &Rig, daemon: &Daemon, connections: usize, each: usize) {
    let entries = rig.ledger(&[]);
    let entry = |place: usize, id: usize| &entries[(place * each + id) % entries.len()]["id"];
    let mut lines: Vec<_> = (0..connections).map(|_| daemon.connect()).collect();
    let begun = Instant::now();
    for (place, line) in lines.iter_mut().enumerate() {
        for id in 0..each {
            line.send(&call(id, "ledger_show", json!({ "id": entry(place, id) })));
        }
    }
    for (place, line) in lines.iter_mut().enumerate() {
        let mut waiting: BTreeSet<usize> = (0..each).collect();
        while !waiting.is_empty() {
            let answer = line.receive().unwrap();
            let id = usize::try_from(answer["id"].as_u64().unwrap()).unwrap();
            assert!(waiting.remove(&id), "a second answer: {answer}");
            assert_eq!(&answer["result"]["id"], entry(place, id), "{answer}");
        }
    }
    println!(
        "{connections} connections, {each} calls each: {:?}",
        begun.elapsed()
    );
}

/// Begins to make all subvolumes and comes back when the first of them is there.
fn begin(daemon: &Daemon) -> Line {
    let mut line = daemon.connect();
    line.send(&request(
        1,
        "tools.call",
        json!({ "name": "state_apply", "progress": true }),
    ));
    loop {
        let message = line.receive().unwrap();
        assert!(
            message.get("method").is_some(),
            "it is over: {message:.1000}"
        );
        if message["params"]["event"]["kind"] == "done" {
            return line;
        }
    }
}

/// How runs ended, oldest first.
fn endings(rig: &Rig, operation: &str) -> Vec<Value> {
    let entries = rig.ledger(&["--operation", operation]);
    entries
        .iter()
        .map(|entry| entry["metadata"]["outcome"].clone())
        .collect()
}
