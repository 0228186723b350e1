//! A run that fails leaves everything as it was.

use std::fs;

use lab::{names, subvolume_show};

use crate::fixture::{BUSYBOX, Host, with, with_a};

#[test]
fn what_was_made_is_gone() {
    let Some(host) = Host::new() else { return };
    host.apply("");
    host.apply_and_fail(&with("a: {template: busybox, memory: 64MiB}"));
    assert_eq!(names(&host.containers()), [""; 0]);
    assert_eq!(names(&host.base.join("@templates")), [""; 0]);
    assert_eq!(names(&host.base.join("sockets/containers")), [""; 0]);
}

#[test]
fn what_was_removed_is_back_and_runs_with_its_data() {
    let Some(host) = Host::new() else { return };
    let lxc = with("a: {template: busybox, memory: 64MiB}");
    host.apply(&lxc);
    host.ask("a", &["sh", "-c", "echo kept > /root/data; sync"]);
    host.apply_and_fail("");
    assert_eq!(host.state("a"), "RUNNING");
    assert_eq!(host.ask("a", &["cat", "/root/data"]).trim(), "kept");
    assert_eq!(crate::fixture::steps(&host.plan(&lxc).unwrap()), [""; 0]);
    assert_eq!(names(&host.containers()), ["a"]);
    assert_eq!(names(&host.base.join("@templates")), ["busybox"]);
}

#[test]
fn what_was_changed_is_as_before() {
    let Some(host) = Host::new() else { return };
    host.apply(&with_a(""));
    let config = fs::read_to_string(host.container("a").join("config")).unwrap();
    host.apply_and_fail(&with_a(", running: false, cores: 1"));
    assert_eq!(host.state("a"), "RUNNING");
    assert_eq!(
        fs::read_to_string(host.container("a").join("config")).unwrap(),
        config
    );
}

#[test]
fn a_mended_configuration_stays_mended() {
    let Some(host) = Host::new() else { return };
    host.apply(&with_a(", running: false"));
    let path = host.container("a").join("config");
    fs::write(&path, "nonsense").unwrap();
    host.apply_and_fail(&with_a(""));
    assert_eq!(host.state("a"), "STOPPED");
    let seen = host.observed(&with_a(""), "container:a").unwrap();
    assert_eq!(seen.state.get("config"), None);
}

#[test]
fn a_rebuilt_template_is_the_earlier_one_again() {
    let Some(host) = Host::new() else { return };
    host.apply(BUSYBOX);
    let uuid = subvolume_show(&host.template("busybox"), "UUID");
    let archive = crate::templates::archive(&host, "fine", |_| {});
    host.apply_and_fail(&crate::templates::tarball("busybox", &archive));
    assert_eq!(subvolume_show(&host.template("busybox"), "UUID"), uuid);
    assert_eq!(names(&host.base.join("@templates")), ["busybox"]);
}

#[test]
fn doing_and_undoing_twice_does_no_harm() {
    use reconcile::{Context, Direction};
    let Some(host) = Host::new() else { return };
    host.apply("");
    let lxc = with("a: {template: busybox, memory: 64MiB}");
    let plugin = host.plugins(&lxc).pop().unwrap();
    let changes = host.plan(&lxc).unwrap().changes;
    let changes: Vec<_> = changes
        .into_iter()
        .filter(|change| change.plugin == "lxc")
        .collect();
    let context = |direction| Context {
        run: "r1",
        direction,
        progress: &|_| {},
    };
    let twice = |change: &reconcile::Change, direction| {
        for _ in 0..2 {
            plugin.apply(&[change], &context(direction)).unwrap();
        }
    };
    for change in &changes {
        twice(change, Direction::Forward);
    }
    assert_eq!(host.state("a"), "RUNNING");
    let pid = host.init("a");
    twice(&changes[1], Direction::Forward);
    assert_eq!(host.init("a"), pid);
    // Removed and brought back.
    let removal = changes[1].inverse();
    twice(&removal, Direction::Forward);
    assert_eq!(names(&host.containers()), [".trash-r1-a"]);
    twice(&removal.inverse(), Direction::Undo);
    assert_eq!(host.state("a"), "RUNNING");
    // Removed for good.
    twice(&removal, Direction::Forward);
    for _ in 0..2 {
        plugin.commit(&removal, "r1").unwrap();
    }
    for change in changes.iter().rev() {
        twice(&change.inverse(), Direction::Undo);
    }
    assert_eq!(names(&host.containers()), [""; 0]);
    assert_eq!(names(&host.base.join("@templates")), [""; 0]);
}
