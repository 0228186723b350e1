//! What is not ours is not touched, unless it is to be taken over.

use std::fs;
use std::os::unix::fs::symlink;

use lab::{names, run, subvolume_show, text};
use reconcile::Owner;

use crate::fixture::{BUSYBOX, Host, steps, with_a};

#[test]
fn a_foreign_container_of_our_name_is_left_as_it_is() {
    let Some(host) = Host::new() else { return };
    host.apply(BUSYBOX);
    let place = host.container("a");
    fs::create_dir(&place).unwrap();
    fs::write(place.join("precious"), "x").unwrap();
    let text = host.refusal(&with_a(""));
    assert!(
        text.contains("lxc/container:a: it is there already and not ours"),
        "{text}"
    );
    let text = host.refusal(&with_a(", adopt: true"));
    assert!(
        text.contains("is a directory, and only a subvolume"),
        "{text}"
    );
    // And not declared it is not seen at all.
    assert!(host.observed(BUSYBOX, "container:a").is_none());
    host.apply(BUSYBOX);
    assert_eq!(names(&place), ["precious"]);
    fs::remove_dir_all(&place).unwrap();
    for kind in ["symbolic link", "file"] {
        match kind {
            "file" => fs::write(&place, "").unwrap(),
            _ => symlink("/", &place).unwrap(),
        }
        let text = host.refusal(&with_a(", adopt: true"));
        assert!(text.contains(&format!("is a {kind}, ")), "{text}");
        fs::remove_file(&place).unwrap();
    }
}

#[test]
fn a_foreign_template_of_our_name_is_left_as_it_is() {
    let Some(host) = Host::new() else { return };
    host.apply("");
    run(
        "btrfs",
        &["-q", "subvolume", "create", text(&host.template("busybox"))],
    );
    let uuid = subvolume_show(&host.template("busybox"), "UUID");
    let text = host.refusal(BUSYBOX);
    assert!(
        text.contains("lxc/template:busybox: it is there already and not ours"),
        "{text}"
    );
    assert_eq!(subvolume_show(&host.template("busybox"), "UUID"), uuid);
}

#[test]
fn a_snapshot_of_what_is_ours_is_not() {
    let Some(host) = Host::new() else { return };
    host.apply(&with_a(", running: false"));
    for (from, to) in [
        (host.container("a"), host.container("copy")),
        (host.template("busybox"), host.template("copy")),
    ] {
        run(
            "btrfs",
            &["-q", "subvolume", "snapshot", text(&from), text(&to)],
        );
    }
    host.apply(&with_a(", running: false"));
    assert!(host.container("copy").exists() && host.template("copy").exists());
    let copy = BUSYBOX.replace("busybox:", "copy:");
    let seen = host.observed(&copy, "template:copy").unwrap();
    assert_eq!(seen.owner, Owner::Foreign);
    // Nor when it stands in for it.
    host.apply("");
    for (copy, place) in [
        (host.container("copy"), host.container("a")),
        (host.template("copy"), host.template("busybox")),
    ] {
        fs::rename(copy, place).unwrap();
    }
    host.apply("");
    assert!(host.container("a").exists() && host.template("busybox").exists());
}

/// A container made with nothing but LXC and btrfs.
fn by_hand(host: &Host) {
    let place = host.container("a");
    run(
        "btrfs",
        &[
            "-q",
            "subvolume",
            "snapshot",
            text(&host.template("busybox")),
            text(&place),
        ],
    );
    plugins::mark::remove(&place).unwrap();
    fs::write(place.join("rootfs/root/data"), "kept").unwrap();
    fs::write(place.join("config"), "lxc.uts.name = by-hand\n").unwrap();
}

#[test]
fn a_foreign_container_can_be_taken_over() {
    let Some(host) = Host::new() else { return };
    host.apply(BUSYBOX);
    by_hand(&host);
    let plan = host.apply(&with_a(", adopt: true"));
    assert_eq!(steps(&plan), ["update container:a"]);
    assert!(plan.changes[0].adopts);
    assert_eq!(host.ask("a", &["cat", "/root/data"]), "kept");
    assert_eq!(host.ask("a", &["hostname"]).trim(), "a");
}

#[test]
fn a_taking_over_is_undone() {
    let Some(host) = Host::new() else { return };
    host.apply(BUSYBOX);
    by_hand(&host);
    host.apply_and_fail(&with_a(", adopt: true"));
    let config = fs::read_to_string(host.container("a").join("config")).unwrap();
    assert_eq!(config, "lxc.uts.name = by-hand\n");
    assert_eq!(
        host.observed(&with_a(""), "container:a").unwrap().owner,
        Owner::Foreign
    );
    let data = host.container("a").join("rootfs/root/data");
    assert_eq!(fs::read_to_string(data).unwrap(), "kept");
}

#[test]
fn a_foreign_template_can_be_taken_over_and_given_back() {
    let Some(host) = Host::new() else { return };
    host.apply("");
    let place = host.template("busybox");
    run("btrfs", &["-q", "subvolume", "create", text(&place)]);
    fs::create_dir(place.join("rootfs")).unwrap();
    let uuid = subvolume_show(&place, "UUID");
    let adopting = "templates: {busybox: {recipe: busybox, adopt: true}}";
    host.apply_and_fail(adopting);
    assert_eq!(
        host.observed(BUSYBOX, "template:busybox").unwrap().owner,
        Owner::Foreign
    );
    assert_eq!(names(&place), ["rootfs"]);
    host.apply(adopting);
    assert_eq!(subvolume_show(&place, "UUID"), uuid);
    assert_eq!(steps(&host.plan(BUSYBOX).unwrap()), [""; 0]);
}
