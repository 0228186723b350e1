//! The base: directory, image, mount.

use std::fs;
use std::path::PathBuf;

use declaration::Declaration;
use lab::{Machine, names, run, text};
use plugins::BtrfsPlugin;

use crate::fixture::*;

#[test]
fn the_standard_subvolumes_are_made_and_the_second_apply_has_nothing_to_do() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let base = machine.btrfs(256).join("deep/op-dbus");
    let mut declaration = Declaration::default();
    declaration.plugins.btrfs.base.path = base.clone();
    assert_eq!(declaration.plugins.btrfs.subvolumes.len(), 8);
    apply(&machine, &declaration);

    run("btrfs", &["subvolume", "show", text(&base)]);
    assert_eq!(mode(&base), 0o755);
    for (name, subvolume) in &declaration.plugins.btrfs.subvolumes {
        let path = base.join(name.as_str());
        run("btrfs", &["subvolume", "show", text(&path)]);
        let wanted = subvolume.compression.unwrap().to_string();
        assert_eq!(property(&path), wanted);
        let expected = match name.as_str() {
            "@containers" => 0o711,
            _ => 0o700,
        };
        assert_eq!(mode(&path), expected, "{name}");
    }
    assert_eq!(names(&base).len(), 8);
}

#[test]
fn a_base_that_is_not_on_btrfs_is_refused_with_the_ways_out() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let base = machine.dir().join("base");
    let error = plan(&declare(&base, &[])).unwrap_err().to_string();
    for word in ["not on btrfs", "image:", "mkfs.btrfs", "--base DIR"] {
        assert!(error.contains(word), "{word}: {error}");
    }
    assert!(!base.exists());
}

#[test]
fn the_base_and_the_ledger_outlive_a_failed_run() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let base = machine.btrfs(128).join("base");
    let declaration = declare(&base, &[("@a", None), ("@timing", None)]);
    apply_and_fail(&machine, &declaration);
    assert_eq!(names(&base), ["@timing"]);
    assert_eq!(steps(&plan(&declaration).unwrap()), ["create @a"]);
}

fn image_paths(machine: &Machine) -> (PathBuf, PathBuf) {
    (
        machine.dir().join("base"),
        machine.dir().join("images/op-dbus.img"),
    )
}

#[test]
fn an_image_is_made_mounted_and_grown() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let (base, image) = image_paths(&machine);
    let _unmount = Unmount(&base);
    apply(&machine, &with_image(&base, &image, "128MiB"));
    let mounted = || run("findmnt", &["-n", "-o", "FSTYPE", text(&base)]);
    assert_eq!(mounted().trim(), "btrfs");
    assert_eq!(property(&base.join("@a")), "zstd:3");
    fs::write(base.join("@a/file"), "data").unwrap();

    assert!(refusal(&with_image(&base, &image, "192MiB")).contains("at least 256 MiB"));
    apply(&machine, &with_image(&base, &image, "512MiB"));
    assert_eq!(image.metadata().unwrap().len(), 512 << 20);
    let shown = run("btrfs", &["filesystem", "show", "--mbytes", text(&base)]);
    assert!(shown.contains("size 512.00MiB"), "{shown}");
    assert!(refusal(&with_image(&base, &image, "256MiB")).contains("512 MiB"));

    // As after a reboot.
    run("umount", &[text(&base)]);
    let declaration = with_image(&base, &image, "512MiB");
    let plugin = BtrfsPlugin::new(&declaration);
    assert!(plugin.remount().unwrap());
    assert!(!plugin.remount().unwrap());
    assert_eq!(steps(&plan(&declaration).unwrap()), [""; 0]);
    assert_eq!(fs::read_to_string(base.join("@a/file")).unwrap(), "data");

    // The image is whole although the run that would have made it fails, and is used by the next.
    run("umount", &[text(&base)]);
    let smaller = plan(&with_image(&base, &image, "256MiB")).unwrap_err();
    assert!(smaller.to_string().contains("512 MiB"), "{smaller}");
    apply(&machine, &declaration);
    assert_eq!(fs::read_to_string(base.join("@a/file")).unwrap(), "data");
}

#[test]
fn nothing_is_mounted_before_it_was_applied() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let (base, image) = image_paths(&machine);
    assert!(
        !BtrfsPlugin::new(&with_image(&base, &image, "128MiB"))
            .remount()
            .unwrap()
    );
    assert!(!BtrfsPlugin::new(&declare(&base, &[])).remount().unwrap());
    assert!(!base.exists() && !image.exists());
}

#[test]
fn a_mount_hides_nothing_and_takes_nobodys_place() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let (base, image) = image_paths(&machine);
    fs::create_dir(&base).unwrap();
    fs::write(base.join("file"), "data").unwrap();
    let error = plan(&with_image(&base, &image, "128MiB")).unwrap_err();
    assert!(error.to_string().contains("would hide"), "{error}");

    let taken = machine.btrfs(128);
    let error = plan(&with_image(&taken, &image, "128MiB")).unwrap_err();
    assert!(error.to_string().contains("is mounted at"), "{error}");
    assert!(!image.exists());
}
