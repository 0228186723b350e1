//! What is brought back, whole or in part.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use snapshots::{Error, Kind, Ownership};

use crate::base::{Base, Seals, name, set};

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
        lab::wait_for("the first line", Duration::from_secs(60), || {
            (!base.read("@state/lines").is_empty()).then_some(())
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

#[test]
fn a_path_whose_directory_went_after_a_crash_keeps_nobody_out() {
    let Some(base) = Base::new(128) else { return };
    let journal = r#"{"snapshot":"a","before":"b","path":{"path":"@state/gone/x","inode":7}}"#;
    base.write("@snapshots/.restore.json", journal);
    let recovered = base.store.lock().unwrap().recovered.unwrap();
    assert!(!recovered.done);
    assert_eq!(base.entries(), set(&[]));
}
