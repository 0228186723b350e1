//! Going back: the declaration and the resources as they were before a run.

#![allow(clippy::unwrap_used)]

mod rig;

use std::time::Duration;

use lab::run;
use rig::Rig;
use rig::daemon::Daemon;
use serde_json::Value;

const SOON: Duration = Duration::from_secs(30);

/// A declaration with these subvolumes beside the agent's own.
fn declare(rig: &Rig, subvolumes: &str) {
    let base = rig.base.display();
    let text = format!(
        "# by hand\nversion: \"1.0\"\nplugins:\n  btrfs: {{base: {base}, subvolumes: {{{subvolumes}}}}}\n"
    );
    std::fs::write(&rig.file, text).unwrap();
}

fn declaration(rig: &Rig) -> String {
    std::fs::read_to_string(&rig.file).unwrap()
}

/// What the host has, without what the ledger and the clock change.
fn query(rig: &Rig) -> Value {
    rig.json(&["query"]).expect(0).json()["plugins"].take()
}

fn compression(rig: &Rig, name: &str) -> String {
    let path = rig.base.join(name);
    run(
        "btrfs",
        &["property", "get", path.to_str().unwrap(), "compression"],
    )
}

#[test]
fn the_last_run_is_taken_back_and_twice_is_there_again() {
    let Some(rig) = Rig::storage(256) else { return };
    declare(&rig, "");
    rig.apply();
    let (first, before) = (declaration(&rig), query(&rig));
    declare(
        &rig,
        "\"@extra\": {compression: lzo}, \"@cache\": {compression: lzo}",
    );
    rig.apply();
    let (second, after) = (declaration(&rig), query(&rig));

    // A plan like any other: shown, bound, and refused where it destroys.
    std::fs::write(rig.base.join("@extra/file"), "precious").unwrap();
    let shown = rig.json(&["rollback", "--dry-run"]).expect(0).json();
    assert_eq!(shown["summary"]["delete"], 1, "{shown:#}");
    assert_eq!(shown["summary"]["update"], 1, "{shown:#}");
    rig.json(&["rollback"]).expect(3);
    rig.json(&["rollback", "--allow-destroy", "--plan", "0000000000000000"])
        .expect(3);
    assert_eq!(
        declaration(&rig),
        second,
        "what was refused changed nothing"
    );
    assert_eq!(query(&rig), after);

    let hash = shown["plan_hash"].as_str().unwrap();
    let back = rig
        .json(&["rollback", "--allow-destroy", "--plan", &hash[..12]])
        .expect(0)
        .json();
    assert_eq!(back["outcome"], "applied", "{back:#}");
    assert_eq!(back["declaration"], "put-back", "{back:#}");
    assert_eq!(declaration(&rig), first, "remarks and all");
    assert_eq!(query(&rig), before);
    rig.assert_converged();
    let entries = rig.ledger(&["--operation", "state_rollback"]);
    assert_eq!(entries.last().unwrap()["metadata"]["run"], back["run"]);

    // A rollback is a run: taken back, it is there again.
    rig.json(&["rollback"]).expect(0);
    assert_eq!(declaration(&rig), second);
    assert_eq!(query(&rig), after);
    rig.assert_converged();
}

#[test]
fn a_rollback_waits_to_be_confirmed_as_any_run_does() {
    let Some(rig) = Rig::storage(256) else { return };
    declare(&rig, "");
    rig.apply();
    let (first, before) = (declaration(&rig), query(&rig));
    declare(&rig, "\"@cache\": {compression: lzo}");
    rig.apply();
    let (second, after) = (declaration(&rig), query(&rig));
    let rollback = |window: &str| {
        let ended = rig.json(&["rollback", "--confirm", window]).expect(0);
        assert_eq!(
            ended.json()["outcome"],
            "awaiting-confirmation",
            "{ended:?}"
        );
    };

    // Nobody answers: the resources are those of before the rollback. The earlier declaration stays, and is not applied.
    rollback("1s");
    rig.wait_for_guard();
    assert_eq!(query(&rig), after);
    assert_eq!(declaration(&rig), first);

    std::fs::write(&rig.file, second).unwrap();
    assert_eq!(rig.apply()["outcome"], "unchanged");
    rollback("300s");
    assert_eq!(query(&rig), before);
    rig.json(&["apply"]).expect(3);
    rig.json(&["confirm"]).expect(0);
    assert_eq!(query(&rig), before);
    assert_eq!(declaration(&rig), first);
    rig.assert_converged();
}

#[test]
fn what_was_changed_since_is_named_and_left_alone() {
    let Some(rig) = Rig::storage(256) else { return };
    declare(&rig, "\"@one\": {}, \"@two\": {}");
    rig.apply();
    let first = declaration(&rig);
    declare(
        &rig,
        "\"@one\": {compression: lzo}, \"@two\": {compression: lzo}",
    );
    let middle = rig.apply()["run"].as_str().unwrap().to_owned();
    declare(
        &rig,
        "\"@one\": {compression: zstd}, \"@two\": {compression: lzo}",
    );
    let last = rig.apply()["run"].as_str().unwrap().to_owned();
    let third = declaration(&rig);

    let refused = rig.json(&["rollback", &middle]).expect(3).json();
    let text = refused["error"]["message"].as_str().unwrap();
    for part in ["btrfs/@one", &last, "host/declaration", "--over-conflicts"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(declaration(&rig), third);
    assert!(compression(&rig, "@one").contains("zstd"));

    // By the number of an entry of the run.
    let entry = rig.ledger(&["--run", &middle])[0]["id"].to_string();
    let plan = rig
        .json(&["rollback", &entry, "--dry-run"])
        .expect(0)
        .json();
    let notes = plan["notes"].to_string();
    assert!(notes.contains("conflict"), "{notes}");
    assert_eq!(plan["summary"]["update"], 1, "{plan:#}");
    rig.json(&["rollback", &entry, "--over-conflicts"])
        .expect(0);
    assert_eq!(declaration(&rig), first);
    assert!(!compression(&rig, "@one").contains("zstd"));
    rig.assert_converged();
}

#[test]
fn what_cannot_be_taken_back_is_refused_with_the_reason() {
    let Some(rig) = Rig::storage(256) else { return };
    declare(&rig, "");
    rig.json(&["rollback"]).expect(2);
    let first = rig.apply()["run"].as_str().unwrap().to_owned();
    // The run that made the storage: that stays, and so does the declaration.
    let plan = rig
        .json(&["rollback", &first, "--dry-run"])
        .expect(0)
        .json();
    assert!(plan["changes"].as_array().unwrap().is_empty(), "{plan:#}");
    assert!(plan["notes"].to_string().contains("storage"), "{plan:#}");
    assert_eq!(
        rig.json(&["rollback"]).expect(0).json()["outcome"],
        "unchanged"
    );
    rig.json(&["rollback", "20200101-000000-000000"]).expect(2);
    rig.json(&["rollback", "999999"]).expect(2);
    rig.json(&["rollback", "no-snapshot"]).expect(2);
    rig.json(&["rollback", "../../etc"]).expect(2);
    // The genesis entry belongs to no run.
    rig.json(&["rollback", "0"]).expect(3);
}

#[test]
fn containers_made_and_removed_by_command_come_and_go() {
    let Some(rig) = Rig::with_lxc(1024) else {
        return;
    };
    rig.declare_house(&[]);
    rig.apply();
    let before = query(&rig);
    let create = [
        "container",
        "create",
        "tool",
        "--template",
        "busybox",
        "--address",
        "10.7.0.30/24",
    ];
    rig.json(&create).expect(0);
    let after = query(&rig);
    rig.json(&["rollback", "--allow-destroy"]).expect(0);
    assert_eq!(query(&rig), before);
    rig.assert_converged();

    rig.json(&create).expect(0);
    rig.json(&["--yes", "container", "destroy", "tool"])
        .expect(0);
    assert_eq!(query(&rig), before);
    rig.json(&["rollback"]).expect(0);
    assert_eq!(query(&rig), after);
    assert_eq!(rig.exec("tool", &["true"]).status, 0);
    rig.assert_converged();
}

#[test]
fn a_bridge_goes_and_comes_with_all_that_hangs_on_it() {
    let Some(rig) = Rig::with_lxc(1024) else {
        return;
    };
    rig.declare("");
    rig.apply();
    let before = query(&rig);
    rig.declare_house(&[("web-01", 11)]);
    rig.apply();
    let after = query(&rig);
    rig.json(&["rollback", "--allow-destroy"]).expect(0);
    assert_eq!(rig.ovs().bridges(), "");
    assert_eq!(query(&rig)["btrfs"], before["btrfs"]);
    rig.assert_converged();
    rig.json(&["rollback"]).expect(0);
    assert_eq!(query(&rig), after);
    assert_eq!(rig.exec("web-01", &["true"]).status, 0);
    rig.assert_converged();
}

#[test]
fn the_daemon_does_not_do_again_what_was_rolled_back() {
    let Some(rig) = Rig::storage(256) else { return };
    declare(&rig, "\"@extra\": {compression: lzo}");
    rig.apply();
    let daemon = Daemon::start(&rig);
    daemon.wait_until("the first look", SOON, |host| host["state"] == "converged");
    // The daemon mends what drifts; its run is taken back by its id, and the declaration still asks for it.
    let extra = rig.base.join("@extra");
    run("btrfs", &["subvolume", "delete", extra.to_str().unwrap()]);
    let mend = lab::wait_for("the daemon mends it", SOON, || {
        let ends = rig.ledger(&["--operation", "apply_end"]);
        let last = ends.last().cloned()?;
        (last["metadata"]["actor"]["door"] == "daemon").then_some(last)
    });
    let mend = mend["metadata"]["run"].as_str().unwrap().to_owned();
    let back = rig
        .json(&["rollback", &mend, "--allow-destroy"])
        .expect(0)
        .json();
    assert_eq!(back["declaration"], "held-off", "{back:#}");
    let host = daemon.wait_until("it is held", SOON, |host| host["state"] == "held");
    assert!(
        host["text"].as_str().unwrap().contains("rolled back"),
        "{host:#}"
    );
    assert!(!extra.exists());
    // A mend that waited for its turn while this was rolled back does not undo that.
    let late = rig.json(&["tool", "call", "state_apply", r#"{"careful":true}"#]);
    late.expect(3);
    assert!(!extra.exists());
    // Whoever applies it asks for it again.
    rig.json(&["apply"]).expect(0);
    daemon.wait_until("as declared", SOON, |host| host["state"] == "converged");
    assert!(compression(&rig, "@extra").contains("lzo"));
}

#[test]
fn a_snapshot_has_the_declaration_and_the_containers_of_its_time() {
    let Some(rig) = Rig::with_lxc(1024) else {
        return;
    };
    rig.declare_house(&[("web-01", 11)]);
    rig.apply();
    rig.json(&["container", "create", "tool", "--template", "busybox"])
        .expect(0);
    let before = query(&rig);
    let place = rig.base.join("@snapshots/monday");
    std::fs::create_dir(&place).unwrap();
    let (state, target) = (rig.base.join("@state"), place.join("@state"));
    run(
        "btrfs",
        &[
            "subvolume",
            "snapshot",
            "-r",
            state.to_str().unwrap(),
            target.to_str().unwrap(),
        ],
    );
    rig.json(&["--yes", "container", "destroy", "tool"])
        .expect(0);
    rig.declare_house(&[("web-02", 12)]);
    rig.json(&["apply", "--allow-destroy"]).expect(0);
    rig.json(&["rollback", "monday"]).expect(3);
    rig.json(&["rollback", "monday", "--allow-destroy"])
        .expect(0);
    assert_eq!(query(&rig), before);
    rig.assert_converged();
    assert!(declaration(&rig).contains("web-01"));
}
