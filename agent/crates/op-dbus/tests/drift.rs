//! The daemon and drift: what is mended at once, what is only told, and what is left alone.

mod rig;

use std::time::{Duration, Instant};

use lab::run;
use rig::Rig;
use rig::daemon::Daemon;
use serde_json::{Value, json};

/// When a wait is given up. How soon drift is mended is printed, and measured by the bench: a test may run on a machine
/// that has much else to do.
const SOON: Duration = Duration::from_secs(60);

fn converged(host: &Value) -> bool {
    host["state"] == "converged"
}

/// Does something to the host, and waits until the daemon has mended it and is done with that.
#[track_caller]
fn mends(daemon: &Daemon, what: &str, damage: impl FnOnce(), whole: impl Fn() -> bool) {
    let before = daemon.wait_until(
        "the host is as declared",
        Duration::from_secs(30),
        converged,
    );
    assert!(whole(), "{what}: it was not there to begin with");
    damage();
    let begun = Instant::now();
    lab::wait_for(what, SOON, || whole().then_some(()));
    println!("{what}: mended after {} ms", begun.elapsed().as_millis());
    // As long as its run goes on, it says what it found before.
    daemon.wait_until("the end of the run", SOON, |host| {
        converged(host) && host["mended"].as_u64() > before["mended"].as_u64()
    });
}

#[test]
fn everything_that_drifts_is_mended_soon() {
    let Some(rig) = Rig::with_lxc(512) else {
        return;
    };
    rig.declare_house(&[("web", 11)]);
    let daemon = Daemon::start(&rig);
    // The first look makes everything.
    daemon.wait_until("the first look", Duration::from_secs(30), converged);
    rig.json(&["--here", "verify"]).expect(0);
    let bridge = rig.ovs();
    mends(
        &daemon,
        "a port",
        || drop(bridge.vsctl(&["del-port", "sock_web"])),
        || bridge.vsctl(&["list-ports", "br0"]).contains("sock_web"),
    );
    mends(
        &daemon,
        "a flow",
        || drop(bridge.ofctl(&["del-flows", "br0", "table=10,ip"])),
        || {
            bridge
                .ofctl(&["dump-flows", "br0", "table=10"])
                .contains("nw_dst=10.7.0.11")
        },
    );
    let containers = rig.base.join("@containers");
    let containers = containers.to_str().unwrap();
    let running =
        || run("lxc-info", &["-P", containers, "-n", "web", "-s", "-H"]).contains("RUNNING");
    mends(
        &daemon,
        "a container",
        || drop(run("lxc-stop", &["-P", containers, "-n", "web", "-k"])),
        running,
    );
    // It is not enough that it runs: a switch in user space has to take its new link in.
    assert_eq!(
        rig.exec("web", &["ping", "-c", "1", "-W", "2", "10.7.0.1"])
            .status,
        0
    );
    let cache = rig.base.join("@cache");
    mends(
        &daemon,
        "a subvolume",
        || {
            drop(run(
                "btrfs",
                &["subvolume", "delete", cache.to_str().unwrap()],
            ))
        },
        || cache.exists(),
    );
    let entries = rig.ledger(&[]);
    let doors: Vec<_> = entries
        .iter()
        .filter(|entry| entry["operation"] == "state_apply")
        .map(|entry| entry["metadata"]["actor"]["door"].as_str().unwrap())
        .collect();
    assert!(
        doors.len() >= 4 && doors.iter().all(|door| *door == "daemon"),
        "{doors:?}"
    );
    rig.json(&["ledger", "verify"]).expect(0);
}

#[test]
fn in_observe_drift_is_told_and_left() {
    let Some(rig) = Rig::storage(512) else { return };
    rig.declare("");
    rig.apply();
    rig.declare_top("reconcile: observe\n", "");
    let daemon = Daemon::start(&rig);
    daemon.wait_until("the first look", SOON, converged);
    let entries = rig.ledger(&[]).len();
    let cache = rig.base.join("@cache");
    run("btrfs", &["subvolume", "delete", cache.to_str().unwrap()]);
    let host = daemon.wait_until("the drift", SOON, |host| host["state"] == "drifted");
    assert_eq!(host["drift"], json!(["btrfs/@cache"]));
    assert!(!cache.exists());
    assert_eq!(rig.ledger(&[]).len(), entries);
    // A change of mind is a change of the declaration.
    rig.declare("");
    daemon.wait_until("the mending", SOON, converged);
    assert!(cache.exists());
}

#[test]
fn what_does_not_stay_mended_is_left_alone_for_a_while() {
    let Some(rig) = Rig::storage(512) else { return };
    rig.declare("");
    let daemon = Daemon::start(&rig);
    let cache = rig.base.join("@cache");
    let delete = || run("btrfs", &["subvolume", "delete", cache.to_str().unwrap()]);
    let mut host = daemon.wait_until("the first look", SOON, converged);
    let mut deleted = 0;
    while host["state"] != "held" {
        delete();
        deleted += 1;
        let mended = host["mended"].as_u64();
        host = daemon.wait_until("the subvolume, or patience", SOON, |host| {
            host["state"] == "held" || converged(host) && host["mended"].as_u64() > mended
        });
    }
    // It was made once already. The first pause has five seconds: if nobody looked within them, all begins anew.
    assert_eq!(deleted % 4, 0, "{host:#}");
    assert!(host["backed_off"]["btrfs/@cache"].is_u64(), "{host:#}");
    assert!(
        host["text"]
            .as_str()
            .unwrap()
            .contains("does not stay mended")
    );
    assert!(!cache.exists());
    // Others are still looked after, and SIGHUP gives it another chance.
    let state = rig.base.join("@snapshots");
    run("btrfs", &["subvolume", "delete", state.to_str().unwrap()]);
    lab::wait_for("the other one", SOON, || state.exists().then_some(()));
    daemon.signal(rustix::process::Signal::HUP);
    lab::wait_for("another chance", SOON, || cache.exists().then_some(()));
}

#[test]
fn what_would_destroy_is_left_to_people() {
    let Some(rig) = Rig::storage(512) else { return };
    rig.declare("");
    let file = rig.base.display().to_string();
    std::fs::write(
        &rig.file,
        format!("version: \"1.0\"\nplugins: {{btrfs: {{base: {file}, subvolumes: {{\"@extra\": {{}}}}}}}}\n"),
    )
    .unwrap();
    let daemon = Daemon::start(&rig);
    daemon.wait_until("the first look", SOON, converged);
    std::fs::write(rig.base.join("@extra/file"), "data").unwrap();
    rig.declare("");
    let host = daemon.wait_until("what is left", SOON, |host| host["state"] == "held");
    assert_eq!(host["drift"], json!(["btrfs/@extra"]));
    assert!(rig.base.join("@extra/file").exists());
    // By hand, through the daemon, it goes.
    rig.json(&["apply"]).expect(3);
    rig.json(&["apply", "--allow-destroy"]).expect(0);
    daemon.wait_until("peace", SOON, converged);
    assert!(!rig.base.join("@extra").exists());
}

#[test]
fn a_bad_declaration_changes_nothing_and_is_told() {
    let Some(rig) = Rig::storage(512) else { return };
    rig.declare("");
    let mut daemon = Daemon::start(&rig);
    daemon.wait_until("the first look", SOON, converged);
    rig.declare("  ovs: {bridges: {br0: {datapath: nonesuch}}}\n");
    let host = daemon.wait_until("the bad news", SOON, |host| host["state"] == "undeclared");
    assert!(
        host["text"].as_str().unwrap().contains("nonesuch"),
        "{host:#}"
    );
    std::fs::remove_file(&rig.file).unwrap();
    daemon.wait_until("the worse news", SOON, |host| {
        host["text"]
            .as_str()
            .unwrap()
            .contains("there is no declaration")
    });
    rig.declare("");
    daemon.wait_until("the good news", SOON, converged);
    println!("ended after {:?}", daemon.terminate());
    assert!(!daemon.jsonrpc.exists() && !daemon.api.exists());
}

#[test]
fn the_command_line_goes_through_the_daemon_and_says_so() {
    let Some(rig) = Rig::storage(512) else { return };
    rig.declare("");
    let daemon = Daemon::start(&rig);
    daemon.wait_until("the first look", Duration::from_secs(30), converged);
    lab::wait_for("the API socket", SOON, || daemon.api.exists().then_some(()));
    let applied = rig.run(&["-v", "apply"]).expect(0);
    assert!(
        applied
            .err
            .contains(&format!("through op-dbusd (process {})", daemon.id())),
        "{applied:?}"
    );
    assert!(
        !rig.run(&["-v", "--here", "apply"])
            .expect(0)
            .err
            .contains("op-dbusd")
    );
    // The same words, the same JSON.
    for command in [
        &["plan"][..],
        &["verify"],
        &["query", "btrfs"],
        &["container", "list"],
        &["tool", "list"],
        &["ledger", "log"],
    ] {
        let mut here = vec!["--here"];
        here.extend(command);
        let (here, there) = (
            rig.json(&here).expect(0).json(),
            rig.json(command).expect(0).json(),
        );
        assert_eq!(here, there, "{command:?}");
    }
    // A second one does not take its place.
    for socket in [
        daemon.jsonrpc.clone(),
        rig.machine.dir().join("second.sock"),
    ] {
        let second = rig
            .run(&["daemon", "--no-bus", "--jsonrpc", socket.to_str().unwrap()])
            .expect(3);
        assert!(
            second.err.contains("a daemon keeps this host"),
            "{second:?}"
        );
    }
    // Another declaration is another matter.
    let other = rig.machine.dir().join("other.yaml");
    std::fs::copy(&rig.file, &other).unwrap();
    let text = rig::op_dbus(&["-v", "--file", other.to_str().unwrap(), "plan"]).expect(0);
    assert!(!text.err.contains("op-dbusd"), "{text:?}");
}

#[test]
fn a_window_whose_guard_was_killed_is_undone_by_the_daemon() {
    let Some(rig) = Rig::storage(512) else { return };
    rig.declare("");
    rig.apply();
    let text = std::fs::read_to_string(&rig.file).unwrap();
    let more = text.replace("{base: ", "{subvolumes: {\"@extra\": {}}, base: ");
    std::fs::write(&rig.file, &more).unwrap();
    let waiting = rig.json(&["apply", "--confirm", "3s"]).expect(0).json();
    let run_id = waiting["run"].as_str().unwrap();
    lab::run("pkill", &["-KILL", "-f", &format!("guard {run_id}")]);
    let daemon = Daemon::start(&rig);
    let soon = SOON;
    daemon.wait_until("the undone run", soon, |host| host["state"] == "held");
    assert!(!rig.base.join("@extra").exists());
}

#[test]
fn what_fails_is_tried_again_ever_later_whatever_its_own_changes_tell() {
    let Some(rig) = Rig::storage(512) else { return };
    rig.declare("");
    rig.apply();
    // The template cannot be built, and what comes with it is made and undone each time.
    let text = std::fs::read_to_string(&rig.file).unwrap();
    let more = text.replace("{base: ", "{subvolumes: {\"@extra\": {}}, base: ");
    let broken = "  lxc: {templates: {t: {recipe: tarball, path: /nonexistent.tar, sha256: \"0000000000000000000000000000000000000000000000000000000000000000\"}}}\n";
    std::fs::write(&rig.file, more + broken).unwrap();
    let daemon = Daemon::start(&rig);
    daemon.wait_until("the failure", SOON, |host| host["state"] == "failing");
    let entries = || rig.ledger(&["--operation", "apply_rolled_back"]);
    let failed = lab::wait_for("the second failure", SOON, || {
        Some(entries()).filter(|entries| entries.len() > 1)
    });
    let at = |entry: &Value| entry["timestamp"].as_i64().unwrap();
    // The first pause has five seconds, and the ledger whole ones.
    let pause = at(&failed[1]) - at(&failed[0]);
    assert!(pause >= 4, "{pause} s");
    // News from people are looked at at once.
    rig.declare("");
    daemon.wait_until("the good news", SOON, converged);
}
