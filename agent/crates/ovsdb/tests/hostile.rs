//! Clients that send nonsense, too much, or do not read.
#![allow(clippy::unwrap_used)]

mod pair;

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use ovsdb::server::{Closed, Flow, Malformed, Options, Schema, Server, Session};
use pair::{Ours, SECOND, Wire};
use serde_json::{Value as Json, json};

const SCHEMA: &str = include_str!("corpus/watch.ovsschema");

fn server() -> Server {
    let server = Server::new().unwrap();
    let schema = serde_json::from_str(SCHEMA).unwrap();
    server.add(Schema::parse(&schema).unwrap()).unwrap();
    server
}

fn session(server: &Server) -> Session {
    server.connect(Options::default(), Box::new(|_| ()))
}

/// The most memory that this process has had, in KiB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn nonsense_ends_the_session_and_no_other() {
    let ours = Ours::start(SCHEMA);
    let mut good = Wire::connect(&ours.socket());
    let deep = [
        b"{\"method\":\"echo\",\"id\":1,\"params\":".to_vec(),
        b"[".repeat(100_000),
    ]
    .concat();
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"[1]",
        b"\"x\"",
        b"{]",
        b"{\"a\":1}",
        b"{\"method\":5,\"params\":[],\"id\":1}",
        b"{\"method\":\"echo\",\"params\":5,\"id\":1}",
        b"{\"id\":5,\"result\":1,\"error\":null}",
        b"{\"method\":\"echo\",\"params\":[],\"id\":1,\"zip\":null}",
        b"{\"method\":\"\xff\xfe\",\"params\":[],\"id\":1}",
        b"{\"method\":\"\\ud800\",\"params\":[],\"id\":1}",
        &deep,
    ] {
        let mut bad = Wire::connect(&ours.socket());
        bad.write(bytes);
        assert_eq!(
            bad.receive(),
            None,
            "{}",
            String::from_utf8_lossy(&bytes[..bytes.len().min(80)])
        );
        assert_eq!(good.call("echo", json!([1]))[0]["result"], json!([1]));
    }
    // Half a message is waited for, and its client may go.
    let mut half = Wire::connect(&ours.socket());
    half.write(b"{\"method\":\"echo\",");
    drop(half);
    lab::wait_for("the end of the session", 5 * SECOND, || {
        (ours.server.sessions() == 1).then_some(())
    });
}

#[test]
fn a_message_of_100_mib_is_refused_in_bounded_memory() {
    let ours = Ours::start(SCHEMA);
    let mut stream = UnixStream::connect(ours.socket()).unwrap();
    let before = peak_memory();
    let piece = [b'x'; 1 << 16];
    stream
        .write_all(b"{\"method\":\"echo\",\"id\":1,\"params\":[\"")
        .unwrap();
    let sent = (0..1600)
        .take_while(|_| stream.write_all(&piece).is_ok())
        .count();
    assert!(sent < 500, "{sent} pieces were taken");
    let grown = peak_memory().saturating_sub(before);
    assert!(grown < 80 << 10, "{grown} KiB");
    assert_eq!(
        Wire::connect(&ours.socket()).call("echo", json!([]))[0]["result"],
        json!([])
    );
}

#[test]
fn what_is_too_long_or_too_deep_is_said() {
    let server = server();
    let mut long = session(&server);
    let mut pieces =
        std::iter::once(&b"{\"id\":\""[..]).chain(std::iter::repeat(&[b'x'; 1 << 15][..]));
    let why = pieces.find_map(|piece| long.receive(piece).err());
    assert_eq!(why, Some(Closed::Malformed(Malformed::TooLong(16 << 20))));
    let mut deep = session(&server);
    let why = deep.receive(&b"{\"a\":".repeat(1000)).unwrap_err();
    assert_eq!(why, Closed::Malformed(Malformed::TooDeep));
    assert_eq!(deep.receive(b"{}"), Err(why));
    drop((long, deep));
    assert_eq!(server.sessions(), 0);
}

#[test]
fn a_session_that_never_reads_is_closed_and_the_others_are_served() {
    let options = Options {
        largest_queue: 1 << 20,
        ..Options::default()
    };
    let ours = Ours::start_with(SCHEMA, options);
    let mut lazy = Wire::connect(&ours.socket());
    assert_eq!(
        lazy.call("monitor", json!(["Watch", "m", { "T": {} }]))
            .len(),
        1
    );
    let long = "x".repeat(10_000);
    let insert = json!({ "op": "insert", "table": "T", "row": { "s": long } });
    lab::wait_for("the end of the lazy session", 20 * SECOND, || {
        ours.server
            .transact("Watch", std::slice::from_ref(&insert))
            .unwrap();
        (ours.server.sessions() == 0).then_some(())
    });
    let mut other = Wire::connect(&ours.socket());
    assert_eq!(other.call("echo", json!([]))[0]["result"], json!([]));
}

#[test]
fn requests_wait_for_a_client_that_does_not_take_the_answers() {
    let server = server();
    let mut session = server.connect(
        Options {
            largest_queue: 1 << 20,
            ..Options::default()
        },
        Box::new(|_| ()),
    );
    let long = "x".repeat(1000);
    let request = json!({ "method": "echo", "params": [long], "id": 1 }).to_string();
    let requests = request.repeat(10_000).into_bytes();
    let mut flow = session.receive(&requests).unwrap();
    let mut answers = 0;
    while flow == Flow::Drain {
        answers += session.output().take_messages().len();
        flow = session.receive(&[]).unwrap();
    }
    answers += session.output().take_messages().len();
    assert_eq!(answers, 10_000);
}

#[test]
fn two_hundred_monitors_hear_of_every_change() {
    let server = server();
    let sessions: Vec<Session> = (0..200).map(|_| session(&server)).collect();
    for session in &sessions {
        let params = json!(["Watch", "m", { "T": {} }]);
        session
            .message(&json!({ "method": "monitor", "params": params, "id": 1 }))
            .unwrap();
        session.output().take();
    }
    let start = Instant::now();
    for n in 0..100 {
        let insert = json!({ "op": "insert", "table": "T", "row": { "i": n } });
        server.transact("Watch", &[insert]).unwrap();
    }
    println!("100 changes for 200 monitors: {:?}", start.elapsed());
    for session in &sessions {
        let heard = session.output().take_messages();
        assert_eq!(heard.len(), 100);
        let last: Json = serde_json::from_str(&heard[99]).unwrap();
        assert_eq!(last["method"], "update");
    }
    drop(sessions);
    assert_eq!(server.sessions(), 0);
}

#[test]
fn updates_come_before_the_answer_and_history_tells_what_was_missed() {
    let server = server();
    let session = session(&server);
    let since = |last: &str| {
        let params = json!(["Watch", last, { "T": { "columns": ["i"] } }, last]);
        session
            .message(&json!({ "method": "monitor_cond_since", "params": params, "id": 1 }))
            .unwrap();
        let answer: Json = serde_json::from_str(&session.output().take_messages()[0]).unwrap();
        answer["result"].clone()
    };
    let insert = |n: i64| {
        let insert = json!({ "op": "insert", "table": "T", "row": { "i": n } });
        server.transact("Watch", &[insert]).unwrap();
    };
    let first = since("00000000-0000-0000-0000-000000000000");
    assert_eq!(first[0], false);
    let last = first[1].as_str().unwrap().to_owned();
    (0..100).for_each(insert);
    session.output().take();
    let missed = since(&last);
    assert_eq!(
        (&missed[0], missed[2]["T"].as_object().unwrap().len()),
        (&json!(true), 100)
    );
    // One more and the oldest is forgotten.
    insert(100);
    session.output().take();
    session
        .message(&json!({ "method": "monitor_cancel", "params": [last], "id": 1 }))
        .unwrap();
    session.output().take();
    let all = since(&last);
    assert_eq!(
        (&all[0], all[2]["T"].as_object().unwrap().len()),
        (&json!(false), 101)
    );
}
