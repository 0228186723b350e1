//! Crashes, kills, and containers that do not start.

use std::fs;
use std::time::Duration;

use lab::{names, run, text, wait_for};
use rustix::process::{Pid, Signal, kill_process};

use crate::fixture::{BUSYBOX, Host, steps, with_a};
use crate::templates::{archive, tarball};

#[test]
fn a_killed_container_is_seen_as_stopped_and_started_again() {
    let Some(host) = Host::new() else { return };
    host.apply(&with_a(""));
    let status = fs::read_to_string(format!("/proc/{}/status", host.init("a"))).unwrap();
    let parent = status
        .lines()
        .find_map(|line| line.strip_prefix("PPid:"))
        .unwrap();
    let monitor = Pid::from_raw(parent.trim().parse().unwrap()).unwrap();
    let comm = fs::read_to_string(format!("/proc/{}/comm", monitor.as_raw_pid())).unwrap();
    assert_eq!(comm.trim(), "lxc-start");
    let mut groups = groups(host.init("a"));
    groups.extend(self::groups(monitor.as_raw_pid().unsigned_abs()));
    kill_process(monitor, Signal::KILL).unwrap();
    wait_for(
        "the container is seen as stopped",
        Duration::from_secs(10),
        || {
            let seen = host.observed(&with_a(""), "container:a").unwrap();
            (seen.state["running"] == false).then_some(())
        },
    );
    let plan = host.apply(&with_a(""));
    assert_eq!(steps(&plan), ["update container:a"]);
    assert_eq!(host.state("a"), "RUNNING");
    // Nobody was left to remove them.
    for group in groups {
        let _ = fs::remove_dir(group);
    }
}

/// The directories of a process's control groups, of both versions.
fn groups(pid: u32) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let directory = |line: &str| {
        let (_, line) = line.split_once(':')?;
        let (controller, path) = line.split_once(':')?;
        let mount = match controller {
            "" => "unified",
            "name=systemd" => "systemd",
            controller => controller,
        };
        Some(format!("/sys/fs/cgroup/{mount}{path}"))
    };
    text.lines().filter_map(directory).collect()
}

#[test]
fn a_container_that_stopped_by_itself_is_started_again() {
    let Some(host) = Host::new() else { return };
    host.apply(&with_a(""));
    host.inside("a", &["poweroff", "-f"]);
    wait_for("the container stops", Duration::from_secs(10), || {
        (host.state("a") == "STOPPED").then_some(())
    });
    assert_eq!(steps(&host.apply(&with_a(""))), ["update container:a"]);
}

#[test]
fn a_container_that_does_not_start_says_why_and_is_taken_back() {
    let Some(host) = Host::new() else { return };
    host.apply("");
    let archive = archive(&host, "broken", |root| {
        fs::remove_file(root.join("sbin/init")).unwrap();
        fs::write(root.join("sbin/init"), "neither program nor script").unwrap();
    });
    let templates = tarball("broken", &archive);
    let lxc = format!("{templates}, containers: {{a: {{template: broken, network: none}}}}");
    let text = host.fail(&lxc);
    assert!(
        text.contains("start container a") && text.contains("/sbin/init"),
        "{text}"
    );
    assert_eq!(names(&host.containers()), [""; 0]);
}

#[test]
fn what_a_crash_left_is_removed_when_it_is_in_the_way() {
    let Some(host) = Host::new() else { return };
    host.apply(&with_a(", running: false"));
    let leftovers = [
        (host.template("busybox"), host.template(".busybox.new")),
        (host.template("busybox"), host.template(".other.new")),
        (host.container("a"), host.container(".a.new")),
        (host.container("a"), host.container(".b.new")),
    ];
    for (from, to) in &leftovers {
        run(
            "btrfs",
            &["-q", "subvolume", "snapshot", text(from), text(to)],
        );
    }
    // Nobody sees them as templates or containers.
    assert_eq!(
        steps(&host.plan(&with_a(", running: false")).unwrap()),
        [""; 0]
    );
    let two = "templates: {busybox: {recipe: busybox}, other: {recipe: busybox}}, \
               containers: {a: {template: busybox, network: none, running: false}, \
               b: {template: other, network: none, running: false}}";
    host.apply(two);
    assert_eq!(
        names(&host.base.join("@templates")),
        [".busybox.new", "busybox", "other"]
    );
    assert_eq!(names(&host.containers()), [".a.new", "a", "b"]);
}

#[test]
fn what_an_earlier_run_kept_goes_with_the_next() {
    let Some(host) = Host::new() else { return };
    host.apply(&with_a(", running: false"));
    let trash = host.containers().join(".trash-r0-a");
    fs::rename(host.container("a"), &trash).unwrap();
    host.apply(&with_a(", running: false"));
    assert_eq!(names(&host.containers()), ["a"]);
    // One of another name stays, whatever its name ends with.
    fs::rename(host.container("a"), &trash).unwrap();
    fs::rename(&trash, host.containers().join(".trash-r0-b-a")).unwrap();
    let b = with_a(", running: false").replace("a: {t", "b: {t");
    host.apply(&b);
    assert_eq!(names(&host.containers()), [".trash-r0-b-a", "b"]);
}

#[test]
fn a_full_file_system_leaves_nothing_half_made() {
    let Some(mut host) = Host::new() else { return };
    host.base = host.machine.btrfs(128);
    host.apply("");
    let filler = host.base.join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    let noise = fs::read("/bin/busybox").unwrap();
    while std::io::Write::write_all(&mut file, &noise)
        .and_then(|()| file.sync_data())
        .is_ok()
    {}
    drop(file);
    let plugins = host.plugins(BUSYBOX);
    let outcome = host.carry_out(&plugins, &reconcile::plan(&plugins).unwrap());
    assert!(
        matches!(outcome, reconcile::Outcome::RolledBack { .. }),
        "{outcome:?}"
    );
    fs::remove_file(&filler).unwrap();
    run("btrfs", &["filesystem", "sync", text(&host.base)]);
    assert_eq!(names(&host.base.join("@templates")), [""; 0]);
    host.apply(BUSYBOX);
}
