//! Random streams and random requests, for a few seconds; for as long as `FUZZ_SECONDS` says if asked for.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use ovsdb::server::{Options, Schema, Server, Session};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value as Json, json};

fn server() -> Server {
    let server = Server::new().unwrap();
    let schema = serde_json::from_str(include_str!("corpus/watch.ovsschema")).unwrap();
    server.add(Schema::parse(&schema).unwrap()).unwrap();
    server
}

fn session(server: &Server) -> Session {
    server.connect(Options::default(), Box::new(|_| ()))
}

/// How long the fuzz tests run.
fn fuzz_time(long: bool) -> Duration {
    let seconds = std::env::var("FUZZ_SECONDS").ok();
    let seconds = seconds.and_then(|text| text.parse().ok());
    Duration::from_secs(if long { seconds.unwrap_or(600) } else { 5 })
}

fn runner() -> TestRunner {
    TestRunner::new(Config {
        cases: 64,
        failure_persistence: None,
        ..Config::default()
    })
}

/// Bytes that look a little like messages, in pieces.
fn fuzz_parser(long: bool) {
    let end = Instant::now() + fuzz_time(long);
    let server = server();
    let token = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\\u",
        "d800",
        "0",
        "-1",
        "1e999",
        ".5",
        "null",
        "true",
        " ",
        "\"method\":",
        "\"params\":",
        "\"id\":",
        "\"echo\"",
        "\"transact\"",
        "\"Watch\"",
        "{\"method\":\"echo\",\"params\":[],\"id\":0}",
    ]);
    let piece = prop_oneof![
        4 => prop::collection::vec(token, 0..30).prop_map(|tokens| tokens.concat().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..50),
    ];
    let mut rounds = 0;
    while Instant::now() < end {
        rounds += 1;
        let ran = runner().run(&prop::collection::vec(piece.clone(), 0..8), |pieces| {
            let mut session = session(&server);
            for piece in pieces {
                if session.receive(&piece).is_err() {
                    break;
                }
            }
            for message in session.output().take_messages() {
                prop_assert!(
                    serde_json::from_str::<Json>(&message).is_ok(),
                    "{}",
                    message
                );
            }
            Ok(())
        });
        ran.unwrap_or_else(|error| panic!("{error}"));
    }
    println!("{rounds} rounds of 64 streams");
}

fn fuzzed_json() -> BoxedStrategy<Json> {
    let words = vec![
        "Watch",
        "_Server",
        "T",
        "U",
        "K",
        "P",
        "Database",
        "i",
        "s",
        "o",
        "set",
        "m",
        "n",
        "kids",
        "weak",
        "_uuid",
        "_version",
        "map",
        "uuid",
        "named-uuid",
        "x",
        "==",
        "!=",
        "<",
        "includes",
        "excludes",
        "+=",
        "insert",
        "delete",
        "00000000-0000-0000-0000-000000000000",
        "",
    ];
    let leaf = prop_oneof![
        4 => prop::sample::select(words).prop_map(Json::from),
        2 => any::<i8>().prop_map(Json::from),
        1 => any::<f64>().prop_map(Json::from),
        1 => any::<bool>().prop_map(Json::from),
        1 => Just(Json::Null),
    ];
    let names = vec![
        "op",
        "table",
        "row",
        "rows",
        "where",
        "columns",
        "until",
        "timeout",
        "mutations",
        "uuid-name",
        "uuid",
        "lock",
        "select",
        "initial",
        "modify",
        "T",
        "U",
        "P",
        "i",
        "s",
        "set",
        "kids",
        "weak",
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map(prop::sample::select(names.clone()), inner, 0..5)
                .prop_map(|map| json!(map)),
        ]
    })
    .boxed()
}

/// An operation of the right form, with anything in one place.
fn fuzzed_operation() -> impl Strategy<Value = Json> {
    let operations = vec![
        "insert", "select", "update", "mutate", "delete", "wait", "commit", "abort", "comment",
        "assert",
    ];
    let rows = json!([["i", "<", 100]]);
    let members = prop::collection::vec(fuzzed_json(), 4);
    let kinds = (
        prop::sample::select(operations),
        prop::sample::select(vec!["T", "U", "K", "P"]),
        0..9usize,
    );
    (kinds, members).prop_map(move |((op, table, wrong), json)| {
        let mut operation = json!({ "op": op, "table": table });
        let defaults = [
            (
                "where",
                if table == "T" {
                    rows.clone()
                } else {
                    json!([])
                },
            ),
            ("row", json!({})),
            ("mutations", json!([])),
            ("rows", json!([])),
            ("until", json!("!=")),
            ("timeout", json!(0)),
            ("columns", json!([])),
            ("comment", json!("x")),
            ("lock", json!("l")),
        ];
        let wanted: &[&str] = match op {
            "insert" => &["row"],
            "select" | "delete" => &["where"],
            "update" => &["where", "row"],
            "mutate" => &["where", "mutations"],
            "wait" => &["where", "rows", "until", "timeout", "columns"],
            "comment" => &["comment"],
            "assert" => &["lock"],
            _ => &[],
        };
        for (place, (name, default)) in defaults.iter().enumerate() {
            if wanted.contains(name) {
                let any = json[place % 4].clone();
                operation[*name] = if place == wrong { any } else { default.clone() };
            }
        }
        operation
    })
}

/// Requests, some of which make sense, of three sessions on one server; what holds must hold all the time.
fn fuzz_session(long: bool) {
    let end = Instant::now() + fuzz_time(long);
    let methods = vec![
        "echo",
        "list_dbs",
        "get_schema",
        "monitor",
        "monitor_cond",
        "monitor_cond_since",
        "monitor_cond_change",
        "monitor_cancel",
        "lock",
        "steal",
        "unlock",
        "set_db_change_aware",
        "convert",
        "bogus",
        "cancel",
    ];
    let anything = (
        prop::sample::select(methods),
        prop::collection::vec(fuzzed_json(), 0..4),
        any::<bool>(),
    );
    let anything = anything.prop_map(|(method, mut params, database)| {
        if database {
            params.insert(0, json!("Watch"));
        }
        (method, params)
    });
    let transact = prop::collection::vec(fuzzed_operation(), 0..4).prop_map(|mut operations| {
        operations.insert(0, json!("Watch"));
        ("transact", operations)
    });
    let request = (0..3usize, prop_oneof![1 => anything, 2 => transact]);
    let mut rounds = 0;
    while Instant::now() < end {
        rounds += 1;
        let ran = runner().run(&prop::collection::vec(request.clone(), 0..20), |requests| {
            let server = server();
            let sessions = [session(&server), session(&server), session(&server)];
            for (n, (who, (method, params))) in requests.into_iter().enumerate() {
                let message = json!({ "method": method, "params": params, "id": n });
                prop_assert!(sessions[who].message(&message).is_ok());
                let answers = sessions[who].output().take_messages();
                let answers: Vec<Json> = answers
                    .iter()
                    .map(|text| serde_json::from_str(text).unwrap())
                    .collect();
                let waits = params.iter().any(|operation| operation["op"] == "wait");
                prop_assert!(
                    waits || answers.iter().any(|answer| answer["id"] == n),
                    "{}",
                    message
                );
            }
            drop(sessions);
            prop_assert_eq!(server.sessions(), 0);
            Ok(())
        });
        ran.unwrap_or_else(|error| panic!("{error}"));
    }
    println!("{rounds} rounds of 64 conversations");
}

#[test]
fn no_stream_does_harm() {
    fuzz_parser(false);
}

#[test]
fn no_request_does_harm() {
    fuzz_session(false);
}

#[test]
#[ignore = "runs for FUZZ_SECONDS, ten minutes by default"]
fn no_stream_does_harm_for_long() {
    fuzz_parser(true);
}

#[test]
#[ignore = "runs for FUZZ_SECONDS, ten minutes by default"]
fn no_request_does_harm_for_long() {
    fuzz_session(true);
}
