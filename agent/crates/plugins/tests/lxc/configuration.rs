//! A container's configuration file: drift, and who caused it.

use std::fs;

use plugins::LxcPlugin;
use reconcile::Plugin;

use crate::fixture::{Host, steps, with_a};

#[test]
fn a_change_by_hand_is_seen_and_mended() {
    let Some(host) = Host::new() else { return };
    host.apply(&with_a(""));
    let path = host.container("a").join("config");
    let before = fs::read_to_string(&path).unwrap();
    let pid = host.init("a");
    fs::write(&path, format!("{before}lxc.environment = SPY=1\n")).unwrap();
    let seen = host.observed(&with_a(""), "container:a").unwrap();
    assert_eq!(seen.state["config"], "edited");
    assert_eq!(
        steps(&host.plan(&with_a("")).unwrap()),
        ["update container:a"]
    );
    host.apply(&with_a(""));
    assert_eq!(fs::read_to_string(&path).unwrap(), before);
    // It might have been in force.
    assert_ne!(host.init("a"), pid);
}

#[test]
fn a_file_beyond_reading_is_written_again() {
    let Some(host) = Host::new() else { return };
    host.apply(&with_a(""));
    let path = host.container("a").join("config");
    let before = fs::read_to_string(&path).unwrap();
    for damage in [
        &b""[..],
        b"lxc.uts.name = a\n",
        b"\xff\xfe",
        b"# op-dbus {\n",
    ] {
        fs::write(&path, damage).unwrap();
        host.apply(&with_a(""));
        assert_eq!(fs::read_to_string(&path).unwrap(), before);
        assert_eq!(host.state("a"), "RUNNING");
    }
    let pid = host.init("a");
    fs::remove_file(&path).unwrap();
    host.apply(&with_a(""));
    assert_eq!(fs::read_to_string(&path).unwrap(), before);
    assert_ne!(host.init("a"), pid);
}

#[test]
fn a_container_that_runs_is_not_disturbed_by_a_new_version_of_the_program() {
    let Some(host) = Host::new() else { return };
    let lxc = crate::fixture::with("a: {template: busybox, memory: 64MiB}");
    host.apply(&lxc);
    let pid = host.init("a");
    // As if this program had been started from another path.
    let moved = || -> Vec<Box<dyn Plugin>> {
        let mut plugins = host.plugins(&lxc);
        plugins.pop();
        let program = std::path::Path::new("/usr/local/bin/op-dbus");
        plugins.push(Box::new(
            LxcPlugin::new(&host.declare(&lxc)).with_agent(program),
        ));
        plugins
    };
    let plan = reconcile::plan(&moved()).unwrap();
    assert_eq!(steps(&plan), ["update container:a"]);
    assert_eq!(plan.changes[0].before["config"], "outdated");
    assert_eq!(host.carry_out(&moved(), &plan), reconcile::Outcome::Applied);
    assert_eq!(steps(&reconcile::plan(&moved()).unwrap()), [""; 0]);
    assert_eq!(host.init("a"), pid);
}
