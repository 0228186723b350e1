//! What kind of host it is decides what is used.

use std::fs;

use lab::{Machine, run};
use plugins::packagekit::find;

#[test]
fn nixos_is_told_where_packages_are_listed() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let release = machine.dir().join("os-release");
    fs::write(&release, "NAME=NixOS\nID=nixos\n").unwrap();
    run(
        "mount",
        &["--bind", release.to_str().unwrap(), "/etc/os-release"],
    );
    let text = find(None).err().unwrap().to_string();
    assert!(text.contains("environment.systemPackages"), "{text}");
}

#[test]
fn a_package_manager_that_the_host_does_not_have_is_said() {
    let Some(_machine) = Machine::new("needs root") else {
        return;
    };
    if lab::has("pacman") {
        return;
    }
    let text = find(Some(declaration::PackageProvider::Pacman))
        .err()
        .unwrap()
        .to_string();
    assert!(text.contains("this host does not have pacman"), "{text}");
}
