//! The real PackageKit, in a container over the machine's own files, with a repository of the test's own.

use std::fs;

use lab::{Machine, Systemd};
use plugins::packagekit::{Watch, find};

use crate::fixture::Runs;
use crate::repository::Repository;

fn host() -> Option<(Runs, Systemd, Machine)> {
    let machine = Machine::new("needs root")?;
    let systemd = machine.systemd()?;
    let root = systemd.root();
    if !root.join("usr/libexec/packagekitd").exists() || !root.join("usr/bin/apt-get").exists() {
        lab::skip("needs packagekit, on Debian");
        return None;
    }
    // PackageKit fetches nothing on a host without a way out.
    for command in [
        "link add out type veth peer name far",
        "link set far up",
        "link set out up",
        "addr add 192.0.2.2/24 dev out",
        "route add default via 192.0.2.1",
    ] {
        let mut argv = vec!["ip"];
        argv.extend(command.split(' '));
        let output = systemd.inside(&argv);
        assert!(output.status.success(), "{command}: {output:?}");
    }
    let repository = Repository::new(root.join("srv/repository"));
    for name in ["sources.list.d", "apt.conf.d", "preferences.d"] {
        let _ = fs::remove_dir_all(root.join("etc/apt").join(name));
    }
    fs::write(root.join("etc/apt/sources.list"), repository.source(&root)).unwrap();
    Some((Runs::new(&machine), systemd, machine))
}

#[test]
fn packages_are_installed_updated_and_removed() {
    let Some((runs, systemd, _machine)) = host() else {
        return;
    };
    let manager = find(None).unwrap();
    assert_eq!(manager.name(), "PackageKit");
    manager.refresh(&Watch::nobody()).unwrap();
    let file = systemd.root().join("opt/op-dbus-test/op-app");
    runs.apply("op-app: {}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "2.0");
    let text = runs.refusal("op-lib: {ensure: removed}");
    assert!(
        text.contains("removing op-lib would remove op-app as well"),
        "{text}"
    );
    runs.apply_and_fail("op-app: {ensure: removed}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "2.0");
    runs.apply("op-app: {ensure: removed}, op-lib: {ensure: removed}");
    assert!(!file.exists());
    let text = runs.fail("op-nonsense: {}");
    assert!(
        text.contains("op-nonsense is not in the package lists"),
        "{text}"
    );
}

#[test]
fn the_lists_are_read() {
    let Some((runs, _systemd, _machine)) = host() else {
        return;
    };
    let manager = find(None).unwrap();
    let watch = Watch::nobody();
    manager.refresh(&watch).unwrap();
    let found = manager.search("op-app", &watch).unwrap();
    assert_eq!(
        (found[0].name.as_str(), found[0].version.as_deref()),
        ("op-app", Some("2.0"))
    );
    runs.apply("op-lib: {ensure: latest}");
    let name = "op-lib".parse().unwrap();
    let details = manager.details(&[&name], &watch).unwrap();
    assert_eq!(details[0].listed.name, "op-lib");
    assert_eq!(details[0].listed.summary, "made for a test");
    assert_eq!(manager.updates(&[], &watch).unwrap(), []);
    let all = manager.list(&watch).unwrap();
    assert!(
        all.iter()
            .any(|one| one.name == "op-lib" && one.installed == Some(true))
    );
    assert!(all.len() > 50);
}
