//! Subvolumes on a real file system, with the `btrfs` program as the witness.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use btrfs::Error;
use lab::{Machine, run, subvolume_show, text};

#[test]
fn a_created_subvolume_is_what_btrfs_says_it_is() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let top = machine.btrfs(128);
    let path = top.join("@a");
    btrfs::create(&path).unwrap();
    assert!(btrfs::is_subvolume(&path).unwrap());
    assert!(btrfs::is_btrfs(&path).unwrap());

    let info = btrfs::info(&path).unwrap();
    assert_eq!(
        info.uuid.unwrap().to_string(),
        subvolume_show(&path, "UUID")
    );
    assert_eq!(info.id.to_string(), subvolume_show(&path, "Subvolume ID"));
    assert_eq!(info.parent_id, Some(5));
    assert_eq!(
        info.generation.to_string(),
        subvolume_show(&path, "Generation")
    );
    assert_eq!((info.parent_uuid, info.received_uuid), (None, None));
    assert!(!info.read_only);
    assert!(info.created.elapsed().unwrap().as_secs() < 60);
}

#[test]
fn a_snapshot_shares_the_files_and_not_the_identity() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let top = machine.btrfs(128);
    let (origin, copy) = (top.join("@a"), top.join("@b"));
    btrfs::create(&origin).unwrap();
    fs::write(origin.join("file"), "kept").unwrap();
    btrfs::snapshot(&origin, &copy, true).unwrap();
    fs::write(origin.join("file"), "changed").unwrap();

    assert_eq!(fs::read_to_string(copy.join("file")).unwrap(), "kept");
    assert_eq!(subvolume_show(&copy, "Flags"), "readonly");
    assert_eq!(
        subvolume_show(&copy, "Parent UUID"),
        subvolume_show(&origin, "UUID")
    );
    let (of, from) = (btrfs::info(&copy).unwrap(), btrfs::info(&origin).unwrap());
    assert_eq!(of.parent_uuid, from.uuid);
    assert_ne!(of.uuid, from.uuid);
    assert!(of.read_only);

    assert!(fs::write(copy.join("file"), "x").is_err());
    btrfs::set_read_only(&copy, false).unwrap();
    fs::write(copy.join("file"), "x").unwrap();
}

#[test]
fn what_is_no_subvolume_is_not_taken_for_one() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let top = machine.btrfs(128);
    let directory = top.join("plain");
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("precious"), "data").unwrap();
    btrfs::create(top.join("@a")).unwrap();
    let link = top.join("link");
    symlink("@a", &link).unwrap();

    assert!(!btrfs::is_subvolume(&directory).unwrap());
    assert!(!btrfs::is_subvolume(&link).unwrap());
    assert!(btrfs::is_subvolume(&top).unwrap());
    assert!(!btrfs::is_subvolume("/proc").unwrap());
    for wrong in [&directory, &link] {
        assert!(matches!(
            btrfs::delete(wrong),
            Err(Error::NotSubvolume { .. })
        ));
        assert!(matches!(
            btrfs::snapshot(wrong, top.join("@c"), false),
            Err(Error::NotSubvolume { .. })
        ));
        assert!(matches!(
            btrfs::delete_recursive(wrong),
            Err(Error::NotSubvolume { .. })
        ));
    }
    assert!(directory.join("precious").exists());
    assert!(top.join("@a").exists());
}

#[test]
fn errors_say_what_is_wrong() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let top = machine.btrfs(128);
    let path = top.join("@a");
    btrfs::create(&path).unwrap();
    assert!(matches!(btrfs::create(&path), Err(Error::Exists { path: p }) if p == path));
    let lost = top.join("missing");
    assert!(
        matches!(btrfs::create(lost.join("@b")), Err(Error::NotFound { path: p }) if p == lost)
    );
    assert!(matches!(btrfs::info(&lost), Err(Error::NotFound { .. })));
    assert!(matches!(btrfs::delete(&lost), Err(Error::NotFound { .. })));
    assert!(matches!(
        btrfs::create(machine.dir().join("@a")),
        Err(Error::NotBtrfs { .. })
    ));
    assert!(matches!(
        btrfs::compression(machine.dir()),
        Err(Error::NotBtrfs { .. })
    ));
    assert!(matches!(btrfs::sync("/proc"), Err(Error::NotBtrfs { .. })));
    assert!(btrfs::create(top.join("n".repeat(256))).is_err());
    assert!(btrfs::create("/").is_err());
    assert!(btrfs::create(top.join("..")).is_err());

    btrfs::set_read_only(&path, true).unwrap();
    assert!(matches!(
        btrfs::create(path.join("@in")),
        Err(Error::ReadOnly { .. })
    ));
}

#[test]
fn nested_subvolumes_are_found_and_deleted_only_when_asked() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let top = machine.btrfs(128);
    let outer = top.join("@outer");
    btrfs::create(&outer).unwrap();
    fs::create_dir_all(outer.join("deep/er")).unwrap();
    btrfs::create(outer.join("deep/er/@in")).unwrap();
    btrfs::create(outer.join("@flat")).unwrap();
    btrfs::create(outer.join("@flat/@inmost")).unwrap();
    fs::write(outer.join("@flat/@inmost/file"), "x").unwrap();
    btrfs::set_read_only(outer.join("@flat"), true).unwrap();

    assert_eq!(
        btrfs::children(&outer).unwrap(),
        [outer.join("@flat"), outer.join("deep/er/@in")]
    );
    assert!(matches!(btrfs::delete(&outer), Err(Error::NotEmpty { .. })));
    assert!(outer.join("@flat/@inmost/file").exists());

    btrfs::delete_recursive(&outer).unwrap();
    assert!(!outer.exists());
    btrfs::sync(&top).unwrap();
    assert_eq!(run("btrfs", &["subvolume", "list", text(&top)]), "");
}

#[test]
fn more_nested_subvolumes_than_fit_one_answer_are_all_found() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let top = machine.btrfs(256);
    let outer = top.join("@outer");
    btrfs::create(&outer).unwrap();
    let expected: Vec<_> = (0..600).map(|n| outer.join(format!("n{n:03}"))).collect();
    for path in &expected {
        btrfs::create(path).unwrap();
    }
    assert_eq!(btrfs::children(&outer).unwrap(), expected);
    btrfs::delete_recursive(&outer).unwrap();
    assert!(!outer.exists());
}

#[test]
fn compression_is_the_property_that_btrfs_shows() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let top = machine.btrfs(128);
    let path = top.join("@a");
    btrfs::create(&path).unwrap();
    let shown = || run("btrfs", &["property", "get", text(&path), "compression"]);
    assert_eq!(btrfs::compression(&path).unwrap(), None);
    for value in ["zstd:3", "zstd", "zlib:9", "lzo", "none"] {
        btrfs::set_compression(&path, Some(value)).unwrap();
        assert_eq!(btrfs::compression(&path).unwrap().as_deref(), Some(value));
        assert_eq!(shown(), format!("compression={value}\n"));
    }
    assert!(btrfs::set_compression(&path, Some("rar")).is_err());
    btrfs::set_compression(&path, None).unwrap();
    btrfs::set_compression(&path, None).unwrap();
    assert_eq!(btrfs::compression(&path).unwrap(), None);
    assert_eq!(shown(), "");
}

#[test]
fn what_is_written_into_a_compressed_subvolume_takes_less_space() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let top = machine.btrfs(256);
    let written = 32 << 20;
    let mut taken = [0; 2];
    for (compression, taken) in [None, Some("zstd:3")].into_iter().zip(&mut taken) {
        let path = top.join(compression.map_or("@plain", |_| "@packed"));
        let before = used(&top);
        btrfs::create(&path).unwrap();
        btrfs::set_compression(&path, compression).unwrap();
        fs::write(path.join("text"), vec![b'a'; written]).unwrap();
        run("sync", &["-f", text(&path)]);
        *taken = used(&top) - before;
    }
    assert!(
        taken[1] * 4 < taken[0],
        "plain {}, packed {}",
        taken[0],
        taken[1]
    );
}

/// Bytes of the file system that are in use.
fn used(top: &Path) -> u64 {
    run("btrfs", &["filesystem", "usage", "-b", text(top)])
        .lines()
        .find_map(|line| line.trim().strip_prefix("Used:")?.trim().parse().ok())
        .expect("a line with the bytes in use")
}
