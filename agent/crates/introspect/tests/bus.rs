//! Names, activation and the cache on a real bus; a real systemd, with `busctl` as the witness.
#![allow(clippy::unwrap_used)]

mod peer;

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use introspect::dbus::{Limits, Name, Reason, Scanner, WalkError, Which, names, walk};
use lab::{Machine, run, wait_for};
use peer::{Answer, lab, node, roomy_lab};
use zbus::ObjectPath;
use zbus::names::BusName;

fn find<'a>(names: &'a [Name], name: &str) -> &'a Name {
    names.iter().find(|found| found.name == name).unwrap()
}

#[test]
fn a_look_starts_nobody() {
    let Some(lab) = roomy_lab() else { return };
    let dir = lab.machine.dir();
    let marker = dir.join("started");
    let service = format!(
        "[D-BUS Service]\nName=org.example.Sleeper\nExec=/bin/sh -c \"echo >> {}; exit 1\"\n",
        marker.display()
    );
    fs::write(dir.join("services/org.example.Sleeper.service"), service).unwrap();
    let connection = lab.connect();
    let reload = connection.call_method(
        Some("org.freedesktop.DBus"),
        "/org/freedesktop/DBus",
        Some("org.freedesktop.DBus"),
        "ReloadConfig",
        &(),
    );
    lab.runtime.block_on(reload).unwrap();

    let seen = lab.runtime.block_on(names(&connection)).unwrap();
    let sleeper = find(&seen.names, "org.example.Sleeper");
    assert!(sleeper.activatable && sleeper.owner.is_none() && sleeper.pid.is_none());
    let service = BusName::try_from("org.example.Sleeper").unwrap();
    let root = ObjectPath::try_from("/").unwrap();
    let limits = Limits::default();
    let look = lab
        .runtime
        .block_on(walk(&connection, &service, &root, &limits, &|_, _| true));
    assert!(matches!(look, Err(WalkError::NotRunning(_))), "{look:?}");

    // The one start that is asked for is the only one that leaves a mark.
    let start = connection.call_method(
        Some("org.freedesktop.DBus"),
        "/org/freedesktop/DBus",
        Some("org.freedesktop.DBus"),
        "StartServiceByName",
        &("org.example.Sleeper", 0_u32),
    );
    assert!(lab.runtime.block_on(start).is_err(), "it takes no name");
    assert_eq!(fs::read_to_string(&marker).unwrap(), "\n");
}

#[test]
fn names_have_their_processes() {
    let Some(lab) = lab() else { return };
    lab.peer("org.example.One", |_, _| Answer::Xml(node(&[])));
    let connection = lab.connect();
    let seen = lab.runtime.block_on(names(&connection)).unwrap();
    assert_eq!(seen.left_out, 0);
    let one = find(&seen.names, "org.example.One");
    assert_eq!((one.pid, one.uid), (Some(std::process::id()), Some(0)));
    let own = fs::read_to_string("/proc/self/comm").unwrap();
    assert_eq!(one.process.as_deref(), Some(own.trim_end()));
    let owner = one.owner.as_deref().unwrap();
    assert_eq!(find(&seen.names, owner).pid, one.pid);
    let bus = find(&seen.names, "org.freedesktop.DBus");
    assert_eq!(bus.process.as_deref(), Some("dbus-daemon"));
}

#[test]
fn a_tree_is_remembered_until_its_peer_leaves() {
    let Some(lab) = lab() else { return };
    let peer = lab.peer("org.example.One", |path, _| match path {
        "/" => Answer::Xml(node(&["a"])),
        "/gone" => Answer::Leave,
        _ => Answer::Xml(node(&[])),
    });
    let scanner = Scanner::connect(Which::System).unwrap();
    let service = BusName::try_from("org.example.One").unwrap();
    let root = ObjectPath::try_from("/").unwrap();
    let limits = Limits::default();
    let tree = |anew| scanner.tree(&service, &root, &limits, anew, &|_, _| true);
    let first = tree(false).unwrap();
    assert_eq!(tree(false).unwrap(), first);
    assert_eq!(peer.calls(), 2);
    tree(true).unwrap();
    assert_eq!(peer.calls(), 4);
    assert_eq!(scanner.cache().len(), 1);

    let gone = ObjectPath::try_from("/gone").unwrap();
    let last = scanner
        .tree(&service, &gone, &limits, false, &|_, _| true)
        .unwrap();
    assert_eq!(last.truncated[0].reason, Reason::Gone);
    wait_for("the cache to forget", Duration::from_secs(60), || {
        scanner.cache().is_empty().then_some(())
    });
    assert!(matches!(tree(false), Err(WalkError::NotRunning(_))));
}

#[test]
fn the_tree_of_systemd_is_the_one_that_busctl_shows() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let Some(systemd) = machine.systemd() else {
        return;
    };
    let scanner = Scanner::connect(Which::System).unwrap();
    let service = BusName::try_from("org.freedesktop.systemd1").unwrap();
    let root = ObjectPath::try_from("/").unwrap();
    let all = Limits {
        objects: 5000,
        ..Limits::default()
    };
    // Units come and go while the container starts.
    let tree = wait_for("both to see the same", Duration::from_secs(60), || {
        let tree = scanner
            .tree(&service, &root, &all, true, &|_, _| true)
            .unwrap();
        let listed = run("busctl", &["tree", "--list", "org.freedesktop.systemd1"]);
        let listed: BTreeSet<&str> = listed.lines().collect();
        let seen = tree.objects.iter().map(|object| object.path.as_str());
        (seen.collect::<BTreeSet<_>>() == listed).then_some(tree)
    });
    assert!(
        tree.truncated.is_empty() && tree.faults.is_empty(),
        "{:?}",
        tree.faults
    );
    let manager = tree
        .objects
        .iter()
        .find(|object| object.path == "/org/freedesktop/systemd1")
        .unwrap();
    let manager = manager
        .interfaces
        .iter()
        .find(|interface| interface.name.as_str() == "org.freedesktop.systemd1.Manager")
        .unwrap();
    let start = manager
        .methods
        .iter()
        .find(|method| method.name.as_str() == "StartUnit");
    assert_eq!(start.unwrap().args.len(), 3);

    let few = Limits {
        objects: 20,
        ..Limits::default()
    };
    let part = scanner
        .tree(&service, &root, &few, true, &|_, _| true)
        .unwrap();
    assert_eq!(
        (part.objects.len(), part.truncated[0].reason),
        (20, Reason::Objects)
    );
    assert!(
        part.objects
            .iter()
            .all(|object| tree.objects.iter().any(|all| all.path == object.path))
    );
    drop(systemd);
}
