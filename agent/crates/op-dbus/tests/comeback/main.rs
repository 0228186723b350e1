//! A host is destroyed, and comes back from its export.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod daemon;
mod refused;
#[path = "../rig/mod.rs"]
mod rig;
mod walk;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use lab::run;
use rig::Rig;
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(30);

fn export(rig: &Rig) -> (PathBuf, Value) {
    let file = rig.machine.dir().join("host.json");
    rig.json(&["export", file.to_str().unwrap()]).expect(0);
    let text = fs::read_to_string(&file).unwrap();
    (file, serde_json::from_str(&text).unwrap())
}

/// Takes everything away that the agent made: bridges, containers, subvolumes, and what stands beside the base.
fn destroy(rig: &Rig) {
    if rig.ovs.is_some() {
        rig.stop_containers();
        for bridge in rig.ovs().bridges().lines() {
            rig.ovs().vsctl(&["del-br", bridge]);
        }
    }
    run("rm", &["-rf", rig.base.to_str().unwrap()]);
    for suffix in [".journal", ".lock", ".undone.json", ".restore.json"] {
        let _ = fs::remove_file(rig.beside(suffix));
    }
    fs::remove_file(&rig.file).unwrap();
    assert!(!rig.base.exists());
    rig.json(&["verify"]).expect(2);
}

/// What an export says of a host, but for what its ledger and its machine say.
fn content(export: &Value) -> Value {
    json!({
        "declaration": export["declaration"],
        "containers": export["containers"],
        "templates": export["templates"],
        "state": export["state"],
        "secrets": export["secrets"],
    })
}

fn running(rig: &Rig) -> Vec<String> {
    let list = rig.json(&["container", "list"]).expect(0).json();
    let items = list["containers"].as_array().unwrap().iter();
    items
        .filter(|item| item["state"]["running"] == true)
        .map(|item| item["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_destroyed_host_comes_back() {
    let Some(rig) = Rig::with_lxc(1024) else {
        return;
    };
    rig.declare_house(&[("web-01", 11)]);
    rig.apply();
    rig.json(&[
        "container",
        "create",
        "tool",
        "--template",
        "busybox",
        "--address",
        "10.7.0.30/24",
    ])
    .expect(0);
    let (file, exported) = export(&rig);
    let path = file.to_str().unwrap();
    // The same host gives the same bytes.
    let bytes = fs::read(&file).unwrap();
    assert_eq!(rig.run(&["export"]).expect(0).out.as_bytes(), bytes);
    // What is kept on the host is the same document.
    let kept: Value =
        serde_json::from_slice(&fs::read(rig.base.join("@state/current-state.json")).unwrap())
            .unwrap();
    assert_eq!(kept, exported);
    destroy(&rig);

    let shown = rig.json(&["restore", path, "--dry-run"]).expect(0).json();
    assert!(!rig.base.exists(), "a dry run changes nothing");
    assert!(
        shown["notes"].to_string().contains("a new ledger begins"),
        "{shown:#}"
    );
    let restored = rig.json(&["restore", path]).expect(0).json();
    assert_eq!(restored["outcome"], "applied", "{restored:#}");
    rig.assert_converged();
    assert_eq!(running(&rig), ["tool", "web-01"]);
    assert_eq!(rig.exec("tool", &["true"]).status, 0);

    // The first entry of the new ledger names the old head, and what it came from.
    let entries = rig.ledger(&[]);
    assert_eq!(entries[1]["operation"], "restore_begin");
    assert_eq!(entries[1]["metadata"]["old_head"], exported["ledger"]);
    assert_eq!(entries[1]["metadata"]["export"], exported["sha256"]);
    let last = entries.last().unwrap();
    assert_eq!(last["operation"], "state_restore");
    assert_eq!(last["metadata"]["run"], restored["run"]);
    assert!(!rig.beside(".restore.json").exists());

    // Once more is nothing more.
    let again = rig.json(&["restore", path]).expect(0).json();
    assert_eq!(again["outcome"], "unchanged", "{again:#}");
    assert_eq!(rig.ledger(&[]).len(), entries.len());
    assert_eq!(content(&export(&rig).1), content(&exported));
}

#[test]
fn a_restore_waits_to_be_confirmed_as_any_run_does() {
    let Some(rig) = Rig::storage(256) else { return };
    let declare = |level: u8| {
        let text = format!(
            "version: \"1.0\"\nplugins: {{btrfs: {{base: {}, subvolumes: {{'@cache': {{compression: 'zstd:{level}'}}}}}}}}\n",
            rig.base.display()
        );
        fs::write(&rig.file, text).unwrap();
        rig.apply();
    };
    declare(4);
    let (file, exported) = export(&rig);
    declare(5);
    let now = content(&export_to(&rig, "now.json"))["state"].take();
    let restore = |window: &str| {
        let path = file.to_str().unwrap();
        let arguments = [
            "--yes",
            "restore",
            path,
            "--onto-existing",
            "--confirm",
            window,
        ];
        let ended = rig.json(&arguments).expect(0);
        assert_eq!(
            ended.json()["outcome"],
            "awaiting-confirmation",
            "{ended:?}"
        );
    };

    // Nobody answers: the host is as it was before. The declaration stays that of the export, and is not applied.
    restore("2s");
    rig.wait_for_guard();
    let undone = content(&export_to(&rig, "undone.json"));
    assert_eq!(undone["state"], now);
    assert_eq!(undone["declaration"], exported["declaration"]);

    restore("300s");
    // Until it is answered, nothing else begins.
    rig.json(&["apply"]).expect(3);
    rig.json(&["confirm"]).expect(0);
    rig.assert_converged();
    assert_eq!(content(&export_to(&rig, "kept.json")), content(&exported));
}

/// The disk of the export is full: the one from before stays, and nothing lies beside it.
#[test]
fn an_export_that_finds_no_room_leaves_the_one_from_before() {
    let Some(rig) = Rig::storage(256) else { return };
    rig.declare("");
    rig.apply();
    let place = rig.machine.tmpfs("256k");
    let file = place.join("host.json");
    let path = file.to_str().unwrap();
    rig.json(&["export", path]).expect(0);
    let before = fs::read(&file).unwrap();
    rig.json(&["snapshot", "create", "later"]).expect(0);
    lab::fill(&place.join("ballast"));
    let failed = rig.run(&["export", path]).expect(1);
    assert!(failed.err.contains("No space left"), "{failed:?}");
    assert_eq!(fs::read(&file).unwrap(), before);
    assert_eq!(fs::read_dir(&place).unwrap().count(), 2);
    fs::remove_file(place.join("ballast")).unwrap();
    rig.json(&["export", path]).expect(0);
    assert_ne!(fs::read(&file).unwrap(), before, "it has the new head");
}

#[test]
fn with_a_copy_of_the_ledger_that_goes_on() {
    let Some(rig) = Rig::storage(256) else { return };
    rig.declare("");
    rig.apply();
    let (file, exported) = export(&rig);
    let copy = rig.machine.dir().join("timing");
    let timing = rig.base.join("@timing");
    run(
        "cp",
        &["-a", timing.to_str().unwrap(), copy.to_str().unwrap()],
    );
    let old = rig.ledger(&[]);
    destroy(&rig);
    let arguments = [
        "restore",
        file.to_str().unwrap(),
        "--ledger",
        copy.to_str().unwrap(),
    ];
    let restored = rig.json(&arguments).expect(0).json();
    assert_eq!(restored["ledger"], "taken-over", "{restored:#}");
    rig.assert_converged();
    let entries = rig.ledger(&[]);
    assert_eq!(entries[..old.len()], old[..]);
    assert_eq!(entries[old.len()]["operation"], "restore_begin");
    let hash = exported["ledger"]["hash"].as_str().unwrap();
    rig.json(&["ledger", "verify", "--expect-head", hash])
        .expect(0);
    // The same again is nothing.
    assert_eq!(
        rig.json(&arguments).expect(0).json()["outcome"],
        "unchanged"
    );
    assert_eq!(rig.ledger(&[]).len(), entries.len());
}

/// Killed at each place where something is made durable, the restore is taken up again and ends the same.
#[test]
fn a_restore_that_was_killed_is_taken_up_again() {
    if !lab::has("strace") {
        return lab::skip("needs strace");
    }
    let Some(rig) = Rig::storage(256) else { return };
    rig.declare("");
    rig.apply();
    let (file, exported) = export(&rig);
    let path = file.to_str().unwrap();
    let mut kills = 0;
    for nth in (1..).step_by(4) {
        destroy(&rig);
        let arguments = ["--json", "restore", path];
        let survived = rig.killed_at(&[], "fdatasync,fsync", nth, &arguments);
        let again = rig.json(&["restore", path]);
        assert_eq!(again.status, 0, "after a kill at sync {nth}: {again:?}");
        rig.assert_converged();
        let entries = rig.ledger(&[]);
        assert_eq!(
            entries[1]["operation"], "restore_begin",
            "after a kill at sync {nth}"
        );
        let begun = entries
            .iter()
            .filter(|entry| entry["operation"] == "restore_begin");
        assert_eq!(begun.count(), 1, "after a kill at sync {nth}");
        assert!(!rig.beside(".restore.json").exists());
        assert_eq!(content(&export_to(&rig, "again.json")), content(&exported));
        if survived {
            break;
        }
        kills += 1;
    }
    println!("{kills} kills");
    assert!(kills >= 4, "only {kills}");
}

fn export_to(rig: &Rig, name: &str) -> Value {
    let file = rig.machine.dir().join(name);
    rig.json(&["export", file.to_str().unwrap()]).expect(0);
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}
