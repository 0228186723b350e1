//! A client that asks much and reads nothing.
#![allow(unreachable_pub, clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use lab::wait_for;
use serde_json::{Value, json};

/// Requests, whose answers have some kilobytes each.
const REQUESTS: usize = 6_000;
/// What the server may take for them beside what it has, in KiB.
const MOST: u64 = 24 << 10;

/// Sends many requests and reads nothing; then reads everything. The server takes little memory for it, and
/// answers each once.
pub fn assert_bounded(command: &mut Command, method: &str) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let hello = json!({
        "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": { "name": "test", "version": "1" },
        },
    });
    writeln!(input, "{hello}").unwrap();
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    writeln!(
        input,
        r#"{{"jsonrpc":"2.0","method":"notifications/initialized"}}"#
    )
    .unwrap();
    let id = child.id();
    let memory = || -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.unwrap().split_whitespace().next().unwrap();
        number.parse().unwrap()
    };
    let before = memory();
    let asked = method.to_owned();
    let writer = std::thread::spawn(move || {
        for id in 1..=REQUESTS {
            let request = json!({ "jsonrpc": "2.0", "id": id, "method": asked, "params": {} });
            writeln!(input, "{request}").unwrap();
        }
        // Its end would be that of the server, whatever is unread then.
        input
    });
    // It stands still: everything is written, or nothing more is taken.
    let (mut seen, mut still) = (0, 0);
    wait_for("the server to stand still", Duration::from_secs(60), || {
        let now = processor(id);
        still = if now == seen { still + 1 } else { 0 };
        seen = now;
        (still > 20).then_some(())
    });
    let more = memory().saturating_sub(before);
    let mut answered = vec![false; REQUESTS + 1];
    while answered[1..].contains(&false) {
        line.clear();
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "the server ended");
        let message: Value = serde_json::from_str(&line).unwrap();
        let id = usize::try_from(message["id"].as_u64().unwrap()).unwrap();
        assert!(
            !std::mem::replace(&mut answered[id], true),
            "{id} is answered twice"
        );
    }
    drop(writer.join().unwrap());
    assert!(child.wait().unwrap().success());
    assert!(more < MOST, "{more} KiB more for answers that nobody reads");
}

/// The processor's time that a process took, in ticks (proc_pid_stat(5)).
fn processor(id: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let after = stat.rsplit(')').next().unwrap();
    let fields: Vec<_> = after.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}
