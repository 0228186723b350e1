//! Failed runs, crashes, full disks.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use declaration::Compression;
use lab::{Machine, names, run, text};
use plugins::BtrfsPlugin;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use reconcile::{Change, Context, Direction, Outcome, Plugin, PluginError, Verb};
use rustix::fs::{FallocateFlags, XattrFlags, fallocate, setxattr};
use serde_json::{Value, json};

use crate::fixture::*;

#[test]
fn a_failed_run_leaves_everything_as_it_was() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let base = machine.btrfs(128);
    let before = declare(&base, &[("@gone", None), ("@kept", LZO)]);
    apply(&machine, &before);
    let gone = base.join("@gone");
    fs::write(gone.join("file"), "data").unwrap();
    let was = uuid(&gone);

    let after = declare(&base, &[("@kept", ZSTD), ("@new", ZSTD)]);
    assert_eq!(
        steps(&plan(&after).unwrap()),
        ["delete @gone!", "update @kept", "create @new"]
    );
    apply_and_fail(&machine, &after);
    assert_eq!(names(&base), ["@gone", "@kept"]);
    assert_eq!(uuid(&gone), was);
    assert_eq!(fs::read_to_string(gone.join("file")).unwrap(), "data");
    assert_eq!(property(&base.join("@kept")), "lzo");
    assert_eq!(steps(&plan(&before).unwrap()), [""; 0]);
}

/// Some of five subvolumes, each with some compression.
fn any_subvolumes() -> impl Strategy<Value = BTreeMap<&'static str, Option<Compression>>> {
    let name = prop::sample::select(vec!["@a", "@b", "@c", "@timing", "@x.y"]);
    let compression = prop::sample::select(vec![None, LZO, ZSTD]);
    prop::collection::btree_map(name, compression, 0..5)
}

#[test]
fn any_declaration_can_follow_any_other_and_a_failed_one_changes_nothing() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let base = machine.btrfs(256);
    let declared = |some: &BTreeMap<&'static str, Option<Compression>>| {
        let list: Vec<_> = some.iter().map(|(name, how)| (*name, *how)).collect();
        declare(&base, &list)
    };
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::with_cases(24)
    });
    runner
        .run(
            &(any_subvolumes(), any_subvolumes()),
            |(mut kept, mut failed)| {
                // A failed run does not undo its create.
                kept.entry("@timing").or_insert(ZSTD);
                failed.entry("@timing").or_insert(LZO);
                apply(&machine, &declared(&kept));
                let names_before = names(&base);
                apply_and_fail(&machine, &declared(&failed));
                prop_assert_eq!(names(&base), names_before);
                prop_assert_eq!(steps(&plan(&declared(&kept)).unwrap()), [""; 0]);
                Ok(())
            },
        )
        .unwrap();
}

fn change(verb: Verb, resource: &str, before: Value, after: Value) -> Change {
    Change {
        plugin: "btrfs".to_owned(),
        resource: resource.to_owned(),
        verb,
        before,
        after,
        requires: Vec::new(),
        adopts: false,
        destroys: true,
        keeps: false,
        disrupts: Vec::new(),
    }
}

fn one(plugin: &BtrfsPlugin, change: &Change, direction: Direction) -> Result<(), PluginError> {
    let context = Context {
        run: "r1",
        direction,
        progress: &|_| (),
    };
    plugin.apply(&[change], &context)
}

#[test]
fn each_change_and_its_undo_can_be_repeated_and_undone_without_having_been_done() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let base = machine.btrfs(128);
    let declaration = declare(&base, &[("@a", LZO)]);
    apply(&machine, &declaration);
    fs::write(base.join("@a/file"), "data").unwrap();
    let plugin = BtrfsPlugin::new(&declaration);
    let (lzo, zstd) = (
        json!({"compression": "lzo"}),
        json!({"compression": "zstd:3"}),
    );
    let changes = [
        change(Verb::Create, "@new", Value::Null, zstd.clone()),
        change(Verb::Update, "@a", lzo.clone(), zstd),
        change(Verb::Delete, "@a", lzo, Value::Null),
        change(Verb::Delete, "@never", Value::Null, Value::Null),
    ];
    let before = plugin.observe().unwrap();
    for change in &changes[..3] {
        let back = change.inverse();
        one(&plugin, &back, Direction::Undo).unwrap();
        assert_eq!(plugin.observe().unwrap(), before);
        one(&plugin, change, Direction::Forward).unwrap();
        assert_ne!(plugin.observe().unwrap(), before, "{change:?}");
        one(&plugin, change, Direction::Forward).unwrap();
        one(&plugin, &back, Direction::Undo).unwrap();
        assert_eq!(plugin.observe().unwrap(), before);
        one(&plugin, &back, Direction::Undo).unwrap();
        assert_eq!(plugin.observe().unwrap(), before);
        assert_eq!(names(&base), ["@a"]);
    }
    one(&plugin, &changes[3], Direction::Forward).unwrap();
    for change in &changes {
        plugin.commit(change, "r1").unwrap();
        plugin.commit(change, "r1").unwrap();
    }
    assert_eq!(fs::read_to_string(base.join("@a/file")).unwrap(), "data");
}

#[test]
fn a_delete_is_final_once_it_is_committed() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let base = machine.btrfs(128);
    let declaration = declare(&base, &[("@a", None)]);
    apply(&machine, &declaration);
    let plugin = BtrfsPlugin::new(&declaration);
    let delete = change(
        Verb::Delete,
        "@a",
        json!({"compression": null}),
        Value::Null,
    );
    one(&plugin, &delete, Direction::Forward).unwrap();
    assert_eq!(names(&base), [".trash-r1-@a"]);
    plugin.commit(&delete, "r2").unwrap();
    assert_eq!(names(&base), [".trash-r1-@a"]);
    plugin.commit(&delete, "r1").unwrap();
    assert_eq!(names(&base), [""; 0]);
    assert!(one(&plugin, &delete.inverse(), Direction::Undo).is_err());
}

#[test]
fn undoing_a_create_leaves_what_somebody_else_put_there() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let base = machine.btrfs(128);
    let plugin = BtrfsPlugin::new(&declare(&base, &[("@a", None)]));
    run("btrfs", &["subvolume", "create", text(&base.join("@a"))]);
    let create = change(
        Verb::Create,
        "@a",
        Value::Null,
        json!({"compression": null}),
    );
    assert!(one(&plugin, &create, Direction::Forward).is_err());
    one(&plugin, &create.inverse(), Direction::Undo).unwrap();
    assert_eq!(names(&base), ["@a"]);
}

#[test]
fn what_a_crash_left_half_made_is_removed() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let base = machine.btrfs(128);
    apply(&machine, &declare(&base, &[]));
    let unfinished = base.join(".new-@a");
    let leave = || {
        run("btrfs", &["subvolume", "create", text(&unfinished)]);
    };
    leave();
    let declaration = declare(&base, &[("@a", ZSTD)]);
    apply(&machine, &declaration);
    assert_eq!(names(&base), ["@a"]);

    leave();
    let plugin = BtrfsPlugin::new(&declaration);
    let create = change(
        Verb::Create,
        "@a",
        Value::Null,
        json!({"compression": "zstd:3"}),
    );
    one(&plugin, &create.inverse(), Direction::Undo).unwrap();
    assert_eq!(names(&base), [""; 0]);
}

#[test]
fn a_full_disk_fails_the_run_and_leaves_nothing_behind() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let base = machine.btrfs(128);
    let before = declare(&base, &[("@a", None)]);
    apply(&machine, &before);
    fill(&base.join("@a"));

    let many: Vec<_> = (0..200).map(|n| format!("@many-{n}")).collect();
    let mut wanted: Vec<_> = many.iter().map(|name| (name.as_str(), ZSTD)).collect();
    wanted.push(("@a", None));
    let declaration = declare(&base, &wanted);
    let plugins = plugin(&declaration);
    let planned = reconcile::plan(&plugins).unwrap();
    match carry_out(&machine, &plugins, &planned) {
        Outcome::RolledBack { error, undo_errors } => {
            assert!(error.contains("no space left"), "{error}");
            assert_eq!(undo_errors, [""; 0]);
        }
        outcome => panic!("{outcome:?}"),
    }
    assert_eq!(names(&base), ["@a"]);
    assert_eq!(steps(&plan(&before).unwrap()), [""; 0]);
}

/// Fills the file system: data with one file, metadata with attributes.
fn fill(directory: &Path) {
    let file = fs::File::create(directory.join("big")).unwrap();
    let mut step = 8 << 20;
    while step >= 4096 {
        let end = file.metadata().unwrap().len();
        if fallocate(&file, FallocateFlags::empty(), end, step).is_err() {
            step /= 2;
        }
    }
    for n in 0.. {
        let path = directory.join(n.to_string());
        let made = fs::create_dir(&path).is_ok();
        if !made || setxattr(&path, "user.fill", &[7; 3000], XattrFlags::empty()).is_err() {
            return;
        }
    }
}
