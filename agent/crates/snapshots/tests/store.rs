//! Snapshots on a real btrfs.
#![allow(clippy::unwrap_used)]

mod base;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use base::{Base, Seals, name, set};
use jiff::Timestamp;
use ledger::{Ledger, NewEntry};
use snapshots::{Bounds, Differences, Error, Kind, Ownership, What};

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
fn a_restore_exchanges_subvolumes_and_keeps_what_was() {
    let Some(base) = Base::new(128) else { return };
    base.write("@state/a", "old");
    base.create("old", &["@state", "@timing"]).unwrap();
    base.write("@state/a", "new");
    base.write("@state/b", "new");
    let locked = base.store.lock().unwrap();
    let restored = locked
        .restore(&name("old"), &set(&["@state"]), Timestamp::now())
        .unwrap();
    assert_eq!(base.read("@state/a"), "old");
    assert!(!base.at("@state/b").exists());
    assert!(Seals.is_ours(&base.at("@state"), "@state").unwrap());
    assert!(!btrfs::info(base.at("@state")).unwrap().read_only);
    let before = format!("@snapshots/{}/@state/b", restored.before);
    assert_eq!(base.read(&before), "new");
    // There and back again.
    locked
        .restore(&restored.before, &set(&["@state"]), Timestamp::now())
        .unwrap();
    assert_eq!(base.read("@state/b"), "new");
    assert!(!base.entries().contains(".restore.json"));
    let hidden = fs::read_dir(&base.path).unwrap();
    let hidden = hidden.filter(|entry| {
        entry
            .as_ref()
            .unwrap()
            .file_name()
            .to_str()
            .unwrap()
            .starts_with('.')
    });
    assert_eq!(hidden.count(), 0);

    let missing = locked.restore(&name("old"), &set(&["@containers"]), Timestamp::now());
    assert!(matches!(missing, Err(Error::NotInSnapshot { .. })));
    btrfs::create(base.at("@state/inner")).unwrap();
    let refused = locked.restore(&name("old"), &set(&["@state"]), Timestamp::now());
    assert!(matches!(refused, Err(Error::Refused { .. })));
}

/// Somebody writes all the while, by name and to a file that is held open: each line that was taken is in the
/// state before or in the one that is back.
#[test]
fn a_restore_loses_nothing_that_is_written_meanwhile() {
    let Some(base) = Base::new(128) else { return };
    base.write("@state/lines", "");
    base.create("old", &["@state"]).unwrap();
    let over = AtomicBool::new(false);
    let append = |file: &mut File, line: u32| file.write_all(format!("{line}\n").as_bytes());
    let open = || File::options().append(true).open(base.at("@state/lines"));
    let mut held = open().unwrap();
    let (lines, restored) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut lines = Vec::new();
            // The last ones after the restore, so that they are in what is back.
            let mut rest = 10;
            for line in 0.. {
                let written = match line % 2 {
                    0 => open().and_then(|mut file| append(&mut file, line)),
                    _ => append(&mut held, line),
                };
                lines.extend(written.is_ok().then_some(line));
                rest -= u32::from(over.load(Ordering::Relaxed));
                if rest == 0 {
                    break;
                }
            }
            lines
        });
        let locked = base.store.lock().unwrap();
        let restored = locked.restore(&name("old"), &set(&["@state"]), Timestamp::now());
        over.store(true, Ordering::Relaxed);
        (writer.join().unwrap(), restored.unwrap())
    });
    let before = base.read(&format!("@snapshots/{}/@state/lines", restored.before));
    let back = base.read("@state/lines");
    let kept: BTreeSet<u32> = before
        .lines()
        .chain(back.lines())
        .map(|line| line.parse().unwrap())
        .collect();
    let lost: Vec<_> = lines.iter().filter(|line| !kept.contains(line)).collect();
    assert_eq!(lost.first(), None, "{} of {}", lost.len(), lines.len());
    assert!(!before.is_empty() && !back.is_empty());
    let kept = base.store.show(&restored.before).unwrap();
    assert_eq!(kept.damage, [""; 0]);
    let info = btrfs::info(base.at(&format!("@snapshots/{}/@state", restored.before))).unwrap();
    assert!(info.read_only);
}

#[test]
fn single_paths_come_back_with_all_that_they_are() {
    let Some(base) = Base::new(128) else { return };
    fs::create_dir_all(base.at("@state/dir/deep")).unwrap();
    base.write("@state/dir/deep/file", "old");
    base.write("@state/dir/program", "run");
    let program = base.at("@state/dir/program");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4751)).unwrap();
    std::os::unix::fs::chown(&program, Some(12), Some(34)).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4751)).unwrap();
    lab::run(
        "setfattr",
        &["-n", "user.note", "-v", "x", program.to_str().unwrap()],
    );
    symlink("deep/file", base.at("@state/dir/link")).unwrap();
    let was = fs::metadata(&program).unwrap();
    base.create("old", &["@state"]).unwrap();
    fs::remove_dir_all(base.at("@state/dir")).unwrap();
    base.write("@state/other", "new");
    let locked = base.store.lock().unwrap();
    let restore = |path: &str| locked.restore_path(&name("old"), path, Timestamp::now());
    let restored = restore("@state/dir").unwrap();
    assert!(matches!(restored.kind, Kind::Path { .. }));
    assert_eq!(base.read("@state/dir/deep/file"), "old");
    assert_eq!(base.read("@state/other"), "new");
    assert_eq!(
        fs::read_link(base.at("@state/dir/link")).unwrap().to_str(),
        Some("deep/file")
    );
    let is = fs::metadata(&program).unwrap();
    let all = |meta: &fs::Metadata| {
        (
            meta.mode(),
            meta.uid(),
            meta.gid(),
            meta.mtime(),
            meta.mtime_nsec(),
            meta.len(),
        )
    };
    assert_eq!(all(&is), all(&was));
    let note = [
        "--only-values",
        "-n",
        "user.note",
        program.to_str().unwrap(),
    ];
    assert_eq!(
        lab::run("getfattr", &[&["--absolute-names"], &note[..]].concat()),
        "x"
    );
    // One that is there is replaced.
    base.write("@state/dir/deep/file", "newer");
    restore("@state/dir/deep/file").unwrap();
    assert_eq!(base.read("@state/dir/deep/file"), "old");

    // No link on the way is followed, in either tree.
    fs::rename(base.at("@state/dir"), base.at("@state/real")).unwrap();
    fs::create_dir(base.machine.dir().join("outside")).unwrap();
    symlink(base.machine.dir().join("outside"), base.at("@state/dir")).unwrap();
    assert!(matches!(
        restore("@state/dir/program"),
        Err(Error::Refused { .. })
    ));
    assert_eq!(
        fs::read_dir(base.machine.dir().join("outside"))
            .unwrap()
            .count(),
        0
    );
    for bad in [
        "@state",
        "@state/../x",
        "@state/none",
        "@state/dir/none",
        "@vectors/x",
    ] {
        assert!(restore(bad).is_err(), "{bad}");
    }
    fs::remove_file(base.at("@state/dir")).unwrap();
    fs::rename(base.at("@state/real"), base.at("@state/dir")).unwrap();
    btrfs::create(base.at("@state/dir/inner")).unwrap();
    assert!(matches!(restore("@state/dir"), Err(Error::Refused { .. })));
    assert!(!base.entries().contains(".restore.json"));
}

fn diff(base: &Base, before: &str, after: Option<&str>, named: usize) -> Differences {
    let bounds = Bounds {
        named,
        looked_at: 100_000,
        go_on: &|| true,
    };
    let after = after.map(name);
    base.store
        .diff(&name(before), after.as_ref(), bounds)
        .unwrap()
}

/// `diff` of diffutils is the witness.
#[test]
fn differences_are_those_that_diff_finds() {
    let Some(base) = Base::new(128) else { return };
    for dir in 0..10 {
        fs::create_dir(base.at(&format!("@state/d{dir}"))).unwrap();
        for file in 0..20 {
            base.write(&format!("@state/d{dir}/f{file}"), "same length");
        }
    }
    symlink("/etc/passwd", base.at("@state/link")).unwrap();
    base.create("a", &["@state"]).unwrap();
    assert_eq!(diff(&base, "a", None, 100).found, []);
    for dir in 0..10 {
        base.write(&format!("@state/d{dir}/f{dir}"), "other lengt");
        base.write(&format!("@state/d{dir}/new"), "");
        fs::remove_file(base.at(&format!("@state/d{dir}/f{}", dir + 1))).unwrap();
    }
    // Written again with the same content and times, it has not changed.
    let touched = base.at("@state/d0/f15");
    let times = fs::metadata(&touched).unwrap();
    fs::write(&touched, "same length").unwrap();
    let file = fs::File::options().write(true).open(&touched).unwrap();
    file.set_modified(times.modified().unwrap()).unwrap();
    fs::remove_dir_all(base.at("@state/d9")).unwrap();
    fs::remove_file(base.at("@state/link")).unwrap();
    symlink("/etc/shadow", base.at("@state/link")).unwrap();
    base.create("b", &["@state", "@containers"]).unwrap();
    let found = diff(&base, "a", Some("b"), 100);
    assert_eq!(found.only_after, ["@containers"]);
    let ours: BTreeSet<_> = found
        .found
        .iter()
        .map(|one| (one.what, one.path.clone()))
        .collect();

    let (a, b) = (
        base.at("@snapshots/a/@state"),
        base.at("@snapshots/b/@state"),
    );
    let said = lab::output(
        "diff",
        &[
            "-rq",
            "--no-dereference",
            a.to_str().unwrap(),
            b.to_str().unwrap(),
        ],
    );
    let theirs: BTreeSet<_> = String::from_utf8(said.stdout)
        .unwrap()
        .lines()
        .map(|line| {
            let line = line
                .replace(a.to_str().unwrap(), "A")
                .replace(b.to_str().unwrap(), "B");
            let only = |tree: &str| {
                let rest = line.strip_prefix(&format!("Only in {tree}"))?;
                let (dir, name) = rest.split_once(": ")?;
                Some(format!("@state{dir}/{name}"))
            };
            match (only("A"), only("B")) {
                (Some(path), _) => (What::Removed, path),
                (_, Some(path)) => (What::Added, path),
                _ => {
                    let path = line
                        .split(' ')
                        .find_map(|word| word.strip_prefix("A/"))
                        .unwrap();
                    (What::Changed, format!("@state/{path}"))
                }
            }
        })
        .collect();
    assert_eq!(ours, theirs);
    assert_eq!(diff(&base, "a", Some("b"), 5).found.len(), 5);
    assert!(diff(&base, "a", Some("b"), 5).cut);
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

#[test]
fn a_path_whose_directory_went_after_a_crash_keeps_nobody_out() {
    let Some(base) = Base::new(128) else { return };
    let journal = r#"{"snapshot":"a","before":"b","path":{"path":"@state/gone/x","inode":7}}"#;
    base.write("@snapshots/.restore.json", journal);
    let recovered = base.store.lock().unwrap().recovered.unwrap();
    assert!(!recovered.done);
    assert_eq!(base.entries(), set(&[]));
}
