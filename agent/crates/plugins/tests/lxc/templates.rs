//! Templates: how they are made, and what becomes of containers when they change.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lab::{names, run, subvolume_show, text, wait_for};

use crate::fixture::{BUSYBOX, Host, said, steps, with_a};

/// An archive of a small root file system, after a change.
pub(crate) fn archive(host: &Host, name: &str, change: impl FnOnce(&Path)) -> PathBuf {
    let root = host.machine.dir().join(name);
    for directory in ["etc", "sbin", "bin"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    symlink("/bin/busybox", root.join("sbin/init")).unwrap();
    symlink("busybox", root.join("bin/sh")).unwrap();
    fs::write(root.join("etc/inittab"), "::restart:/sbin/init\n").unwrap();
    fs::write(root.join("etc/made-by"), name).unwrap();
    change(&root);
    let archive = host.machine.dir().join(format!("{name}.tar.gz"));
    run("tar", &["-czf", text(&archive), "-C", text(&root), "."]);
    archive
}

pub(crate) fn tarball(name: &str, archive: &Path) -> String {
    let sum = run("sha256sum", &[text(archive)]);
    let sum = sum.split(' ').next().unwrap();
    format!(
        "templates: {{{name}: {{recipe: tarball, path: {}, sha256: {sum}}}}}",
        archive.display()
    )
}

#[test]
fn every_template_has_the_units_and_no_key() {
    let Some(host) = Host::new() else { return };
    host.apply(BUSYBOX);
    let root = host.template("busybox").join("rootfs");
    for file in [
        "etc/systemd/system/socket-network.service",
        "etc/systemd/system/netmaker-enroll.service",
        "etc/systemd/system/multi-user.target.wants/netmaker-enroll.service",
        "etc/op-dbus/client.json",
    ] {
        assert!(root.join(file).exists(), "{file}");
    }
    assert!(!root.join("etc/netmaker/join-key").exists());
    let description = fs::read_to_string(host.template("busybox").join("template.json")).unwrap();
    let description: serde_json::Value = serde_json::from_str(&description).unwrap();
    assert_eq!(description, serde_json::json!({"recipe": "busybox"}));
}

#[test]
fn an_archive_becomes_a_template_and_runs() {
    let Some(host) = Host::new() else { return };
    let archive = archive(&host, "fine", |_| {});
    let lxc = format!(
        "{}, containers: {{a: {{template: fine, network: none, memory: 64MiB}}}}",
        tarball("fine", &archive)
    );
    host.apply(&lxc);
    assert_eq!(
        host.ask("a", &["/bin/busybox", "cat", "/etc/made-by"]),
        "fine"
    );
    // Where it lies does not matter.
    let moved = archive.with_file_name("moved.tar.gz");
    fs::rename(&archive, &moved).unwrap();
    let lxc = lxc.replace(text(&archive), text(&moved));
    assert_eq!(steps(&host.plan(&lxc).unwrap()), [""; 0]);
}

#[test]
fn an_archive_may_hold_the_root_in_a_directory() {
    let Some(host) = Host::new() else { return };
    let inner = archive(&host, "rootfs", |_| {});
    let outer = host.machine.dir().join("image.tar");
    fs::write(host.machine.dir().join("metadata.yaml"), "x: 1").unwrap();
    let directory = text(host.machine.dir());
    run(
        "tar",
        &[
            "-cf",
            text(&outer),
            "-C",
            directory,
            "metadata.yaml",
            "rootfs",
        ],
    );
    drop(inner);
    host.apply(&tarball("image", &outer));
    let template = host.template("image");
    assert_eq!(names(&template), ["rootfs", "template.json"]);
    assert_eq!(
        fs::read_to_string(template.join("rootfs/etc/made-by")).unwrap(),
        "rootfs"
    );
}

#[test]
fn another_archive_than_the_declared_one_is_refused() {
    let Some(host) = Host::new() else { return };
    host.apply("");
    let archive = archive(&host, "fine", |_| {});
    let lxc = tarball("fine", &archive);
    let mut bytes = fs::read(&archive).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&archive, bytes).unwrap();
    let text = host.fail(&lxc);
    assert!(text.contains("has the SHA-256"), "{text}");
    assert_eq!(names(&host.base.join("@templates")), [""; 0]);
    fs::remove_file(&archive).unwrap();
    assert!(host.fail(&lxc).contains("No such file"));
}

#[test]
fn what_is_no_root_file_system_is_refused() {
    let Some(host) = Host::new() else { return };
    host.apply("");
    let empty = archive(&host, "empty", |root| {
        fs::remove_dir_all(root.join("sbin")).unwrap()
    });
    let text = host.fail(&tarball("empty", &empty));
    assert!(text.contains("holds no root file system"), "{text}");
    let noise = host.machine.dir().join("noise.tar");
    fs::write(&noise, "not an archive").unwrap();
    assert!(host.fail(&tarball("noise", &noise)).contains("tar"));
    assert_eq!(names(&host.base.join("@templates")), [""; 0]);
}

#[test]
fn an_archive_cannot_write_outside_of_itself() {
    let Some(host) = Host::new() else { return };
    let outside = host.machine.dir().join("outside");
    fs::create_dir(&outside).unwrap();
    let archive = archive(&host, "hostile", |root| {
        fs::remove_dir_all(root.join("etc")).unwrap();
        symlink(&outside, root.join("etc")).unwrap();
        symlink("/", root.join("rootfs")).unwrap();
    });
    // Its `etc` leads to nothing in it, so that there is no place for the units.
    let text = host.fail(&tarball("hostile", &archive));
    assert!(text.contains("add units"), "{text}");
    assert_eq!(names(&outside), [""; 0]);
}

#[test]
fn a_changed_template_leaves_the_containers_that_are_there() {
    let Some(host) = Host::new() else { return };
    let one = archive(&host, "one", |_| {});
    let two = archive(&host, "two", |_| {});
    let container =
        |name: &str| format!("{name}: {{template: base, network: none, memory: 64MiB}}");
    let first = format!(
        "{}, containers: {{{}}}",
        tarball("base", &one),
        container("a")
    );
    host.apply(&first);
    let pid = host.init("a");
    let second = format!(
        "{}, containers: {{{}, {}}}",
        tarball("base", &two),
        container("a"),
        container("b")
    );
    let plan = host.apply(&second);
    assert_eq!(steps(&plan), ["update template:base", "create container:b"]);
    let notes: Vec<_> = plan
        .notes
        .iter()
        .map(|note| format!("{} {}", note.resource, note.text))
        .collect();
    assert_eq!(
        notes,
        ["lxc/container:a stays on the build of template base that it was made from"]
    );
    assert_eq!(host.init("a"), pid);
    assert_eq!(
        host.ask("a", &["/bin/busybox", "cat", "/etc/made-by"]),
        "one"
    );
    assert_eq!(
        host.ask("b", &["/bin/busybox", "cat", "/etc/made-by"]),
        "two"
    );
    assert_eq!(names(&host.base.join("@templates")), ["base"]);
    let notes = host.plan(&second).unwrap().notes;
    assert_eq!(notes.len(), 1);
    assert!(
        notes[0].text.contains("stays on an earlier build"),
        "{notes:?}"
    );
}

#[test]
fn a_damaged_template_is_made_again() {
    let Some(host) = Host::new() else { return };
    host.apply(BUSYBOX);
    fs::remove_file(host.template("busybox").join("template.json")).unwrap();
    assert_eq!(steps(&host.apply(BUSYBOX)), ["update template:busybox"]);
    fs::remove_dir_all(host.template("busybox").join("rootfs")).unwrap();
    assert_eq!(steps(&host.apply(BUSYBOX)), ["update template:busybox"]);
}

#[test]
fn a_template_in_use_is_not_deleted() {
    let Some(host) = Host::new() else { return };
    host.apply(&with_a(", running: false"));
    let uuid = subvolume_show(&host.template("busybox"), "UUID");
    // The engine would have asked first; the plugin looks again.
    let plugin = host.plugins("").pop().unwrap();
    let plan = host.plan("").unwrap();
    let delete = plan
        .changes
        .iter()
        .find(|change| change.resource == "template:busybox")
        .unwrap();
    let context = reconcile::Context {
        run: "r1",
        direction: reconcile::Direction::Forward,
        progress: &|_| {},
    };
    let text = plugin.apply(&[delete], &context).unwrap_err().to_string();
    assert!(text.contains("in use by container a"), "{text}");
    assert_eq!(subvolume_show(&host.template("busybox"), "UUID"), uuid);
    // Both at once go in the right order.
    assert_eq!(
        steps(&host.apply("")),
        ["delete container:a!", "delete template:busybox"]
    );
}

/// Does something in the network that the test was started in, which may lead to the world.
fn with_network(act: impl FnOnce() + Send) {
    // The thread that leads the process is not in the machine of the test.
    let outside = fs::File::open("/proc/self/ns/net").unwrap();
    let enter = || {
        let kind = rustix::thread::LinkNameSpaceType::Network;
        rustix::thread::move_into_link_name_space(outside.as_fd(), Some(kind)).unwrap();
        act();
    };
    std::thread::scope(|scope| scope.spawn(enter).join().unwrap());
}

#[test]
fn a_debian_is_installed_and_starts() {
    let Some(mut host) = Host::new() else { return };
    if std::env::var_os("OP_DBUS_DOWNLOADS").is_none() {
        return lab::skip("downloads a Debian; OP_DBUS_DOWNLOADS=1 lets it");
    }
    host.base = host.machine.btrfs(2048);
    let template = "templates: {debian: {recipe: debian, suite: bookworm, packages: [iproute2]}}";
    with_network(|| drop(host.apply(template)));
    let container = "{template: debian, memory: 256MiB, address: 10.0.0.1";
    let lxc = format!("{template}, containers: {{a: {container}1/24}}, b: {container}2/24}}}}");
    host.apply(&lxc);
    for name in ["a", "b"] {
        wait_for("systemd is up", Duration::from_secs(60), || {
            let state = said(&host.inside(name, &["systemctl", "is-system-running"]));
            matches!(state.trim(), "running" | "degraded").then_some(())
        });
        assert_eq!(
            host.ask(name, &["systemctl", "is-active", "socket-network"])
                .trim(),
            "active"
        );
        assert_eq!(host.ask(name, &["hostname"]).trim(), name);
    }
    let addresses = host.ask("a", &["ip", "-o", "address", "show", "dev", "eth0"]);
    assert!(addresses.contains("10.0.0.11/24"), "{addresses}");
    // systemd has not put its own `/run` over what is mounted there.
    host.ask("a", &["mountpoint", "/run/op-dbus/self"]);
    let id = |name: &str| host.ask(name, &["cat", "/etc/machine-id"]);
    assert_ne!(id("a"), id("b"));
    let failed = host.ask("a", &["systemctl", "--failed", "--plain", "--no-legend"]);
    assert_eq!(failed, "");
}
