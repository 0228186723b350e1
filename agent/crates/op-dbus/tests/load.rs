//! Many callers at once, and callers that mean no good: everybody else is served all the while.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod rig;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lab::wait_for;
use rig::Rig;
use rig::daemon::{Daemon, Line};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use serde_json::{Value, json};

/// How soon a caller is answered, whatever others do.
const SOON: Duration = Duration::from_secs(5);
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

#[test]
fn a_thousand_calls_at_once_are_all_answered() {
    let Some(rig) = Rig::storage(512) else { return };
    if !room_for_files() {
        return;
    }
    let daemon = start(&rig);
    ask_at_once(&rig, &daemon, 100, 10);
    ask_at_once(&rig, &daemon, 1000, 1);
    assert_served(&daemon);
    assert_small(&daemon);
}

#[test]
fn a_client_that_never_reads_takes_little_memory_and_disturbs_nobody() {
    let Some(rig) = Rig::storage(512) else { return };
    let text = rig.machine.dir().join("text");
    std::fs::write(&text, "\u{1}".repeat(1 << 20)).unwrap();
    let access = format!(
        "reconcile: observe\naccess: {{files: {{read: [{}]}}}}\n",
        rig.machine.dir().display()
    );
    declare(&rig, &access, 0);
    rig.apply();
    let daemon = Daemon::start(&rig);
    let file = json!({ "path": text.to_str().unwrap(), "length": 262_144 });
    let answer = daemon.connect().call("file_read", file.clone());
    assert_eq!(answer["result"]["length"], 262_144, "{answer:.300}");
    let large = [
        request(1, "tools.list", json!({})),
        call(1, "file_read", file),
        call(1, "ledger_log", json!({ "limit": 1000 })),
    ];
    let mut silent = Vec::new();
    for mut message in large {
        let mut line = daemon.connect();
        for id in 0..200 {
            message["id"] = json!(id);
            line.send(&message);
        }
        stuff(&mut line.stream, format!("{message}\n").as_bytes());
        silent.push(line);
        for _ in 0..10 {
            assert_served(&daemon);
        }
        println!(
            "{}: at most {} MiB",
            message["params"]["name"],
            of_process(&daemon, "VmHWM") >> 10
        );
    }
    assert_small(&daemon);
    // Those who begin to read after all get what they asked for.
    for line in &mut silent {
        let answer = line.receive().unwrap();
        assert!(answer["result"].is_object(), "{answer:.300}");
    }
}

#[test]
fn one_message_without_end_is_refused() {
    let Some(rig) = Rig::storage(512) else { return };
    let daemon = start(&rig);
    let mut stream = daemon.connect().stream;
    stream
        .write_all(br#"{"jsonrpc": "2.0", "id": 1, "method": ""#)
        .unwrap();
    let block = vec![b'x'; 1 << 20];
    let sent = (0..100)
        .take_while(|_| stream.write_all(&block).is_ok())
        .count();
    assert!((7..20).contains(&sent), "{sent} MiB");
    let words = last_words(&mut stream);
    assert!(
        words.contains("-32600") && words.contains("more than 8388608 bytes"),
        "{words}"
    );
    assert_served(&daemon);
    assert_small(&daemon);
}

#[test]
fn a_message_of_millions_of_values_is_refused() {
    let Some(rig) = Rig::storage(512) else { return };
    let daemon = start(&rig);
    let bombs = [
        format!("[{}0]", "0,".repeat(4_000_000)),
        format!("[{}0]", r#"{"":0},"#.repeat(1_000_000)),
        format!(
            r#"{{"jsonrpc": "2.0", "id": 1, "method": "daemon.status", "params": {{"a": [{}0]}}}}"#,
            "[],".repeat(2_000_000)
        ),
    ];
    for bomb in bombs {
        let mut stream = daemon.connect().stream;
        // It hangs up in the middle.
        let _ = stream.write_all(bomb.as_bytes());
        let words = last_words(&mut stream);
        assert!(
            words.contains("-32600") && words.contains("values"),
            "{words:.300}"
        );
    }
    assert_served(&daemon);
    assert_small(&daemon);
}

#[test]
fn a_hundred_megabytes_of_small_messages_are_all_answered() {
    let Some(rig) = Rig::storage(512) else { return };
    let daemon = start(&rig);
    let count = 100_000;
    let mut line = daemon.connect();
    let mut writer = line.stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let nobody = "x".repeat(950);
            for id in 0..count {
                let message = request(id, "tools.cancel", json!({ "id": nobody }));
                writer.write_all(format!("{message}\n").as_bytes()).unwrap();
            }
        });
        let mut waiting: BTreeSet<usize> = (0..count).collect();
        while !waiting.is_empty() {
            let answer = line.receive().unwrap();
            assert_eq!(answer["result"]["found"], false, "{answer}");
            waiting.remove(&usize::try_from(answer["id"].as_u64().unwrap()).unwrap());
            if waiting.len().is_multiple_of(10_000) {
                assert_served(&daemon);
            }
        }
    });
    assert_small(&daemon);
}

#[test]
fn ten_thousand_short_connections_leave_nothing_behind() {
    let Some(rig) = Rig::storage(512) else { return };
    let daemon = start(&rig);
    assert_served(&daemon);
    let before = open_files(&daemon);
    for n in 0..10_000 {
        let mut stream = UnixStream::connect(&daemon.jsonrpc).unwrap();
        // Some say nothing, some half of something, some do not wait for the answer.
        match n % 3 {
            0 => {}
            1 => stream.write_all(b"{\"jsonrpc\": \"2.0\", ").unwrap(),
            _ => stream
                .write_all(
                    request(1, "daemon.status", json!({}))
                        .to_string()
                        .as_bytes(),
                )
                .unwrap(),
        }
    }
    // Some watches open only now, each its file and a second one to wait by.
    const WATCHES: usize = 8;
    wait_for("the end of all connections", SOON, || {
        (open_files(&daemon) <= before + WATCHES).then_some(())
    });
    assert_served(&daemon);
    assert_small(&daemon);
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

#[test]
fn a_run_whose_caller_dies_is_brought_to_its_end() {
    let Some(rig) = Rig::storage(512) else { return };
    let daemon = start(&rig);
    observed(&rig, 300);
    let line = begin(&daemon);
    assert!(!rig.base.join("@s299").exists(), "it is over already");
    drop(line);
    assert_served(&daemon);
    wait_for("the end of the run", RUN, || {
        (endings(&rig, "apply_end").len() == 2).then_some(())
    });
    assert_eq!(
        endings(&rig, "apply_end"),
        [json!("applied"), json!("applied")]
    );
    assert_served(&daemon);
    rig.assert_converged();
}

#[test]
fn a_call_that_waits_ends_with_its_caller() {
    let Some(rig) = Rig::storage(512) else { return };
    let daemon = start(&rig);
    observed(&rig, 3);
    let held = lock(&rig);
    let mut line = daemon.connect();
    line.send(&call(1, "state_apply", json!({})));
    // A batch whose first call waits: none of the others is begun any more.
    let mut other = daemon.connect();
    other.send(&json!([
        call(1, "state_apply", json!({})),
        call(2, "state_apply", json!({}))
    ]));
    assert_served(&daemon);
    drop((line, other));
    wait_for("the end of the calls", SOON, || {
        (endings(&rig, "state_apply").len() == 3).then_some(())
    });
    drop(held);
    assert_served(&daemon);
    let applied = rig.apply();
    assert_eq!(applied["outcome"], "applied", "somebody else did it");
    let (done, failed) = (json!("done"), json!("failed"));
    assert_eq!(
        endings(&rig, "state_apply"),
        [done.clone(), failed.clone(), failed, done]
    );
    rig.assert_converged();
}

#[test]
fn a_killed_daemon_leaves_what_the_next_one_brings_to_its_end() {
    let Some(rig) = Rig::storage(512) else { return };
    let mut daemon = start(&rig);
    observed(&rig, 300);
    let line = begin(&daemon);
    daemon.signal(Signal::KILL);
    daemon.child.wait().unwrap();
    drop(line);
    assert!(rig.beside(".journal").exists() && !rig.base.join("@s299").exists());
    declare(&rig, "", 300);
    let daemon = Daemon::start(&rig);
    daemon.wait_until("the end of the run", RUN, |host| {
        host["state"] == "converged"
    });
    assert_eq!(endings(&rig, "apply_interrupted"), [json!("interrupted")]);
    rig.assert_converged();
}

#[test]
fn what_a_killed_run_left_is_put_in_order_even_if_nothing_else_is_to_do() {
    let Some(rig) = Rig::storage(512) else { return };
    let mut daemon = start(&rig);
    observed(&rig, 300);
    let line = begin(&daemon);
    daemon.signal(Signal::KILL);
    daemon.child.wait().unwrap();
    drop(line);
    // As if it had been killed after its last change.
    let journal = std::fs::read(rig.beside(".journal")).unwrap();
    rig.apply();
    std::fs::write(rig.beside(".journal"), journal).unwrap();
    rig.json(&["verify"]).expect(0);
    declare(&rig, "", 300);
    let daemon = Daemon::start(&rig);
    let converged = |host: &Value| host["state"] == "converged";
    daemon.wait_until("peace", RUN, converged);
    rig.assert_converged();
}

#[test]
fn what_is_no_message_is_refused_and_ends_the_connection() {
    let Some(rig) = Rig::storage(512) else { return };
    let daemon = start(&rig);
    let garbage: [(&[u8], &str); 5] = [
        (b"GET / HTTP/1.1\r\n\r\n", "a JSON object or array"),
        (b"\xff\xfe\x00\x01", "a JSON object or array"),
        (b"42", "a JSON object or array"),
        (&[b'['; 4000], "more than 100 deep"),
        (br#"{"a":{"a":{"a":["#, ""),
    ];
    for (bytes, reason) in garbage {
        let mut stream = daemon.connect().stream;
        stream.write_all(bytes).unwrap();
        if reason.is_empty() {
            stream.shutdown(std::net::Shutdown::Write).unwrap();
        }
        let words = last_words(&mut stream);
        assert!(words.contains(reason), "{words}");
        assert_eq!(words.contains("-32600"), !reason.is_empty(), "{words}");
    }
    assert_served(&daemon);
}

#[test]
fn what_is_no_request_is_refused_and_the_next_one_is_served() {
    let Some(rig) = Rig::storage(512) else { return };
    let daemon = start(&rig);
    let mut line = daemon.connect();
    let mut refused = |text: &str, code: i64| {
        line.stream.write_all(text.as_bytes()).unwrap();
        let answer = line.receive().unwrap();
        assert_eq!(answer["error"]["code"], code, "{text}: {answer}");
        answer["id"].clone()
    };
    assert_eq!(
        refused(r#"{"jsonrpc": "2.0", "id": 1, ]"#, -32700),
        Value::Null
    );
    assert_eq!(refused("[]", -32600), Value::Null);
    let long = format!("[{}7]", "7,".repeat(100));
    assert_eq!(refused(&long, -32600), Value::Null);
    assert_eq!(refused(r#"{"jsonrpc": "2.0", "id": 2}"#, -32600), 2);
    assert_eq!(
        refused(
            r#"{"jsonrpc": "2.0", "id": [3], "method": "daemon.status"}"#,
            -32600
        ),
        Value::Null
    );
    assert_eq!(
        refused(
            r#"{"jsonrpc": "2.0", "id": "4", "method": "nonesuch"}"#,
            -32601
        ),
        "4"
    );
    assert_eq!(
        refused(
            r#"{"jsonrpc": "2.0", "id": 5, "method": "tools.call", "params": []}"#,
            -32602
        ),
        5
    );
    assert_eq!(
        refused(
            r#"{"jsonrpc": "2.0", "id": 6, "method": "tools.call", "params": {"nom": 1}}"#,
            -32602
        ),
        6
    );
    assert_eq!(
        refused(
            r#"{"jsonrpc": "2.0", "id": 7, "method": "tools.call", "params": {"name": "nonesuch"}}"#,
            -32000
        ),
        7
    );
    let answer = line.call("ledger_show", json!({ "id": 1 }));
    assert_eq!(answer["result"]["id"], 1);
}

#[test]
fn a_batch_gets_one_answer_and_notifications_get_none() {
    let Some(rig) = Rig::storage(512) else { return };
    let daemon = start(&rig);
    let mut line = daemon.connect();
    let mut told = call(0, "ledger_show", json!({ "id": 1 }));
    told.as_object_mut().unwrap().remove("id");
    line.send(&json!([
        call(1, "ledger_show", json!({ "id": 2 })),
        told,
        7,
        request(2, "nonesuch", json!({})),
    ]));
    let answers = line.receive().unwrap();
    assert_eq!(answers.as_array().unwrap().len(), 3, "{answers:#}");
    assert_eq!(
        (&answers[0]["id"], &answers[0]["result"]["id"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(
        (&answers[1]["id"], &answers[1]["error"]["code"]),
        (&Value::Null, &json!(-32600))
    );
    assert_eq!(
        (&answers[2]["id"], &answers[2]["error"]["code"]),
        (&json!(2), &json!(-32601))
    );
    // The next answer is that of the next request.
    line.send(&told);
    line.send(&json!([told, told]));
    line.send(&json!({ "jsonrpc": "2.0", "method": "nonesuch" }));
    let answer = line.call("ledger_show", json!({ "id": 1 }));
    assert_eq!(answer["result"]["id"], 1);
    line.stream
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let more = line.stream.read(&mut [0; 1]);
    assert_eq!(more.unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn calls_are_taken_back_by_their_id_and_end_in_time() {
    let Some(rig) = Rig::storage(512) else { return };
    let daemon = start(&rig);
    observed(&rig, 3);
    let held = lock(&rig);
    let mut line = daemon.connect();
    line.send(&call(7, "state_apply", json!({})));
    line.send(&call(7, "state_apply", json!({})));
    let answer = line.receive().unwrap();
    assert!(
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .contains("still on its way"),
        "{answer}"
    );
    line.send(&request(8, "tools.cancel", json!({ "id": 6 })));
    assert_eq!(line.receive().unwrap()["result"], json!({ "found": false }));
    line.send(&request(9, "tools.cancel", json!({ "id": 7 })));
    let answers = [line.receive().unwrap(), line.receive().unwrap()];
    let (taken, found): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer["id"] == 7);
    assert_eq!(
        taken[0]["error"]["data"]["code"], "cancelled",
        "{answers:#?}"
    );
    assert_eq!(found[0]["result"], json!({ "found": true }));
    // The id may be used again, and a call that has no time has no effect.
    for (id, limit) in [(7, 1), (8, 0), (9, 200)] {
        let begun = Instant::now();
        line.send(&request(
            id,
            "tools.call",
            json!({ "name": "state_apply", "timeout_ms": limit }),
        ));
        let answer = line.receive().unwrap();
        assert_eq!(answer["id"], id, "{answer}");
        assert_eq!(answer["error"]["data"]["code"], "timed-out", "{answer}");
        assert!(begun.elapsed() < SOON);
    }
    drop(held);
    assert!(!rig.base.join("@s0").exists());
    let answer = line.call("state_apply", json!({}));
    assert_eq!(answer["result"]["outcome"], "applied", "{answer}");
    rig.assert_converged();
}

#[test]
fn who_sends_all_and_then_listens_gets_all_answers() {
    let Some(rig) = Rig::storage(512) else { return };
    let daemon = start(&rig);
    let mut line = daemon.connect();
    for id in 0..50 {
        line.send(&call(id, "state_verify", json!({})));
    }
    line.stream.shutdown(std::net::Shutdown::Write).unwrap();
    let words = last_words(&mut line.stream);
    assert_eq!(words.lines().count(), 50);
    for answer in words.lines() {
        let answer: Value = serde_json::from_str(answer).unwrap();
        assert_eq!(answer["result"]["converged"], true, "{answer}");
    }
}

#[test]
fn the_daemon_ends_soon_under_load() {
    let Some(rig) = Rig::storage(512) else { return };
    let mut daemon = start(&rig);
    observed(&rig, 3);
    let held = lock(&rig);
    // One who waits for a run to begin, one who does not read, and many who ask again and again.
    let mut waits = daemon.connect();
    waits.send(&call(1, "state_apply", json!({})));
    let mut silent = daemon.connect();
    stuff(
        &mut silent.stream,
        format!("{}\n", request(1, "tools.list", json!({}))).as_bytes(),
    );
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (ended, socket) = (&ended, daemon.jsonrpc.clone());
        for _ in 0..50 {
            let socket = socket.clone();
            scope.spawn(move || {
                let mut stream = UnixStream::connect(socket).unwrap();
                let message = format!("{}\n", call(1, "state_verify", json!({})));
                let mut answer = [0; 65536];
                while !ended.load(Ordering::Relaxed)
                    && stream.write_all(message.as_bytes()).is_ok()
                    && stream.read(&mut answer).is_ok_and(|count| count > 0)
                {}
            });
        }
        assert_served(&daemon);
        let took = daemon.terminate();
        ended.store(true, Ordering::Relaxed);
        println!("ended after {took:?}");
        assert!(took < Duration::from_secs(5), "{took:?}");
    });
    drop(held);
    assert!(!daemon.jsonrpc.exists() && !daemon.api.exists());
    assert_ledger_holds(&rig);
    rig.apply();
    rig.assert_converged();
}

#[test]
fn a_run_in_the_middle_of_which_the_daemon_ends_is_put_in_order() {
    let Some(rig) = Rig::storage(512) else { return };
    let mut daemon = start(&rig);
    observed(&rig, 300);
    let _line = begin(&daemon);
    let took = daemon.terminate();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_ledger_holds(&rig);
    declare(&rig, "", 300);
    let daemon = Daemon::start(&rig);
    daemon.wait_until("the end of the run", RUN, |host| {
        host["state"] == "converged"
    });
    rig.assert_converged();
}
