//! The OVSDB end of the daemon, with the clients that others wrote.

mod rig;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use lab::{output, run, wait_for};
use rig::Rig;
use rig::daemon::{Daemon, Line};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(60);

fn client(daemon: &Daemon, command: &str, arguments: &[&str]) -> String {
    let remote = format!("unix:{}", daemon.jsonrpc.display());
    let mut all = vec![command, remote.as_str()];
    all.extend(arguments);
    run("ovsdb-client", &all)
}

#[test]
fn ovsdb_client_reads_both_databases() {
    let Some(rig) = Rig::with_lxc(512) else {
        return;
    };
    rig.declare_house(&[("web", 11)]);
    let daemon = Daemon::start(&rig);
    daemon.wait_until("the first look", SOON, |host| host["state"] == "converged");
    let names = client(&daemon, "list-dbs", &[]);
    assert_eq!(
        names.lines().collect::<Vec<_>>(),
        ["NonNet", "Open_vSwitch", "_Server"]
    );
    let schema: Value = serde_json::from_str(&client(&daemon, "get-schema", &["NonNet"])).unwrap();
    assert_eq!(schema["name"], "NonNet");
    assert!(client(&daemon, "list-tables", &["NonNet"]).contains("Resource"));
    let dump = client(
        &daemon,
        "dump",
        &["NonNet", "Resource", "plugin", "name", "drift"],
    );
    assert!(
        dump.contains("container:web") && dump.contains("@cache"),
        "{dump}"
    );
    assert!(
        !dump.contains("bridge:br0"),
        "the network is Open vSwitch's: {dump}"
    );
    let bridges = client(&daemon, "dump", &["Open_vSwitch", "Bridge", "name"]);
    assert!(bridges.contains("br0"), "{bridges}");
    // Through the proxy as on its own socket.
    let direct = run(
        "ovsdb-client",
        &[
            "get-schema",
            &format!("unix:{}", rig.ovs().socket().display()),
            "Open_vSwitch",
        ],
    );
    assert_eq!(client(&daemon, "get-schema", &["Open_vSwitch"]), direct);
    assert!(!client(&daemon, "backup", &["NonNet"]).is_empty());
    // ovs-vsctl, which follows several tables, works as on the switch's own socket.
    let db = format!("--db=unix:{}", daemon.jsonrpc.display());
    assert_eq!(run("ovs-vsctl", &[&db, "list-br"]).trim(), "br0");
}

#[test]
fn the_python_idl_follows_what_plugins_see() {
    let Some(rig) = Rig::storage(512) else { return };
    rig.declare("");
    let daemon = Daemon::start(&rig);
    let script = "\
import sys
import ovs.db.idl, ovs.poller
helper = ovs.db.idl.SchemaHelper(sys.argv[2])
helper.register_all()
idl = ovs.db.idl.Idl(sys.argv[1], helper)
wanted = sys.argv[3]
while True:
    idl.run()
    names = [row.name for row in idl.tables['Resource'].rows.values()]
    if idl.has_ever_connected() and wanted in names:
        print('seen', flush=True)
        break
    poller = ovs.poller.Poller()
    idl.wait(poller)
    poller.block()
";
    let schema = rig.machine.dir().join("nonnet.ovsschema");
    std::fs::write(&schema, client(&daemon, "get-schema", &["NonNet"])).unwrap();
    let remote = format!("unix:{}", daemon.jsonrpc.display());
    let mut python = Command::new("/usr/bin/python3")
        .args(["-c", script, &remote, schema.to_str().unwrap(), "@extra"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let text = std::fs::read_to_string(&rig.file).unwrap();
    std::fs::write(
        &rig.file,
        text.replace("{base: ", "{subvolumes: {\"@extra\": {}}, base: "),
    )
    .unwrap();
    let status = wait_for("the IDL", SOON, || python.try_wait().unwrap());
    assert!(status.success());
}

#[test]
fn others_keep_records_and_write_nothing_else() {
    let Some(rig) = Rig::storage(512) else { return };
    rig.declare("");
    let mut daemon = Daemon::start(&rig);
    daemon.wait_until("the first look", SOON, |host| host["state"] == "converged");
    let insert = json!(["NonNet", {
        "op": "insert", "table": "Record", "row": { "name": "backup", "values": ["map", [["last", "ok"]]] },
    }]);
    client(&daemon, "transact", &[&insert.to_string()]);
    assert!(client(&daemon, "dump", &["NonNet", "Record"]).contains("backup"));
    let entry = rig
        .ledger(&["--operation", "ovsdb_transact"])
        .pop()
        .unwrap();
    assert_eq!(entry["metadata"]["outcome"], "done");
    assert_eq!(entry["metadata"]["actor"]["door"], "ovsdb");
    // What only the daemon writes.
    let forged = json!(["NonNet", { "op": "delete", "table": "Resource", "where": [] }]);
    let answer = client(&daemon, "transact", &[&forged.to_string()]);
    assert!(answer.contains("permission error"), "{answer}");
    let entry = rig
        .ledger(&["--operation", "ovsdb_transact"])
        .pop()
        .unwrap();
    assert_eq!(entry["metadata"]["outcome"], "refused");
    // They outlive the daemon.
    daemon.terminate();
    let daemon = Daemon::start(&rig);
    wait_for("the saved record", SOON, || {
        client(&daemon, "dump", &["NonNet", "Record"])
            .contains("backup")
            .then_some(())
    });
}

#[test]
fn an_update_comes_before_the_answer_to_its_transaction() {
    let Some(rig) = Rig::storage(512) else { return };
    rig.declare("");
    let daemon = Daemon::start(&rig);
    daemon.wait_until("the first look", SOON, |host| host["state"] == "converged");
    let mut line = daemon.connect();
    line.send(
        &json!({ "id": 1, "method": "monitor", "params": ["NonNet", "m", { "Record": {} }] }),
    );
    assert_eq!(line.receive().unwrap()["id"], 1);
    for number in 0..50 {
        let row = json!({ "name": format!("r{number}") });
        let insert = json!({ "op": "insert", "table": "Record", "row": row });
        line.send(
            &json!({ "id": 100 + number, "method": "transact", "params": ["NonNet", insert] }),
        );
        assert_eq!(line.receive().unwrap()["method"], "update");
        assert_eq!(line.receive().unwrap()["id"], 100 + number);
    }
    // Both kinds of JSON-RPC on one connection.
    assert!(line.request("daemon.status", json!({}))["result"]["pid"].is_u64());
}

#[test]
fn two_hundred_monitors_hear_of_every_change() {
    let Some(rig) = Rig::storage(512) else { return };
    rig.declare("");
    let daemon = Daemon::start(&rig);
    daemon.wait_until("the first look", SOON, |host| host["state"] == "converged");
    let mut monitors: Vec<Line> = (0..200).map(|_| daemon.connect()).collect();
    for line in &mut monitors {
        line.send(
            &json!({ "id": 1, "method": "monitor", "params": ["NonNet", null, { "Record": {} }] }),
        );
        assert_eq!(line.receive().unwrap()["id"], 1);
    }
    let mut writer = daemon.connect();
    const WRITES: usize = 20;
    for number in 0..WRITES {
        let row = json!({ "name": format!("r{number}") });
        let insert = json!({ "op": "insert", "table": "Record", "row": row });
        writer.send(&json!({ "id": number, "method": "transact", "params": ["NonNet", insert] }));
        assert_eq!(writer.receive().unwrap()["id"], number);
    }
    for line in &mut monitors {
        for number in 0..WRITES {
            let update = line.receive().unwrap();
            let rows = update["params"][1]["Record"].as_object().unwrap();
            let name = format!("r{number}");
            assert!(
                rows.values().any(|row| row["new"]["name"] == name),
                "{update}"
            );
        }
    }
}

#[test]
fn a_monitor_of_the_switch_goes_through_and_its_end_is_told() {
    let Some(mut rig) = Rig::whole(512) else {
        return;
    };
    rig.declare_house(&[]);
    let daemon = Daemon::start(&rig);
    daemon.wait_until("the first look", SOON, |host| host["state"] == "converged");
    let remote = format!("unix:{}", daemon.jsonrpc.display());
    let mut monitor = Command::new("ovsdb-client")
        .args(["monitor", &remote, "Open_vSwitch", "Port", "name"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(monitor.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("br0")));
    rig.ovs().vsctl(&[
        "add-port",
        "br0",
        "extra",
        "--",
        "set",
        "Interface",
        "extra",
        "type=internal",
    ]);
    assert!(lines.any(|line| line.unwrap().contains("extra")));
    let _ = monitor.kill();
    let _ = monitor.wait();
    // A direct transaction is recorded like any other change.
    let comment = json!(["Open_vSwitch", {
        "op": "update", "table": "Bridge", "where": [["name", "==", "br0"]],
        "row": { "other_config": ["map", [["note", "x"]]] },
    }]);
    client(&daemon, "transact", &[&comment.to_string()]);
    let entry = rig
        .ledger(&["--operation", "ovsdb_transact"])
        .pop()
        .unwrap();
    assert_eq!(entry["target"], "Open_vSwitch");
    // Without the switch's server there is an answer all the same.
    let socket = rig.ovs().socket();
    rig.ovs.as_mut().unwrap().kill_database();
    let _ = std::fs::remove_file(socket);
    let mut line = daemon.connect();
    line.send(&json!({ "id": 7, "method": "get_schema", "params": ["Open_vSwitch"] }));
    let answer = line.receive().unwrap();
    assert_eq!(answer["id"], 7);
    assert_eq!(answer["error"]["error"], "I/O error", "{answer}");
    let ended = output("ovsdb-client", &["list-dbs", &remote]);
    assert_eq!(
        String::from_utf8_lossy(&ended.stdout).trim(),
        "NonNet\n_Server"
    );
}

#[test]
fn nothing_reaches_the_switch_but_looks_and_transactions() {
    let Some(rig) = Rig::whole(512) else { return };
    rig.declare_house(&[]);
    let daemon = Daemon::start(&rig);
    daemon.wait_until("the first look", SOON, |host| host["state"] == "converged");
    let mut line = daemon.connect();
    let schema = json!({ "name": "Open_vSwitch", "version": "0.0.1", "tables": {} });
    line.send(&json!({ "id": 1, "method": "convert", "params": ["Open_vSwitch", schema] }));
    assert_eq!(line.receive().unwrap()["error"]["error"], "not allowed");
    assert_eq!(rig.ovs().bridges(), "br0");
    let entry = rig
        .ledger(&["--operation", "ovsdb_transact"])
        .pop()
        .unwrap();
    assert_eq!(entry["metadata"]["outcome"], "refused");
}

#[test]
fn a_write_is_recorded_without_its_values_whether_or_not_anybody_waits_for_the_answer() {
    let Some(rig) = Rig::storage(512) else { return };
    rig.declare("");
    let daemon = Daemon::start(&rig);
    daemon.wait_until("the first look", SOON, |host| host["state"] == "converged");
    let insert = |name: &str| {
        let row = json!({ "name": name, "values": ["map", [["psk", "s3cret"]]] });
        let insert = json!({ "op": "insert", "table": "Record", "row": row });
        json!({ "id": 7, "method": "transact", "params": ["NonNet", insert] })
    };
    let mut line = daemon.connect();
    line.send(&insert("gone"));
    drop(line);
    let entries = lab::wait_for("the entry", SOON, || {
        Some(rig.ledger(&["--operation", "ovsdb_transact"])).filter(|entries| !entries.is_empty())
    });
    assert!(
        !json!(entries).to_string().contains("s3cret"),
        "{entries:#?}"
    );
    // Of several with one id each is recorded.
    let mut line = daemon.connect();
    for name in ["a", "b", "c"] {
        line.send(&insert(name));
    }
    lab::wait_for("an entry each", SOON, || {
        (rig.ledger(&["--operation", "ovsdb_transact"]).len() == entries.len() + 3).then_some(())
    });
}
