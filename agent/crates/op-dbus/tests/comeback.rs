//! A host is destroyed, and comes back from its export.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod rig;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use lab::run;
use rig::Rig;
use rig::daemon::Daemon;
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
        for bridge in rig.ovs().vsctl(&["list-br"]).split_whitespace() {
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
        // Until it is answered, nothing else begins.
        rig.json(&["apply"]).expect(3);
    };

    // Nobody answers: the host is as it was before. The declaration stays that of the export, and is not applied.
    restore("2s");
    lab::wait_for("the guard undoes it", SOON, || {
        (!rig.beside(".window.json").exists()).then_some(())
    });
    let undone = content(&export_to(&rig, "undone.json"));
    assert_eq!(undone["state"], now);
    assert_eq!(undone["declaration"], exported["declaration"]);

    restore("300s");
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

#[test]
fn a_ledger_of_another_host_is_not_taken() {
    let Some(rig) = Rig::storage(256) else { return };
    rig.declare("");
    rig.apply();
    let copy = rig.machine.dir().join("timing");
    let timing = rig.base.join("@timing");
    run(
        "cp",
        &["-a", timing.to_str().unwrap(), copy.to_str().unwrap()],
    );
    destroy(&rig);
    rig.declare("");
    rig.apply();
    let (file, _) = export(&rig);
    destroy(&rig);
    let arguments = [
        "restore",
        file.to_str().unwrap(),
        "--ledger",
        copy.to_str().unwrap(),
    ];
    rig.json(&arguments).expect(3);
    assert!(!rig.base.exists() && !rig.file.exists());
}

#[test]
fn what_is_no_whole_export_changes_nothing() {
    let Some(rig) = Rig::storage(256) else { return };
    rig.declare("");
    rig.apply();
    let (file, exported) = export(&rig);
    destroy(&rig);
    let path = file.to_str().unwrap();
    let text = fs::read_to_string(&file).unwrap();
    let mut newer = exported.clone();
    newer["version"] = json!(7);
    let cases = [
        ("cut off", text[..text.len() / 2].to_owned(), "cut off"),
        ("edited", text.replace("enforce", "observe"), "damaged"),
        ("newer", newer.to_string(), "version 7"),
        ("huge", " ".repeat(9 << 20), "more than"),
        ("something else", "{}".to_owned(), "no export"),
        ("nothing", String::new(), "no JSON"),
    ];
    for (what, content, says) in cases {
        fs::write(&file, content).unwrap();
        let ended = rig.run(&["restore", path]).expect(2);
        assert!(ended.err.contains(says), "{what}: {}", ended.err);
    }
    fs::write(&file, &text).unwrap();
    rig.json(&["restore", path, "--expect-sha256", &"0".repeat(64)])
        .expect(3);
    assert!(!rig.base.exists() && !rig.file.exists());
    // A declaration that cannot be written: nothing waits to be restored by whoever comes next.
    let name = rig.file.file_name().unwrap().display().to_string();
    let in_the_way = rig.file.with_file_name(format!(".{name}.new"));
    fs::create_dir(&in_the_way).unwrap();
    rig.json(&["restore", path]).expect(1);
    assert!(!rig.beside(".restore.json").exists());
    assert!(!rig.base.exists() && !rig.file.exists());
    fs::remove_dir(&in_the_way).unwrap();
    let printed = rig
        .run(&["restore", path, "--print-declaration"])
        .expect(0)
        .out;
    assert_eq!(
        serde_json::from_str::<Value>(&printed).unwrap(),
        exported["declaration"]
    );
}

#[test]
fn secrets_are_asked_for_and_never_in_the_document() {
    let Some(rig) = Rig::storage(256) else { return };
    let secret = rig.machine.dir().join("token");
    fs::write(&secret, "correct horse battery staple, 32 characters").unwrap();
    fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let keys = format!(
        "web: {{tokens: {{laptop: {{file: {}, scopes: [\"mcp:read\"]}}}}}}\n",
        secret.display()
    );
    rig.declare_top(&keys, "");
    rig.apply();
    let (file, exported) = export(&rig);
    assert_eq!(exported["secrets"][0]["used_by"], "web.tokens.laptop.file");
    assert!(!fs::read_to_string(&file).unwrap().contains("battery"));
    destroy(&rig);
    let words = fs::read(&secret).unwrap();
    fs::remove_file(&secret).unwrap();
    let refused = rig.run(&["restore", file.to_str().unwrap()]).expect(3);
    assert!(
        refused.err.contains("web.tokens.laptop.file"),
        "{}",
        refused.err
    );
    assert!(!rig.base.exists());
    let restored = rig
        .json(&["restore", file.to_str().unwrap(), "--without-secrets"])
        .expect(0)
        .json();
    assert_eq!(
        restored["missing_secrets"][0]["path"],
        secret.display().to_string()
    );
    fs::write(&secret, words).unwrap();
    rig.assert_converged();
}

#[test]
fn a_host_that_is_not_empty_is_only_replaced_when_that_is_asked_for() {
    let Some(rig) = Rig::storage(256) else { return };
    rig.declare("");
    rig.apply();
    let (file, exported) = export(&rig);
    let path = file.to_str().unwrap();
    destroy(&rig);
    // Another host, with something on it.
    let base = rig.base.display();
    let text = format!(
        "version: 1\nplugins: {{btrfs: {{base: {base}, subvolumes: {{\"@mine\": {{}}}}}}}}\n"
    );
    fs::write(&rig.file, text).unwrap();
    rig.apply();
    fs::write(rig.base.join("@mine/file"), "precious").unwrap();
    let refused = rig.run(&["restore", path]).expect(3).err;
    for part in [
        "host/declaration",
        "btrfs/@mine",
        "host/ledger",
        "--onto-existing",
    ] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    rig.json(&["restore", path, "--onto-existing"]).expect(3);
    assert!(rig.base.join("@mine/file").exists());
    let head = rig.ledger(&[]).len();
    rig.json(&["--yes", "restore", path, "--onto-existing"])
        .expect(0);
    assert!(!rig.base.join("@mine").exists());
    rig.assert_converged();
    // The ledger that was there goes on, and says what happened.
    let entries = rig.ledger(&[]);
    let begin = entries
        .iter()
        .find(|entry| entry["operation"] == "restore_begin");
    assert!(entries.len() > head);
    assert_eq!(begin.unwrap()["metadata"]["export"], exported["sha256"]);
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

#[test]
fn the_daemon_keeps_the_current_state_after_each_change() {
    let Some(rig) = Rig::storage(256) else { return };
    rig.declare("");
    let daemon = Daemon::start(&rig);
    daemon.wait_until("the first look", SOON, |host| host["state"] == "converged");
    let kept = || -> Option<Value> {
        let text = fs::read(rig.base.join("@state/current-state.json")).ok()?;
        Some(serde_json::from_slice(&text).expect("it is whole at any time"))
    };
    // Every head that the ledger has got is in it soon, whoever changed something.
    let follows = |what: &str| {
        lab::wait_for(what, SOON, || {
            let head = rig.ledger(&[]).last()?.clone();
            (kept()?["ledger"]["hash"] == head["current_hash"]).then_some(())
        });
    };
    follows("the first run");
    let extra = format!(
        "{{base: {}, subvolumes: {{\"@extra\": {{}}}}}}",
        rig.base.display()
    );
    let text = fs::read_to_string(&rig.file).unwrap();
    let plain = format!("{{base: {}}}", rig.base.display());
    fs::write(&rig.file, text.replace(&plain, &extra)).unwrap();
    lab::wait_for("the new subvolume", SOON, || {
        kept()?["state"]["btrfs"]["resources"]["@extra"]["ours"].as_bool()
    });
    follows("the second run");
}

/// A daemon that has nothing to keep yet takes an export, restores from it, and keeps the host from then on.
#[test]
fn a_daemon_without_a_declaration_restores() {
    let Some(rig) = Rig::storage(256) else { return };
    rig.declare("");
    rig.apply();
    let (_, exported) = export(&rig);
    destroy(&rig);
    let daemon = Daemon::start(&rig);
    daemon.wait_until("it has looked", SOON, |host| host["state"] == "undeclared");
    let answer = daemon
        .connect()
        .call("state_restore", json!({ "document": exported }));
    assert_eq!(answer["result"]["outcome"], "applied", "{answer:#}");
    daemon.wait_until("it keeps the host", SOON, |host| {
        host["state"] == "converged"
    });
    let entries = rig.ledger(&[]);
    assert_eq!(entries[1]["operation"], "restore_begin");
    rig.json(&["verify"]).expect(0);
}

/// The commands between two marks of the walk-through.
fn walk(part: &str) -> String {
    let page = include_str!("../../../../docs/disaster-recovery.md");
    let mark = format!("<!-- walk: {part} -->\n```sh\n");
    let (_, rest) = page.split_once(&mark).expect("the mark is in the page");
    let (commands, _) = rest.split_once("```\n<!-- walk end -->").expect("it ends");
    commands.to_owned()
}

/// The walk-through in the docs, command by command.
#[test]
fn the_walk_through_can_be_walked() {
    let Some(rig) = Rig::with_lxc(1024) else {
        return;
    };
    rig.declare_house(&[("web-01", 11)]);
    let place = rig.machine.dir().join("walk");
    fs::create_dir(&place).unwrap();
    // The command as people type it, on this machine.
    let command = format!(
        "#!/bin/sh\nexec {} --file {} \"$@\"\n",
        env!("CARGO_BIN_EXE_op-dbus"),
        rig.file.display()
    );
    let program = place.join("op-dbus");
    fs::write(&program, command).unwrap();
    fs::set_permissions(
        &program,
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let go = |part: &str, old_head: &str| {
        let path = format!("{}:{}", place.display(), std::env::var("PATH").unwrap());
        let output = Command::new("bash")
            .args(["-euxc", &walk(part)])
            .current_dir(&place)
            .env("PATH", path)
            .env("BASE", &rig.base)
            .env("OLD_HEAD", old_head)
            .env_remove("SSH_CONNECTION")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{out}\n{err}");
        out
    };
    go("before", "");
    let exported: Value =
        serde_json::from_slice(&fs::read(place.join("host.json")).unwrap()).unwrap();
    destroy(&rig);
    let out = go("after", exported["ledger"]["hash"].as_str().unwrap());
    assert!(out.contains("Converged"), "{out}");
    assert!(out.contains("Nothing to do"), "{out}");
    assert!(out.contains("Valid"), "{out}");
    assert_eq!(running(&rig), ["tool", "web-01"]);
    rig.assert_converged();
}
