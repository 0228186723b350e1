//! Against a real ovsdb-server, and against peers that misbehave.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use lab::{Machine, run};
use ovsdb::{Atom, Client, Done, Error, Mutator, Operation, Value, Where};

const SECOND: Duration = Duration::from_secs(1);

fn watch(client: &Client) {
    client
        .monitor(
            "Open_vSwitch",
            &[
                ("Open_vSwitch", &["next_cfg", "external_ids"]),
                ("Bridge", &["name"]),
            ],
        )
        .unwrap();
}

fn bridges(client: &Client) -> Vec<String> {
    let tables = client.tables().unwrap();
    let names = tables
        .rows("Bridge")
        .map(|(_, row)| row["name"].as_str().unwrap().to_owned());
    names.collect()
}

#[test]
fn transactions_and_the_cache_agree_with_ovsdb_client() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let ovs = machine.ovs();
    let client = Client::connect(&ovs.socket(), 5 * SECOND).unwrap();
    assert!(
        client
            .databases()
            .unwrap()
            .contains(&"Open_vSwitch".to_owned())
    );
    assert_eq!(
        client.schema("Open_vSwitch").unwrap()["name"],
        "Open_vSwitch"
    );
    watch(&client);
    let root = client
        .tables()
        .unwrap()
        .rows("Open_vSwitch")
        .next()
        .unwrap()
        .0
        .clone();
    let mark = Operation::Mutate {
        table: "Open_vSwitch",
        rows: Where::uuid(&root),
        mutations: vec![(
            "external_ids",
            Mutator::Insert,
            Value::map([("colour", "bl\u{fc}e \"quoted\"")]),
        )],
    };
    let look = Operation::Select {
        table: "Open_vSwitch",
        rows: Where::all(),
        columns: vec!["external_ids"],
    };
    let results = client.transact("Open_vSwitch", &[mark, look]).unwrap();
    let Done::Rows(rows) = &results[1] else {
        panic!("{results:?}")
    };
    assert_eq!(
        rows[0]["external_ids"].strings()["colour"],
        "bl\u{fc}e \"quoted\""
    );
    // The update of one's own transaction comes before its reply.
    let cached = client.tables().unwrap();
    assert_eq!(
        cached.row("Open_vSwitch", &root).unwrap()["external_ids"].strings()["colour"],
        "bl\u{fc}e \"quoted\""
    );
    let remote = format!("unix:{}", ovs.socket().display());
    let dump = run(
        "ovsdb-client",
        &[
            "dump",
            &remote,
            "Open_vSwitch",
            "Open_vSwitch",
            "external_ids",
        ],
    );
    assert!(dump.contains("colour"), "{dump}");
    // What others do is seen.
    ovs.vsctl(&["--no-wait", "add-br", "elsewhere"]);
    client
        .wait_for(5 * SECOND, |tables| {
            tables.rows("Bridge").next().map(|_| ())
        })
        .unwrap()
        .unwrap();
    ovs.vsctl(&["--no-wait", "del-br", "elsewhere"]);
    client
        .wait_for(5 * SECOND, |tables| {
            tables.rows("Bridge").next().is_none().then_some(())
        })
        .unwrap()
        .unwrap();
    assert_eq!(
        client
            .wait_for(Duration::from_millis(50), |tables| tables
                .rows("Bridge")
                .next()
                .map(|_| ()))
            .unwrap(),
        None
    );
}

#[test]
fn a_refused_transaction_does_nothing_and_says_why() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let ovs = machine.ovs();
    let client = Client::connect(&ovs.socket(), 5 * SECOND).unwrap();
    watch(&client);
    let insert = |table, column, name: &str| Operation::Insert {
        table,
        row: BTreeMap::from([(column, Value::of(Atom::from("x")))]),
        name: name.to_owned(),
    };
    // A column that is not there: refused in its place.
    let error = client
        .transact(
            "Open_vSwitch",
            &[
                Operation::Comment("x".into()),
                insert("Bridge", "nonesuch", "a"),
            ],
        )
        .unwrap_err();
    assert!(
        matches!(&error, Error::Refused(refusal) if refusal.place == 1),
        "{error}"
    );
    // A commit that breaks a constraint (two bridges of one name) adds a result of its own.
    let root = Where::all();
    let add = |name: &str| Operation::Mutate {
        table: "Open_vSwitch",
        rows: root.clone(),
        mutations: vec![(
            "bridges",
            Mutator::Insert,
            Value::Set(vec![Atom::Named(name.to_owned())]),
        )],
    };
    let error = client
        .transact(
            "Open_vSwitch",
            &[
                insert("Bridge", "name", "a"),
                insert("Bridge", "name", "b"),
                add("a"),
                add("b"),
            ],
        )
        .unwrap_err();
    assert!(matches!(&error, Error::Refused(_)), "{error}");
    assert!(bridges(&client).is_empty());
    assert!(matches!(
        client.schema("nonesuch"),
        Err(Error::Request { .. })
    ));
}

#[test]
fn a_server_that_restarts_is_found_again_and_the_cache_is_fresh() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let mut ovs = machine.ovs();
    let client = Client::connect(&ovs.socket(), 5 * SECOND).unwrap();
    watch(&client);
    ovs.vsctl(&["--no-wait", "add-br", "before"]);
    client
        .wait_for(5 * SECOND, |tables| {
            tables.rows("Bridge").next().map(|_| ())
        })
        .unwrap()
        .unwrap();
    ovs.kill_database();
    ovs.start_database();
    ovs.vsctl(&["--no-wait", "del-br", "before", "--", "add-br", "after"]);
    client
        .wait_for(5 * SECOND, |tables| {
            let mut names = tables
                .rows("Bridge")
                .filter_map(|(_, row)| row["name"].as_str());
            (names.next() == Some("after") && names.next().is_none()).then_some(())
        })
        .unwrap()
        .unwrap();
    assert_eq!(bridges(&client), ["after"]);
    ovs.kill_database();
    let short = Client::connect(&ovs.socket(), SECOND);
    assert!(matches!(short, Err(Error::Connect { .. })));
}

/// The value of `external_ids:n` in the root row.
fn number(tables: &ovsdb::Tables) -> Option<u64> {
    let (_, row) = tables.rows("Open_vSwitch").next()?;
    row["external_ids"].strings().get("n")?.parse().ok()
}

fn count_to(client: &Client, n: u64) {
    let text = n.to_string();
    let set = Operation::Update {
        table: "Open_vSwitch",
        rows: Where::all(),
        row: BTreeMap::from([("external_ids", Value::map([("n", text.as_str())]))]),
    };
    client.transact("Open_vSwitch", &[set]).unwrap();
}

#[test]
fn a_cache_that_is_filled_while_others_write_is_not_behind() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let ovs = machine.ovs();
    let writer = Client::connect(&ovs.socket(), 5 * SECOND).unwrap();
    let reader = Client::connect(&ovs.socket(), 5 * SECOND).unwrap();
    count_to(&writer, 0);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1..500 {
                count_to(&writer, n);
            }
            done.store(true, std::sync::atomic::Ordering::Release);
        });
        let mut last = 0;
        while !done.load(std::sync::atomic::Ordering::Acquire) {
            // Each call fills the cache anew, over a new connection.
            watch(&reader);
            let seen = number(&reader.tables().unwrap()).unwrap();
            assert!(seen >= last, "{seen} after {last}");
            last = seen;
        }
    });
    let end = reader
        .wait_for(5 * SECOND, |tables| {
            number(tables).filter(|seen| *seen == 499)
        })
        .unwrap();
    assert_eq!(end, Some(499));
}

#[test]
fn threads_that_share_a_client_never_see_half_a_cache() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let mut ovs = machine.ovs();
    let client = Client::connect(&ovs.socket(), 10 * SECOND).unwrap();
    watch(&client);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Acquire) {
                    let tables = client.tables().unwrap();
                    assert_eq!(tables.rows("Open_vSwitch").count(), 1);
                }
            });
        }
        for _ in 0..5 {
            ovs.kill_database();
            ovs.start_database();
            client.tables().unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::Release);
    });
}

#[test]
fn what_is_required_holds_or_nothing_is_done() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let ovs = machine.ovs();
    let client = Client::connect(&ovs.socket(), 5 * SECOND).unwrap();
    watch(&client);
    count_to(&client, 1);
    let step = |from: &str, to: &str| {
        let row = |n: &str| BTreeMap::from([("external_ids", Value::map([("n", n)]))]);
        let (table, rows) = ("Open_vSwitch", Where::all());
        let require = Operation::Require {
            table,
            rows: rows.clone(),
            row: row(from),
        };
        let update = Operation::Update {
            table,
            rows,
            row: row(to),
        };
        client.transact("Open_vSwitch", &[require, update])
    };
    step("1", "2").unwrap();
    let error = step("1", "3").unwrap_err();
    assert!(
        matches!(&error, Error::Refused(refusal) if refusal.place == 0 && refusal.kind == "timed out"),
        "{error}"
    );
    assert_eq!(
        ovs.vsctl(&["get", "open_vswitch", ".", "external_ids:n"])
            .trim(),
        "\"2\""
    );
}

#[test]
fn a_server_that_talks_before_it_listens_is_no_deadlock() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("peer");
    let listener = UnixListener::bind(&path).unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // In pieces: a client that keeps its reader from any of them stops them all.
        let noise = br#"{"method":"noise","params":[],"id":null}"#.repeat(200_000);
        stream.write_all(&noise).unwrap();
        let reader = std::io::BufReader::new(&stream);
        let mut requests =
            serde_json::Deserializer::from_reader(reader).into_iter::<serde_json::Value>();
        let id = requests.next().unwrap().unwrap()["id"].clone();
        let answer = serde_json::json!({ "id": id, "result": [{}], "error": null });
        (&stream).write_all(answer.to_string().as_bytes()).unwrap();
    });
    let client = Client::connect(&path, 120 * SECOND).unwrap();
    let long = Operation::Comment("y".repeat(8 << 20));
    assert_eq!(client.transact("x", &[long]).unwrap(), [Done::Done]);
    server.join().unwrap();
}

/// A server that answers the first request with `answer`, whatever it was.
fn peer(dir: &std::path::Path, answer: &'static [u8], stay: bool) -> std::path::PathBuf {
    let path = dir.join("peer");
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer);
        let _ = stream.write_all(answer);
        while stay && stream.read(&mut buffer).is_ok_and(|read| read > 0) {}
    });
    path
}

#[test]
fn peers_that_misbehave_give_errors_in_time() {
    for (answer, stay, expected) in [
        (&b""[..], false, "closed the connection"),
        (b"", true, "did not answer"),
        (b"GET / HTTP/1.1\r\n\r\n", true, "cannot be understood"),
        (b"{\"id\":0,\"result\":", false, "closed the connection"),
        (
            b"{\"id\":0,\"error\":\"no\",\"result\":null}",
            true,
            "refused",
        ),
        (
            b"{\"id\":0,\"error\":null,\"result\":17}",
            true,
            "cannot be understood",
        ),
        (b"[1,2]", true, "cannot be understood"),
        (
            b"{\"method\":\"update\",\"params\":[null,{\"T\":{\"bad\":{}}}],\"id\":null}",
            true,
            "cannot be understood",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = peer(dir.path(), answer, stay);
        // Only what never comes is waited for in vain.
        let patience = match expected {
            "did not answer" => Duration::from_millis(300),
            _ => 60 * SECOND,
        };
        let client = Client::connect(&path, patience).unwrap();
        let error = client.databases().unwrap_err().to_string();
        assert!(
            error.contains(expected),
            "{}: {error}",
            String::from_utf8_lossy(answer)
        );
    }
}

#[test]
fn echoes_are_answered() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("peer");
    let listener = UnixListener::bind(&path).unwrap();
    let client = Client::connect(&path, SECOND).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    stream
        .write_all(br#"{"method":"echo","params":["x"],"id":"echo"}"#)
        .unwrap();
    let mut answer = serde_json::Deserializer::from_reader(stream).into_iter::<serde_json::Value>();
    let answer = answer.next().unwrap().unwrap();
    assert_eq!(
        answer,
        serde_json::json!({ "id": "echo", "result": ["x"], "error": null })
    );
    drop(client);
}
