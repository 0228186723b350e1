//! Versions on real file systems: subvolumes on btrfs, overlay mounts on tmpfs.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use deployments::{Candidate, Error, Held, Kind, Name, Place, Settled, Version};
use jiff::Timestamp;
use lab::Machine;

/// A machine with a base on btrfs, and with one on tmpfs.
fn both() -> Option<(Machine, [Place; 2])> {
    let machine = Machine::new("needs root")?;
    let btrfs = machine.btrfs(128);
    let tmpfs = machine.dir().join("tmpfs");
    fs::create_dir(&tmpfs).unwrap();
    lab::run("mount", &["-t", "tmpfs", "tmpfs", tmpfs.to_str().unwrap()]);
    let place = |directory: &Path| Place::new(directory.join("chat")).unwrap();
    let places = [place(&btrfs), place(&tmpfs)];
    Some((machine, places))
}

fn program(machine: &Machine, text: &str) -> Candidate {
    let path = machine.dir().join("program");
    fs::write(&path, text).unwrap();
    Candidate::open(&path).unwrap()
}

fn add(held: &mut Held, candidate: &Candidate) -> Name {
    let mut staged = held.stage(candidate).unwrap();
    staged.configure("declaration.schema.json", b"{}").unwrap();
    let name = Name::new("1.0", &candidate.sha256).unwrap();
    let about = Version {
        name: name.clone(),
        version: "1.0".to_owned(),
        sha256: candidate.sha256.clone(),
        size: candidate.size,
        files: Default::default(),
        deployed_at: Timestamp::now(),
        deployed_by: "root".to_owned(),
        source: "program".to_owned(),
    };
    held.add(staged, about).unwrap();
    name
}

fn deploy(machine: &Machine, place: &Place, text: &str) -> Name {
    let candidate = program(machine, text);
    let mut held = place.hold("test").unwrap();
    let name = add(&mut held, &candidate);
    held.switch(&name).unwrap();
    held.keep(Some("root")).unwrap();
    name
}

fn serves(place: &Place) -> String {
    fs::read_to_string(place.program()).unwrap()
}

#[test]
fn versions_lie_side_by_side_and_one_serves() {
    let Some((machine, places)) = both() else {
        return;
    };
    for (place, kind) in places.iter().zip([Kind::Btrfs, Kind::Overlay]) {
        let one = deploy(&machine, place, "one");
        assert_eq!(place.manifest().unwrap().previous, None);
        let two = deploy(&machine, place, "two");
        assert_eq!(serves(place), "two");
        let manifest = place.manifest().unwrap();
        assert_eq!(manifest.store, kind);
        assert_eq!(manifest.current.as_ref(), Some(&two));
        assert_eq!(manifest.previous.as_ref(), Some(&one));
        assert_eq!(manifest.trial, None);
        assert_eq!(manifest.versions[1].files.len(), 2);
        assert_eq!(place.serving().unwrap(), Some(two.clone()));
        // What is deployed is not changed in place.
        let written = fs::write(place.program(), "three").unwrap_err();
        assert_eq!(written.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
        assert!(place.current().join("bin/mcp-chat").is_file());
        match kind {
            Kind::Btrfs => assert!(btrfs::info(place.version(&one)).unwrap().read_only),
            Kind::Overlay => {
                let mounts = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
                let lower = format!("lowerdir={}", place.version(&two).display());
                assert!(mounts.contains(&lower), "{mounts}");
                // The one that serves, and the one that was just left.
                let three = deploy(&machine, place, "three");
                let mounts = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
                let of_base = format!("lowerdir={}", place.base().display());
                assert_eq!(mounts.matches(&of_base).count(), 2, "{mounts}");
                let mut held = place.hold("test").unwrap();
                held.switch(&two).unwrap();
                held.keep(None).unwrap();
                assert_eq!(held.prune(2).unwrap(), [three]);
            }
        }

        let mut held = place.hold("test").unwrap();
        held.switch(&one).unwrap();
        held.keep(None).unwrap();
        assert_eq!(serves(place), "one");
        assert_eq!(held.manifest().previous, None);
        assert!(matches!(place.hold("another"), Err(Error::Lock(_))));
    }
}

#[test]
fn whoever_follows_the_link_always_finds_a_version() {
    let Some((machine, places)) = both() else {
        return;
    };
    for place in &places {
        let one = deploy(&machine, place, "one");
        let two = deploy(&machine, place, "two");
        let over = AtomicBool::new(false);
        let looks = std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut looks = 0;
                while !over.load(Ordering::Acquire) {
                    assert!(matches!(serves(place).as_str(), "one" | "two"));
                    looks += 1;
                }
                looks
            });
            let mut held = place.hold("test").unwrap();
            for name in [&one, &two].into_iter().cycle().take(40) {
                held.switch(name).unwrap();
                assert!(place.is_up());
                held.keep(None).unwrap();
            }
            over.store(true, Ordering::Release);
            reader.join().unwrap()
        });
        assert!(looks > 0);
    }
}

#[test]
fn a_switch_that_was_killed_goes_back() {
    let Some((machine, places)) = both() else {
        return;
    };
    for place in &places {
        let one = deploy(&machine, place, "one");
        let candidate = program(&machine, "two");
        // Killed while it was copied: what is dropped here would be left by a process that is killed.
        let held = place.hold("test").unwrap();
        std::mem::forget(held.stage(&candidate).unwrap());
        drop(held);
        // Killed when it had its name, before the manifest said so.
        fs::create_dir(place.base().join("versions/9-aaaaaaaaaaaa")).unwrap();
        let mut held = place.hold("test").unwrap();
        assert_eq!(held.settle().unwrap(), None);
        assert_eq!(
            lab::names(&place.base().join("versions")),
            [one.to_string()]
        );
        assert_eq!(serves(place), "one");

        // Killed on trial.
        let two = add(&mut held, &candidate);
        held.switch(&two).unwrap();
        assert_eq!(serves(place), "two");
        drop(held);
        let manifest = place.manifest().unwrap();
        assert_eq!(manifest.current.as_ref(), Some(&one));
        assert_eq!(manifest.trial.as_ref().unwrap().to, two);
        let mut held = place.hold("test").unwrap();
        assert_eq!(held.settle().unwrap(), Some(Settled::Back(one.clone())));
        assert_eq!(serves(place), "one");
        assert_eq!(held.settle().unwrap(), None);

        // On trial, and not well.
        held.switch(&two).unwrap();
        assert_eq!(held.back().unwrap(), Some(one.clone()));
        assert_eq!(serves(place), "one");
        assert_eq!(place.manifest().unwrap().current, Some(one));
    }
}

#[test]
fn the_first_one_stays_if_it_was_killed_on_trial_and_goes_if_it_is_not_well() {
    let Some((machine, places)) = both() else {
        return;
    };
    for place in &places {
        let candidate = program(&machine, "one");
        let mut held = place.hold("test").unwrap();
        let one = add(&mut held, &candidate);
        held.switch(&one).unwrap();
        assert_eq!(held.back().unwrap(), None);
        assert_eq!(place.serving().unwrap(), None);
        held.switch(&one).unwrap();
        drop(held);
        let mut held = place.hold("test").unwrap();
        assert_eq!(held.settle().unwrap(), Some(Settled::On(one)));
        assert_eq!(serves(place), "one");
    }
}

#[test]
fn too_many_go_and_a_changed_one_is_not_served() {
    let Some((machine, places)) = both() else {
        return;
    };
    for (place, kind) in places.iter().zip([Kind::Btrfs, Kind::Overlay]) {
        let names: Vec<_> = ["one", "two", "three", "four"]
            .into_iter()
            .map(|text| deploy(&machine, place, text))
            .collect();
        let mut held = place.hold("test").unwrap();
        assert_eq!(held.prune(2).unwrap(), names[..2]);
        let mut left: Vec<_> = names[2..].iter().map(Name::to_string).collect();
        left.sort();
        assert_eq!(lab::names(&place.base().join("versions")), left);
        assert!(matches!(held.switch(&names[0]), Err(Error::NoVersion(_))));

        let kept = place.version(&names[2]);
        if kind == Kind::Btrfs {
            btrfs::set_read_only(&kept, false).unwrap();
        }
        fs::write(kept.join("bin/op-dbus"), "changed").unwrap();
        assert!(matches!(held.switch(&names[2]), Err(Error::Changed { .. })));
        assert_eq!(serves(place), "four");
    }
}

#[test]
fn what_serves_stays_where_the_manifest_is_lost() {
    let Some((machine, places)) = both() else {
        return;
    };
    for place in &places {
        deploy(&machine, place, "one");
        fs::remove_file(place.manifest_file()).unwrap();
        let mut held = place.hold("test").unwrap();
        assert_eq!(held.settle().unwrap(), None);
        assert_eq!(serves(place), "one");
        drop(held);
        deploy(&machine, place, "one");
        assert_eq!(serves(place), "one");
        assert_eq!(place.manifest().unwrap().versions.len(), 1);
    }
}

#[test]
fn after_a_restart_of_the_machine_it_is_mounted_again() {
    let Some((machine, places)) = both() else {
        return;
    };
    let [_, place] = &places;
    let one = deploy(&machine, place, "one");
    let mount = place.base().join("mounts").join(one.as_str());
    lab::run("umount", &[mount.to_str().unwrap()]);
    assert!(!place.is_up());
    place.hold("test").unwrap().mount().unwrap();
    assert_eq!(serves(place), "one");
}

#[test]
fn what_is_no_program_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(
        Candidate::open(directory.path()),
        Err(Error::NoProgram(_))
    ));
    assert!(Candidate::open(&directory.path().join("none")).is_err());
}
