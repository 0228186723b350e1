//! What is not restored, and what has to be asked for.

use std::fs;

use lab::run;
use serde_json::{Value, json};

use super::{destroy, export};
use crate::rig::Rig;

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
