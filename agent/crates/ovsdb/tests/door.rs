//! Debian's clients against our server: `ovsdb-client`, and the IDL of the Python package `ovs`.
#![allow(clippy::unwrap_used)]

mod pair;

use std::process::{Command, Stdio};

use lab::{output, run};
use ovsdb::server::Options;
use pair::{Ours, Real, SECOND, Two, Wire};
use serde_json::{Value as Json, json};

const SCHEMA: &str = include_str!("corpus/watch.ovsschema");

fn filled() -> Ours {
    let ours = Ours::start(SCHEMA);
    let rows = [
        json!({ "op": "insert", "table": "T", "row": { "i": 1, "s": "one", "m": ["map", [["k", "v"]]] } }),
        json!({ "op": "insert", "table": "T", "row": { "i": 2, "s": "two", "set": ["set", [1, 2]] } }),
    ];
    ours.server.transact("Watch", &rows).unwrap();
    ours
}

#[test]
fn ovsdb_client_works_unchanged() {
    let ours = filled();
    let remote = format!("unix:{}", ours.socket().display());
    let client = |arguments: &[&str]| {
        let all: Vec<&str> = ["--timeout=10", arguments[0], &remote]
            .iter()
            .chain(&arguments[1..])
            .copied()
            .collect();
        run("ovsdb-client", &all)
    };
    assert_eq!(client(&["list-dbs"]), "Watch\n_Server\n");
    assert_eq!(client(&["get-schema-version", "Watch"]), "1.0.0\n");
    let schema: Json = serde_json::from_str(&client(&["get-schema", "Watch"])).unwrap();
    assert_eq!(schema["name"], "Watch");
    assert!(client(&["list-tables", "Watch"]).contains('U'));
    assert!(client(&["list-columns", "Watch", "T"]).contains("set"));
    let dump = client(&["dump", "Watch", "T"]);
    assert!(
        dump.contains("one") && dump.contains("{k=v}") && dump.contains("[1, 2]"),
        "{dump}"
    );
    let insert = r#"["Watch",{"op":"insert","table":"U","row":{"n":7}}]"#;
    assert!(client(&["transact", insert]).contains("uuid"));
    let query = r#"["Watch",{"op":"select","table":"U","where":[],"columns":["n"]}]"#;
    assert!(client(&["query", query]).contains(r#""n":7"#));
    client(&["wait", "Watch", "connected"]);
    let backup = client(&["backup", "Watch"]);
    assert!(
        backup.starts_with("OVSDB JSON ") && backup.contains("\"two\""),
        "{backup}"
    );
}

/// What a client prints while it watches, until it has printed `count` of a text.
fn printed(arguments: &[&str], text: &str, count: usize, act: impl FnOnce()) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut child = Command::new("ovsdb-client")
        .args(arguments)
        .stdout(Stdio::from(file.reopen().unwrap()))
        .spawn()
        .unwrap();
    let read = || std::fs::read_to_string(file.path()).unwrap();
    lab::wait_for("the first rows", 10 * SECOND, || {
        (!read().is_empty()).then_some(())
    });
    act();
    let seen = lab::wait_for(text, 10 * SECOND, || {
        let seen = read();
        (seen.matches(text).count() >= count).then_some(seen)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    seen
}

#[test]
fn ovsdb_client_monitors() {
    let ours = filled();
    let remote = format!("unix:{}", ours.socket().display());
    let update = json!({ "op": "update", "table": "T", "where": [], "row": { "s": "changed" } });
    let change = || {
        drop(
            ours.server
                .transact("Watch", std::slice::from_ref(&update))
                .unwrap(),
        )
    };
    for method in ["monitor", "monitor-cond", "monitor-cond-since"] {
        let reset = json!({ "op": "update", "table": "T", "where": [], "row": { "s": "before" } });
        ours.server.transact("Watch", &[reset]).unwrap();
        let mut arguments = vec![method, "--format=csv", &remote, "Watch"];
        match method {
            "monitor-cond-since" => {
                arguments.extend(["00000000-0000-0000-0000-000000000000", "[[\"i\",\">\",0]]"])
            }
            "monitor-cond" => arguments.push("[[\"i\",\">\",0]]"),
            _ => {}
        }
        arguments.extend(["T", "i,s"]);
        let seen = printed(&arguments, "changed", 2, change);
        assert!(seen.contains("before"), "{method}: {seen}");
    }
}

#[test]
fn a_door_for_readers_says_so() {
    let ours = filled();
    let options = Options {
        read_only: true,
        ..Options::default()
    };
    ours.listen("readers", options);
    let remote = format!("unix:{}", ours.socket().with_file_name("readers").display());
    let refused = |operation: &str| {
        let request = format!("[\"Watch\",{operation}]");
        let said = output("ovsdb-client", &["transact", &remote, &request]);
        String::from_utf8(said.stdout).unwrap()
    };
    for (name, operation) in [
        ("insert", r#"{"op":"insert","table":"T","row":{}}"#),
        (
            "update",
            r#"{"op":"update","table":"T","where":[],"row":{}}"#,
        ),
        (
            "mutate",
            r#"{"op":"mutate","table":"T","where":[],"mutations":[]}"#,
        ),
        ("delete", r#"{"op":"delete","table":"T","where":[]}"#),
        ("commit", r#"{"op":"commit","durable":false}"#),
    ] {
        let why = format!("{name} operation not allowed when database server is in read only mode");
        let said = refused(operation);
        assert!(
            said.contains(&why) && said.contains("\"not allowed\""),
            "{said}"
        );
    }
    assert!(refused(r#"{"op":"select","table":"T","where":[],"columns":["i"]}"#).contains("rows"));
    let rows = ours
        .server
        .read("Watch", |database| database.rows("T").count());
    assert_eq!(rows, Some(2));
    let mut wire = Wire::connect(&ours.socket().with_file_name("readers"));
    let locked = wire.call("lock", json!(["l"]));
    assert_eq!(
        locked[0]["error"],
        "lock and unlock methods not allowed, DB server is read only."
    );
}

/// Watches a database through the IDL, changes it, and waits until the change comes back.
const IDL: &str = r#"
import sys
import ovs.db.idl, ovs.poller
schema = ovs.db.idl.SchemaHelper(sys.argv[2])
schema.register_all()
idl = ovs.db.idl.Idl(sys.argv[1], schema)
def until(condition):
    while not condition():
        seqno = idl.change_seqno
        idl.run()
        if seqno == idl.change_seqno and not condition():
            poller = ovs.poller.Poller()
            idl.wait(poller)
            poller.block()
until(lambda: len(idl.tables["T"].rows) == 2)
assert sorted(row.s for row in idl.tables["T"].rows.values()) == ["one", "two"]
txn = ovs.db.idl.Transaction(idl)
kid = txn.insert(idl.tables["K"])
kid.n = 5
parent = txn.insert(idl.tables["P"])
parent.kids = [kid]
row = next(row for row in idl.tables["T"].rows.values() if row.i == 1)
row.setkey("m", "colour", "blue")
row.verify("i")
assert txn.commit_block() == ovs.db.idl.Transaction.SUCCESS, txn.get_error()
until(lambda: len(idl.tables["K"].rows) == 1)
assert [kid.n for parent in idl.tables["P"].rows.values() for kid in parent.kids] == [5]
idl.cond_change("T", [["i", "==", 2]])
until(lambda: len(idl.tables["T"].rows) == 1)
txn = ovs.db.idl.Transaction(idl)
for parent in list(idl.tables["P"].rows.values()):
    parent.delete()
assert txn.commit_block() == ovs.db.idl.Transaction.SUCCESS, txn.get_error()
until(lambda: not idl.tables["K"].rows)
print("done")
"#;

/// Requires the Debian package `python3-openvswitch`.
#[test]
fn the_python_idl_works_unchanged() {
    let ours = filled();
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(at("idl.py"), IDL).unwrap();
    std::fs::write(at("schema"), SCHEMA).unwrap();
    let remote = format!("unix:{}", ours.socket().display());
    let said = output(
        "timeout",
        &[
            "30",
            "/usr/bin/python3",
            &at("idl.py"),
            &remote,
            &at("schema"),
        ],
    );
    assert_eq!(
        String::from_utf8_lossy(&said.stdout),
        "done\n",
        "{}",
        String::from_utf8_lossy(&said.stderr)
    );
    let row = ours.server.read("Watch", |database| {
        database
            .rows("T")
            .map(|(_, row)| row)
            .find(|row| row["i"].as_i64() == Some(1))
    });
    assert_eq!(row.unwrap().unwrap()["m"].strings()["colour"], "blue");
}

/// Requires the Debian package `openvswitch-switch`, as other tests do.
#[test]
fn ovs_vsctl_keeps_bridges_in_it() {
    let schema = std::fs::read_to_string("/usr/share/openvswitch/vswitch.ovsschema").unwrap();
    let (real, ours) = (Real::start(&schema), Ours::start(&schema));
    let commands: [&[&str]; 9] = [
        &["init"],
        &["add-br", "br0", "--", "add-port", "br0", "eth0", "tag=5"],
        &[
            "set",
            "bridge",
            "br0",
            "other-config:hwaddr=00:11:22:33:44:55",
            "fail_mode=secure",
        ],
        &["--columns=name,fail_mode,other_config", "list", "bridge"],
        &["--columns=name,tag", "find", "port", "tag=5"],
        &[
            "--",
            "--id=@m",
            "create",
            "mirror",
            "name=m",
            "--",
            "set",
            "bridge",
            "br0",
            "mirrors=@m",
            "--",
            "get",
            "mirror",
            "m",
            "name",
        ],
        &["add-port", "br0", "eth0"],
        &["--if-exists", "del-port", "eth0", "--", "list-ports", "br0"],
        &["del-br", "br0", "--", "--columns=name", "list", "mirror"],
    ];
    for command in commands {
        let [theirs, mine] = [real.socket(), ours.socket()].map(|socket| {
            let database = format!("--db=unix:{}", socket.display());
            let all: Vec<&str> = ["--no-wait", "--timeout=10", &database]
                .iter()
                .chain(command)
                .copied()
                .collect();
            let said = output("ovs-vsctl", &all);
            (
                said.status.code(),
                String::from_utf8(said.stdout).unwrap(),
                String::from_utf8(said.stderr).unwrap(),
            )
        });
        let told = |said: &str| {
            said.lines()
                .filter(|line| line.len() != 36)
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert_eq!(
            (mine.0, told(&mine.1), mine.2),
            (theirs.0, told(&theirs.1), theirs.2),
            "{command:?}"
        );
    }
    let database = serde_json::json!(["Open_vSwitch"]);
    let mut two = Two::connect(&real.socket(), &ours.socket());
    let (theirs, mine) = two.call("get_schema", &database);
    assert_eq!(mine, theirs);
}
