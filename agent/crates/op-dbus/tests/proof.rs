//! The ledger proves itself: to whoever has its public key, through the daemon and without it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod rig;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use lab::wait_for;
use rig::daemon::Daemon;
use rig::{Rig, op_dbus};
use rustix::process::Signal;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);

/// Waits until the newest checkpoint covers all entries.
fn published(rig: &Rig) -> Value {
    wait_for("a checkpoint of every entry", LIMIT, || {
        let found = rig.json(&["ledger", "checkpoint"]);
        (found.status == 0)
            .then(|| found.json())
            .filter(|found| found["behind"] == 0)
    })
}

/// Has the ledger take in entries: of one more subvolume.
fn record(rig: &Rig, number: u64) {
    let text = fs::read_to_string(&rig.file).unwrap();
    let names: String = (0..=number).map(|n| format!("\"@x{n}\": {{}}, ")).collect();
    let (_, rest) = text.split_once("base: ").unwrap();
    let (top, _) = text.split_once("version:").unwrap();
    let text = format!(
        "{top}version: \"1.0\"\nplugins:\n  btrfs: {{subvolumes: {{{names}}}, base: {rest}"
    );
    fs::write(&rig.file, text).unwrap();
    rig.apply();
}

fn entries(rig: &Rig) -> i64 {
    let log = rig.json(&["ledger", "log", "-n", "1"]).expect(0).json();
    log["entries"][0]["id"].as_i64().unwrap()
}

#[test]
fn a_proof_is_checked_without_ledger_and_daemon() {
    let Some(rig) = Rig::storage(160) else { return };
    rig.declare_top("ledger: {checkpoints: {origin: host.example/ledger}}\n", "");
    let mut daemon = Daemon::start(&rig);
    let head = published(&rig);
    assert_eq!(head["origin"], "host.example/ledger");
    let key = rig.run(&["ledger", "key"]).expect(0).out.trim().to_owned();
    let keys = rig.base.join("keys");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(&keys), mode(&keys.join("checkpoint.key"))),
        (0o700, 0o600)
    );

    let proof = rig.machine.dir().join("entry.proof");
    let proof = proof.to_str().unwrap();
    rig.run(&["ledger", "prove", "1", "-o", proof]).expect(0);
    let first = rig.json(&["ledger", "checkpoint"]).expect(0).json();
    let kept = rig.machine.dir().join("kept");
    fs::write(&kept, first["checkpoint"].as_str().unwrap()).unwrap();
    let kept = kept.to_str().unwrap();
    daemon.terminate();

    // Nothing but the file and the key.
    let proved = op_dbus(&["--json", "ledger", "verify-proof", proof, "--key", &key]);
    let proved = proved.expect(0).json();
    assert_eq!(
        (&proved["valid"], &proved["entry"]["id"]),
        (&json!(true), &json!(1))
    );
    let text = fs::read_to_string(proof).unwrap();
    fs::write(proof, text.replace("index 1\n", "index 2\n")).unwrap();
    let forged = op_dbus(&["ledger", "verify-proof", proof, "--key", &key]).expect(1);
    assert!(forged.out.contains("NOT VALID"), "{forged:?}");
    op_dbus(&["ledger", "verify-proof", proof, "--key", "nonsense"]).expect(2);

    // Without a daemon as with it.
    let verified = rig.json(&["ledger", "verify", "--checkpoint", kept, "--key", &key]);
    let verified = verified.expect(0).json();
    assert_eq!(
        (&verified["valid"], &verified["guarantee"]["kind"]),
        (&json!(true), &json!("kept"))
    );
    let daemon = Daemon::start(&rig);
    record(&rig, 0);
    published(&rig);
    let same = rig.json(&["ledger", "consistency", kept]).expect(0).json();
    assert_eq!(same["consistent"], true);
    let verified = rig.run(&["ledger", "verify"]).expect(0);
    assert!(
        verified.out.contains("this host's signature"),
        "{verified:?}"
    );
    drop(daemon);
}

#[test]
fn a_killed_daemon_goes_on_where_it_was() {
    let Some(rig) = Rig::storage(160) else { return };
    rig.declare("");
    rig.apply();
    for round in 0..8_u64 {
        let daemon = Daemon::start(&rig);
        record(&rig, round);
        std::thread::sleep(Duration::from_millis(round * 83));
        daemon.signal(Signal::KILL);
        drop(daemon);
        let verified = rig.json(&["ledger", "verify"]).expect(0).json();
        assert_eq!(verified["valid"], true, "{verified:#}");
    }
    let mut daemon = Daemon::start(&rig);
    published(&rig);
    record(&rig, 8);
    // At its end it leaves nothing unpublished.
    daemon.terminate();
    let link = rig.base.join("@timing/tiles/checkpoint");
    let text = fs::read_to_string(link).unwrap();
    let size: i64 = text.lines().nth(1).unwrap().parse().unwrap();
    assert_eq!(size, entries(&rig) + 1);
    let verified = rig.json(&["ledger", "verify"]).expect(0).json();
    assert_eq!(verified["notes"], json!([]), "{verified:#}");
}

#[test]
fn a_credential_comes_before_the_file() {
    let Some(rig) = Rig::storage(160) else { return };
    rig.declare("");
    rig.apply();
    let credentials = rig.machine.dir().join("credentials");
    fs::create_dir(&credentials).unwrap();
    let text = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz\n";
    let file = credentials.join("checkpoint.key");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
    let daemon = Daemon::start_with(&rig, &["--no-bus"], |command| {
        command.env("CREDENTIALS_DIRECTORY", &credentials);
    });
    assert_eq!(published(&rig)["origin"], "PeterNeumann");
    assert!(!rig.base.join("keys/checkpoint.key").exists());
    drop(daemon);
    // Who does not have the credential makes no other key in its place.
    let refused = rig.run(&["ledger", "checkpoint"]).expect(1);
    assert!(
        refused.err.contains("a key that is not here"),
        "{refused:?}"
    );
    assert!(!rig.base.join("keys/checkpoint.key").exists());
}

#[test]
fn a_damaged_ledger_is_recovered_and_published_under_a_new_name() {
    let Some(rig) = Rig::storage(160) else { return };
    rig.declare_top("ledger: {checkpoints: {origin: host.example/ledger}}\n", "");
    let mut daemon = Daemon::start(&rig);
    published(&rig);
    // A base that is just made has its ledger before it has the socket.
    let socket = rig.base.join("sockets/api/opdbus.sock");
    wait_for("the daemon's socket", LIMIT, || {
        UnixStream::connect(&socket).ok()
    });
    let refused = rig.run(&["--yes", "ledger", "recover"]).expect(3);
    assert!(
        refused.err.contains("a daemon keeps this host"),
        "{refused:?}"
    );
    daemon.terminate();
    let sound = rig.json(&["ledger", "recover"]).expect(0).json();
    assert_eq!(sound["outcome"], "sound");

    let before = rig.ledger(&[]);
    let database = rig.base.join("@timing/blockchain.db");
    let connection = rusqlite::Connection::open(&database).unwrap();
    connection
        .execute(
            "UPDATE operations SET target = 'elsewhere' WHERE id = 2",
            [],
        )
        .unwrap();
    drop(connection);
    let found = rig.json(&["ledger", "verify"]).expect(1).json();
    assert_eq!(found["first_bad"]["id"], 2, "{found:#}");
    let planned = rig.json(&["ledger", "recover"]).expect(3).json();
    assert_eq!(
        (&planned["done"], &planned["plan"]["outcome"]),
        (&json!(false), &json!("new-chain"))
    );
    let done = rig.json(&["--yes", "ledger", "recover"]).expect(0).json();
    let archive = Path::new(done["archive"].as_str().unwrap());
    assert!(archive.join("tiles").is_dir() && archive.join("checkpoint").is_file());

    let after = rig.ledger(&[]);
    assert_eq!(after[1]["operation"], "ledger_recover");
    assert_eq!(after[1]["metadata"]["actor"]["door"], "cli");
    assert_eq!(after.len(), before.len());
    let daemon = Daemon::start(&rig);
    let origin = published(&rig)["origin"].as_str().unwrap().to_owned();
    assert!(origin.starts_with("host.example/ledger/"), "{origin}");
    assert_eq!(
        rig.json(&["ledger", "verify"]).expect(0).json()["valid"],
        true
    );
    drop(daemon);
}
