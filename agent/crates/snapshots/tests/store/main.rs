//! Snapshots on a real btrfs.
#![allow(clippy::unwrap_used)]

#[path = "../base/mod.rs"]
mod base;
mod differences;
mod restore;

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base::{Base, name, set};
use jiff::Timestamp;
use ledger::{Ledger, NewEntry};
use snapshots::Error;

#[test]
fn a_snapshot_is_whole_read_only_and_listed() {
    let Some(base) = Base::new(128) else { return };
    base.write("@state/a", "1");
    btrfs::create(base.at("@state/inner")).unwrap();
    let record = base.create("first", &["@state"]).unwrap();
    base.write("@state/a", "2");
    assert_eq!(base.read("@snapshots/first/@state/a"), "1");
    assert!(fs::write(base.at("@snapshots/first/@state/b"), "").is_err());
    assert_eq!(record.subvolumes["@state"].without, ["inner"]);
    let shown = base.store.show(&name("first")).unwrap();
    assert_eq!((shown.record, shown.damage), (record, Vec::new()));
    assert_eq!(
        fs::metadata(base.at("@snapshots/first")).unwrap().mode() & 0o777,
        0o700
    );

    assert!(matches!(
        base.create("first", &["@state"]),
        Err(Error::Taken(_))
    ));
    assert!(matches!(
        base.create("hourly_x", &["@state"]),
        Err(Error::Claimed { .. })
    ));
    assert!(matches!(
        base.create("plugin-x-20250101", &["@state"]),
        Err(Error::Claimed { .. })
    ));
    assert!(matches!(
        base.create("b", &["@snapshots"]),
        Err(Error::Refused { .. })
    ));
    assert!(matches!(
        base.create("b", &["@nothing"]),
        Err(Error::NoSubvolume(_))
    ));
    assert!(matches!(
        base.create("b", &["../etc"]),
        Err(Error::NoSubvolume(_))
    ));
    assert_eq!(base.entries(), set(&["first"]));
}

#[test]
fn the_ledger_and_its_index_go_together() {
    let Some(base) = Base::new(128) else { return };
    for (snapshot, one) in [("a", "@timing"), ("b", "@vectors")] {
        let record = base.create(snapshot, &[one]).unwrap();
        let names: Vec<_> = record.subvolumes.keys().map(String::as_str).collect();
        assert_eq!(names, ["@timing", "@vectors"]);
        let id = |name| {
            btrfs::info(base.at(&format!("@snapshots/{snapshot}/{name}")))
                .unwrap()
                .id
        };
        assert!(id("@vectors") < id("@timing"), "the index is not ahead");
    }
}

#[test]
fn what_is_not_ours_is_shown_and_left_alone() {
    let Some(base) = Base::new(128) else { return };
    btrfs::create(base.at("@foreign")).unwrap();
    assert!(matches!(
        base.create("a", &["@foreign"]),
        Err(Error::Foreign(_))
    ));
    base.create("ours", &["@state"]).unwrap();
    btrfs::create(base.at("@snapshots/by-hand")).unwrap();
    btrfs::create(base.at("@snapshots/plugin-lxc-20250108")).unwrap();
    base.write("@snapshots/note.txt", "");
    symlink("/etc", base.at("@snapshots/link")).unwrap();
    // A copy of one of ours, marks and all, is not one of ours.
    let copy = ["-a", "--reflink=auto", "ours/.", "copy"];
    let done = Command::new("cp")
        .args(copy)
        .current_dir(base.at("@snapshots"))
        .status();
    assert!(done.unwrap().success());
    let found = base.store.list().unwrap();
    let foreign: Vec<_> = found
        .foreign
        .iter()
        .map(|one| (one.name.as_str(), one.what))
        .collect();
    assert_eq!(
        foreign,
        [
            ("by-hand", "subvolume"),
            ("copy", "directory"),
            ("link", "symbolic link"),
            ("note.txt", "file"),
            ("plugin-lxc-20250108", "exported plugin"),
        ]
    );
    assert_eq!(base.names(), ["ours"]);
    let locked = base.store.lock().unwrap();
    for foreign in ["by-hand", "copy", "link", "note.txt"] {
        let refused = locked.delete(&name(foreign));
        assert!(
            matches!(refused, Err(Error::Foreign(_))),
            "{foreign}: {refused:?}"
        );
    }
    // Nor is what somebody put into one of ours.
    base.write("@snapshots/ours/theirs", "");
    assert!(matches!(
        locked.delete(&name("ours")),
        Err(Error::Foreign(_))
    ));
    fs::remove_file(base.at("@snapshots/ours/theirs")).unwrap();
    locked.delete(&name("ours")).unwrap();
    assert!(matches!(
        locked.delete(&name("ours")),
        Err(Error::NoSnapshot(_))
    ));
    assert_eq!(base.entries().len(), 5);
}

#[test]
fn what_is_pinned_stays_and_what_was_changed_is_damaged() {
    let Some(base) = Base::new(128) else { return };
    base.create("a", &["@state"]).unwrap();
    let locked = base.store.lock().unwrap();
    assert!(locked.pin(&name("a"), true).unwrap());
    assert!(!locked.pin(&name("a"), true).unwrap());
    assert!(matches!(locked.delete(&name("a")), Err(Error::Pinned(_))));
    assert!(locked.pin(&name("a"), false).unwrap());
    let inner = base.at("@snapshots/a/@state");
    btrfs::set_read_only(&inner, false).unwrap();
    assert_eq!(
        base.store.show(&name("a")).unwrap().damage,
        ["@state was made writable"]
    );
    let refused = locked.restore(&name("a"), &set(&["@state"]), Timestamp::now());
    assert!(matches!(refused, Err(Error::Damaged { .. })));
    btrfs::delete(&inner).unwrap();
    btrfs::create(&inner).unwrap();
    assert!(matches!(locked.delete(&name("a")), Err(Error::Foreign(_))));
}

#[test]
fn every_snapshot_of_a_busy_ledger_verifies() {
    let Some(base) = Base::new(256) else { return };
    let path = base.at("@timing/blockchain.db");
    drop(Ledger::open(&path).unwrap());
    let ending = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let ledger = Ledger::open(&path).unwrap();
                while !ending.load(Ordering::Relaxed) {
                    let entry = |n: usize| NewEntry {
                        operation: "test".to_owned(),
                        target: format!("t{n}"),
                        metadata: serde_json::json!({ "text": "x".repeat(500) }),
                    };
                    let entries: Vec<_> = (0..5).map(entry).collect();
                    ledger.append_all(&entries).unwrap();
                }
            });
        }
        // Else it might be all over before it is busy.
        let reader = Ledger::open_read_only(&path).unwrap();
        lab::wait_for("the first entries", Duration::from_secs(60), || {
            (reader.head().unwrap().id > 0).then_some(())
        });
        for n in 0..12 {
            base.create(&format!("s{n}"), &["@timing"]).unwrap();
        }
        ending.store(true, Ordering::Relaxed);
    });
    let mut last = 0;
    for n in 0..12 {
        let from = base.at(&format!("@snapshots/s{n}/@timing"));
        // Where it is, read-only; and in a writable copy, as a restore makes it.
        let there = Ledger::open_read_only(from.join("blockchain.db")).unwrap();
        let found = there.verify(None).unwrap();
        assert!(found.valid, "s{n}: {found:?}");
        let head = there.head().unwrap().id;
        assert!(head >= last);
        last = head;
        let copy = base.at(&format!("copy{n}"));
        btrfs::snapshot(&from, &copy, false).unwrap();
        let copied = Ledger::open(copy.join("blockchain.db")).unwrap();
        assert!(copied.verify(None).unwrap().valid);
        assert_eq!(copied.head().unwrap().id, head);
    }
    assert!(last > 0, "the writers wrote");
}

#[test]
fn a_full_disk_leaves_nothing_half_made() {
    let Some(base) = Base::new(128) else { return };
    base.write("@state/a", "kept");
    base.create("kept", &["@state"]).unwrap();
    // Metadata is what a snapshot takes: many small files, which live in it, use it up.
    // Data first, so that metadata cannot grow; each file that fails costs the kernel a search for space.
    let mut blocks = (0..).take_while(|n| {
        let path = base.at(&format!("@state/block{n}"));
        lab::output("fallocate", &["-l", "4M", path.to_str().unwrap()])
            .status
            .success()
    });
    blocks.by_ref().for_each(drop);
    for file in 0..200_000 {
        if fs::write(base.at(&format!("@state/{file}")), [b'x'; 1900]).is_err() {
            break;
        }
    }
    let many = ["@state", "@timing", "@containers"];
    let failed = (0..100).find_map(|n| base.create(&format!("more{n}"), &many).err());
    let Some(failed) = failed else {
        return lab::skip("this file system always has room for another snapshot");
    };
    assert!(matches!(failed, Error::NoSpace { .. }), "{failed:?}");
    let found = base.store.list().unwrap();
    assert!(found.foreign.is_empty(), "{found:?}");
    for snapshot in &found.snapshots {
        assert!(snapshot.damage.is_empty(), "{snapshot:?}");
    }
    assert!(base.names().contains(&"kept".to_owned()));
    assert!(
        base.entries().iter().all(|name| !name.starts_with('.')),
        "{:?}",
        base.entries()
    );
    assert_eq!(base.read("@snapshots/kept/@state/a"), "kept");
}

#[test]
fn a_snapshot_in_use_stays_whole_and_nobody_has_to_wait_for_one_that_is_sent() {
    let Some(base) = Base::new(256) else { return };
    // More than lies in the pipe that the kernel sends into.
    fs::write(base.at("@state/large"), vec![7; 8 << 20]).unwrap();
    base.create("first", &["@state"]).unwrap();
    let delete = || base.store.lock().unwrap().delete(&name("first"));

    let directory = fs::File::open(base.at("@snapshots/first")).unwrap();
    rustix::fs::flock(&directory, rustix::fs::FlockOperation::LockShared).unwrap();
    assert!(matches!(delete(), Err(Error::InUse(_))));
    assert!(base.store.show(&name("first")).unwrap().damage.is_empty());
    drop(directory);

    // Somebody else's `btrfs send` takes no lock of ours.
    let place = base.at("@snapshots/first/@state");
    let mut sending = btrfs::send(&place, None, btrfs::Content::Whole).unwrap();
    let mut piece = [0; 64];
    std::io::Read::read_exact(&mut sending, &mut piece).unwrap();
    assert!(delete().is_err());
    base.create("second", &["@state"]).unwrap();
    drop(sending);
    drop(base.store.lock().unwrap());
    assert_eq!(base.entries(), set(&["second"]));
}
