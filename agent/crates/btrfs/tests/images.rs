//! Images and loop devices, with `losetup`, `findmnt` and `btrfs` as the witnesses.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;

use btrfs::{Error, LoopDevice, image};
use lab::{Machine, run, text};

const MIB: u64 = 1 << 20;

/// Unmounts what is at the path when the test is over, however it ends.
struct Unmount<'a>(&'a Path);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        lab::output("umount", &["-l", text(self.0)]);
    }
}

/// The loop devices before the file, as `losetup` lists them.
fn devices(file: &Path) -> Vec<String> {
    run(
        "losetup",
        &["--noheadings", "--output", "NAME", "-j", text(file)],
    )
    .lines()
    .map(|line| line.trim().to_owned())
    .collect()
}

#[test]
fn an_image_is_made_mounted_grown_and_unmounted() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let file = machine.dir().join("an image.img");
    let target = machine.dir().join("mount point");
    fs::create_dir(&target).unwrap();
    let _unmount = Unmount(&target);
    image::create(&file, 128 * MIB + 1).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 128 * MIB + image::SECTOR);
    assert!(blocks(&file) < 16 * MIB, "not sparse: {}", blocks(&file));

    assert_eq!(image::mounted(&target).unwrap(), None);
    image::mount(&file, &target).unwrap();
    image::mount(&file, &target).unwrap();
    let there = image::mounted(&target).unwrap().unwrap();
    assert_eq!(there.image.as_deref(), Some(&*file));
    assert_eq!(devices(&file), [text(&there.device)]);
    let options = run("findmnt", &["-n", "-o", "FSTYPE,OPTIONS", text(&target)]);
    assert!(
        options.contains("btrfs") && options.contains("noatime"),
        "{options}"
    );
    assert_eq!(image::capacity(&target).unwrap(), 128 * MIB + image::SECTOR);

    fs::write(target.join("file"), "kept").unwrap();
    assert!(matches!(
        image::grow(&target, 192 * MIB),
        Err(Error::TooSmall { .. })
    ));
    image::grow(&target, 256 * MIB).unwrap();
    image::grow(&target, 256 * MIB).unwrap();
    assert_eq!(image::capacity(&target).unwrap(), 256 * MIB);
    let shown = run("btrfs", &["filesystem", "show", "--raw", text(&target)]);
    assert!(shown.contains(&format!("size {} ", 256 * MIB)), "{shown}");
    image::grow(&target, 128 * MIB).unwrap();
    assert_eq!(image::capacity(&target).unwrap(), 256 * MIB);

    image::unmount(&target).unwrap();
    assert_eq!(image::mounted(&target).unwrap(), None);
    lab::wait_for("the loop device goes", LIMIT, || {
        devices(&file).is_empty().then_some(())
    });
    image::mount(&file, &target).unwrap();
    assert_eq!(fs::read_to_string(target.join("file")).unwrap(), "kept");
}

const LIMIT: std::time::Duration = std::time::Duration::from_secs(60);

/// Bytes that the file takes on the disk.
fn blocks(file: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    file.metadata().unwrap().blocks() * 512
}

#[test]
fn growing_goes_on_where_a_crash_stopped_it() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let (file, target) = (machine.dir().join("i"), machine.dir().join("m"));
    fs::create_dir(&target).unwrap();
    let _unmount = Unmount(&target);
    image::create(&file, 128 * MIB).unwrap();
    image::mount(&file, &target).unwrap();
    // The file has grown, and neither the device nor the file system knows.
    let half_done = fs::File::options().write(true).open(&file).unwrap();
    half_done.set_len(320 * MIB).unwrap();
    assert_eq!(image::capacity(&target).unwrap(), 128 * MIB);
    image::grow(&target, 320 * MIB).unwrap();
    assert_eq!(image::capacity(&target).unwrap(), 320 * MIB);
}

#[test]
fn an_image_never_takes_the_place_of_a_file() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let file = machine.dir().join("precious");
    fs::write(&file, "data").unwrap();
    assert!(matches!(
        image::create(&file, 128 * MIB),
        Err(Error::Exists { .. })
    ));
    assert_eq!(fs::read_to_string(&file).unwrap(), "data");
}

#[test]
fn a_failed_or_interrupted_image_leaves_nothing_in_its_place() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let file = machine.dir().join("i");
    let error = image::create(&file, MIB).unwrap_err();
    assert!(matches!(error, Error::Mkfs { .. }), "{error}");
    assert_eq!(fs::read_dir(machine.dir()).unwrap().count(), 0);

    // What a crash in the middle of an earlier call leaves.
    fs::write(machine.dir().join(".i.new"), vec![7; 4096]).unwrap();
    image::create(&file, 128 * MIB).unwrap();
    let names: Vec<_> = fs::read_dir(machine.dir())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["i"]);
    run("btrfs", &["check", text(&file)]);
}

#[test]
fn a_place_that_is_taken_stays_as_it_is() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let (file, target) = (machine.dir().join("i"), machine.btrfs(128));
    image::create(&file, 128 * MIB).unwrap();
    let before = image::mounted(&target).unwrap();
    let error = image::mount(&file, &target).unwrap_err();
    assert!(matches!(error, Error::Taken { .. }), "{error}");
    assert_eq!(image::mounted(&target).unwrap(), before);
    assert!(devices(&file).is_empty());
    assert!(matches!(
        image::mount(machine.dir().join("missing"), &target),
        Err(Error::NotFound { .. })
    ));
}

#[test]
fn a_file_that_holds_no_file_system_is_refused_and_let_go() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let (file, target) = (machine.dir().join("i"), machine.dir().join("m"));
    fs::create_dir(&target).unwrap();
    let _unmount = Unmount(&target);
    fs::write(&file, vec![0; 1 << 20]).unwrap();
    assert!(image::mount(&file, &target).is_err());
    lab::wait_for("the loop device goes", LIMIT, || {
        devices(&file).is_empty().then_some(())
    });
}

#[test]
fn many_who_want_loop_devices_at_once_each_get_their_own() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let files: Vec<_> = (0..16)
        .map(|n| machine.dir().join(format!("i{n}")))
        .collect();
    for file in &files {
        fs::write(file, vec![0; 1 << 20]).unwrap();
    }
    let held: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = files
            .iter()
            .map(|file| scope.spawn(move || LoopDevice::attach(file).unwrap()))
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    for (file, device) in files.iter().zip(&held) {
        assert_eq!(devices(file), [text(device.path())]);
        let found = LoopDevice::of(file).unwrap().unwrap();
        assert_eq!(found.path(), device.path());
    }
}

#[test]
fn many_who_mount_one_image_at_once_mount_it_once() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let (file, target) = (machine.dir().join("i"), machine.dir().join("m"));
    fs::create_dir(&target).unwrap();
    let _unmount = Unmount(&target);
    image::create(&file, 128 * MIB).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| image::mount(&file, &target).unwrap());
        }
    });
    assert_eq!(devices(&file).len(), 1);
    image::unmount(&target).unwrap();
    assert_eq!(image::mounted(&target).unwrap(), None);
}
