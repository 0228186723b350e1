//! Subvolumes: property, drift, delete.

use std::fs;

use declaration::Compression;
use lab::{Machine, names, run, text};
use reconcile::Outcome;
use serde_json::json;

use crate::fixture::*;

#[test]
fn a_property_that_was_changed_by_hand_is_mended() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let base = machine.btrfs(128);
    let declaration = declare(&base, &[("@a", ZSTD), ("@b", None)]);
    apply(&machine, &declaration);
    let path = base.join("@a");
    run(
        "btrfs",
        &["property", "set", text(&path), "compression", "lzo"],
    );
    run(
        "btrfs",
        &[
            "property",
            "set",
            text(&base.join("@b")),
            "compression",
            "no",
        ],
    );
    let drift = plan(&declaration).unwrap();
    assert_eq!(steps(&drift), ["update @a", "update @b"]);
    assert_eq!(drift.changes[0].before, json!({"compression": "lzo"}));
    assert_eq!(drift.changes[1].before, json!({"compression": "none"}));
    apply(&machine, &declaration);
    assert_eq!(property(&path), "zstd:3");
    assert_eq!(property(&base.join("@b")), "");
}

#[test]
fn every_compression_comes_back_from_the_kernel_as_it_was_declared() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let base = machine.btrfs(128);
    let mut all = vec![None, Some(Compression::None), LZO];
    all.extend([None, Some(1), Some(9)].map(|level| Some(Compression::Zlib(level))));
    all.extend([None, Some(1), Some(15)].map(|level| Some(Compression::Zstd(level))));
    for compression in all {
        apply(&machine, &declare(&base, &[("@a", compression)]));
        let shown = compression.map_or_else(String::new, |declared| declared.to_string());
        assert_eq!(property(&base.join("@a")), shown);
    }
}

#[test]
fn deleting_what_is_not_empty_counts_as_destroying() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let base = machine.btrfs(128);
    apply(
        &machine,
        &declare(&base, &[("@empty", None), ("@full", None)]),
    );
    let nested = base.join("@full/nested");
    run("btrfs", &["subvolume", "create", text(&nested)]);
    fs::write(nested.join("file"), "data").unwrap();

    let nothing = declare(&base, &[]);
    assert_eq!(
        steps(&plan(&nothing).unwrap()),
        ["delete @empty", "delete @full!"]
    );
    apply(&machine, &nothing);
    assert_eq!(names(&base), [""; 0]);
    run("btrfs", &["filesystem", "sync", text(&base)]);
    assert_eq!(run("btrfs", &["subvolume", "list", text(&base)]), "");
}

#[test]
fn what_was_empty_when_planned_and_is_not_any_more_stays() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let base = machine.btrfs(128);
    apply(&machine, &declare(&base, &[("@a", None)]));
    let plugins = plugin(&declare(&base, &[]));
    let plan = reconcile::plan(&plugins).unwrap();
    fs::write(base.join("@a/file"), "data").unwrap();
    match carry_out(&machine, &plugins, &plan) {
        Outcome::RolledBack { error, undo_errors } => {
            assert!(error.contains("plan again"), "{error}");
            assert_eq!(undo_errors, [""; 0]);
        }
        outcome => panic!("{outcome:?}"),
    }
    assert_eq!(fs::read_to_string(base.join("@a/file")).unwrap(), "data");
}
