//! What is not ours.

use std::fs;
use std::os::unix::fs::symlink;

use lab::{Machine, names, run, text};
use plugins::mark;

use crate::fixture::*;

#[test]
fn what_is_foreign_is_never_touched() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let base = machine.btrfs(128);
    let both = declare(&base, &[("@a", ZSTD), ("@b", ZSTD)]);
    apply(&machine, &both);
    fs::write(base.join("@a/file"), "data").unwrap();

    // Made by hand, snapshot of ours, ours under another name, received copy.
    run("btrfs", &["subvolume", "create", text(&base.join("@mine"))]);
    run(
        "btrfs",
        &[
            "subvolume",
            "snapshot",
            text(&base.join("@a")),
            text(&base.join("@a-backup")),
        ],
    );
    fs::rename(base.join("@b"), base.join("@b.old")).unwrap();
    let (sent, stream) = (base.join("sent"), machine.dir().join("stream"));
    run(
        "btrfs",
        &[
            "subvolume",
            "snapshot",
            "-r",
            text(&base.join("@a")),
            text(&sent),
        ],
    );
    run("btrfs", &["send", "-q", "-f", text(&stream), text(&sent)]);
    fs::rename(&sent, base.join("@sent")).unwrap();
    run("btrfs", &["receive", "-f", text(&stream), text(&base)]);
    fs::rename(&sent, base.join("@received")).unwrap();
    fs::create_dir(base.join("@directory")).unwrap();
    fs::write(base.join("@file"), "").unwrap();
    fs::write(base.join("@file with spaces"), "").unwrap();
    let before = names(&base);

    assert_eq!(
        steps(&plan(&declare(&base, &[("@a", ZSTD)])).unwrap()),
        [""; 0]
    );
    apply(&machine, &declare(&base, &[]));
    let mut after = before.clone();
    after.retain(|name| name != "@a");
    assert_eq!(names(&base), after);
    assert_eq!(
        fs::read_to_string(base.join("@a-backup/file")).unwrap(),
        "data"
    );
}

#[test]
fn a_foreign_subvolume_is_taken_over_only_when_asked() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let base = machine.btrfs(128);
    apply(&machine, &declare(&base, &[]));
    let path = base.join("@a");
    run("btrfs", &["subvolume", "create", text(&path)]);
    fs::write(path.join("file"), "data").unwrap();

    let declaration = declare(&base, &[("@a", ZSTD)]);
    assert!(refusal(&declaration).contains("adopt"));
    assert_eq!(property(&path), "");

    let (uuid_before, mode_before) = (uuid(&path), mode(&path));
    apply_and_fail(&machine, &adopting(declaration.clone()));
    assert_eq!(property(&path), "");
    assert_eq!(mark::read(&path).unwrap(), None);

    apply(&machine, &adopting(declaration.clone()));
    assert_eq!(property(&path), "zstd:3");
    assert_eq!((uuid(&path), mode(&path)), (uuid_before, mode_before));
    assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "data");
    // From now on it is ours, asked or not.
    assert_eq!(steps(&plan(&declaration).unwrap()), [""; 0]);
}

#[test]
fn what_is_no_subvolume_cannot_be_taken_over() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let base = machine.btrfs(128);
    apply(&machine, &declare(&base, &[]));
    let path = base.join("@a");
    for kind in ["directory", "file", "symbolic link"] {
        match kind {
            "directory" => fs::create_dir(&path).unwrap(),
            "file" => fs::write(&path, "data").unwrap(),
            _ => symlink("elsewhere", &path).unwrap(),
        }
        let declaration = declare(&base, &[("@a", ZSTD)]);
        assert!(refusal(&declaration).contains("not ours"));
        let reason = refusal(&adopting(declaration));
        assert!(
            reason.contains(kind) && reason.contains("move it away"),
            "{reason}"
        );
        fs::rename(&path, base.join(kind)).unwrap();
    }
    assert_eq!(names(&base), ["directory", "file", "symbolic link"]);
}
