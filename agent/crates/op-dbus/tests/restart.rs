//! A container is restarted: by command, beside the daemon, and by a daemon that is killed in the middle of it.

#![allow(clippy::unwrap_used)]

mod rig;

use std::time::Duration;

use rig::Rig;
use rig::daemon::Daemon;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(60);

/// What LXC says of a container: `-p` the process id of its init, `-s` its state.
fn lxc(rig: &Rig, name: &str, what: &str) -> String {
    let path = rig.base.join("@containers");
    let said = lab::output(
        "lxc-info",
        &["-P", path.to_str().unwrap(), "-n", name, "-H", what],
    );
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

fn signal(pid: &str, signal: Signal) {
    kill_process(Pid::from_raw(pid.parse().unwrap()).unwrap(), signal).unwrap();
}

/// The child of a process that runs a program.
fn child(parent: i32, program: &str) -> Option<String> {
    let line = format!("PPid:\t{parent}");
    let is_it = |pid: &String| {
        let about = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}"));
        about("comm").is_ok_and(|comm| comm.trim() == program)
            && about("status").is_ok_and(|status| status.lines().any(|told| told == line))
    };
    let processes = std::fs::read_dir("/proc").unwrap();
    let mut names = processes.filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    names.find(is_it)
}

fn mac(rig: &Rig) -> String {
    let link = rig.exec("web-01", &["cat", "/sys/class/net/eth0/address"]);
    link.expect(0).out
}

/// Operation and outcome of each entry about a container.
fn told(rig: &Rig, target: &str) -> Vec<String> {
    let entries = rig.ledger(&["--target", target]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let said = |entry: &Value| {
        format!(
            "{} {}",
            text(&entry["operation"]),
            text(&entry["metadata"]["outcome"])
        )
    };
    entries.iter().map(said).collect()
}

#[test]
fn it_has_another_init_and_the_same_address() {
    let Some(rig) = Rig::with_lxc(1024) else {
        return;
    };
    rig.declare_house(&[("web-01", 11)]);
    rig.apply();
    let (init, before) = (lxc(&rig, "web-01", "-p"), mac(&rig));
    let shown = rig
        .json(&[
            "tool",
            "call",
            "container_restart",
            r#"{"name":"web-01"}"#,
            "--dry-run",
        ])
        .expect(0)
        .json();
    let note = shown["notes"][0]["text"].as_str().unwrap();
    assert!(note.contains("down in between"), "{shown:#}");
    let changed = rig
        .json(&["container", "restart", "web-01"])
        .expect(0)
        .json();
    assert_eq!(changed["outcome"], "applied", "{changed:#}");
    assert_eq!(changed["plan_hash"], shown["plan_hash"]);
    assert_ne!(lxc(&rig, "web-01", "-p"), init);
    assert_eq!(mac(&rig), before);
    rig.apply();
    rig.assert_converged();
    let ping = rig.exec("web-01", &["ping", "-c", "1", "-W", "5", "10.7.0.1"]);
    assert_eq!(ping.status, 0, "{ping:?}");
    // What was shown is over: another restart is another plan.
    let hash = shown["plan_hash"].as_str().unwrap();
    rig.json(&[
        "tool",
        "call",
        "container_restart",
        r#"{"name":"web-01"}"#,
        "--plan",
        hash,
    ])
    .expect(3);
    // There is no way back to an earlier init, and nothing to take back.
    let run = changed["run"].as_str().unwrap();
    let init = lxc(&rig, "web-01", "-p");
    rig.json(&["--yes", "rollback", run]).expect(0);
    assert_eq!(lxc(&rig, "web-01", "-p"), init);
    rig.json(&["container", "restart", "nobody"]).expect(2);
    assert_eq!(
        told(&rig, "web-01"),
        [
            "container_create done",
            "container_update done",
            "container_restart done",
            "container_restart refused",
        ]
    );
}

#[test]
fn one_that_does_not_run_is_started_and_what_is_declared_is_said() {
    let Some(rig) = Rig::with_lxc(1024) else {
        return;
    };
    rig.declare_house(&[("web-01", 11)]);
    rig.apply();
    // Stopping what is declared to run does not last, and its plan says so.
    let stop = ["tool", "call", "container_stop", r#"{"name":"web-01"}"#];
    let shown = rig
        .json(&[&stop[..], &["--dry-run"]].concat())
        .expect(0)
        .json();
    let note = shown["notes"][0]["text"].as_str().unwrap();
    assert!(
        note.contains("the daemon starts it again") && note.contains("declare `running: false`"),
        "{shown:#}"
    );
    let stopped = rig.run(&["container", "stop", "web-01"]).expect(0);
    assert!(
        stopped.err.contains("declare `running: false`"),
        "{stopped:?}"
    );
    assert_eq!(lxc(&rig, "web-01", "-s"), "STOPPED");
    // A restart starts it, which is as declared.
    let restarted = rig.run(&["container", "restart", "web-01"]).expect(0);
    assert!(!restarted.err.contains("declare"), "{restarted:?}");
    assert_eq!(lxc(&rig, "web-01", "-s"), "RUNNING");
    rig.apply();
    rig.assert_converged();
    // One that was made by command, and stopped, stays started.
    rig.json(&["container", "create", "db-01", "--network", "socket"])
        .expect(0);
    let stopped = rig.run(&["container", "stop", "db-01"]).expect(0);
    assert!(!stopped.err.contains("declare"), "{stopped:?}");
    rig.json(&["container", "restart", "db-01"]).expect(0);
    rig.apply();
    rig.assert_converged();
    assert_eq!(lxc(&rig, "db-01", "-s"), "RUNNING");
}

#[test]
fn the_daemon_keeps_out_of_it_and_a_new_one_ends_what_a_killed_one_began() {
    let Some(rig) = Rig::with_lxc(1024) else {
        return;
    };
    rig.declare_house(&[("web-01", 11)]);
    let mut daemon = Daemon::start(&rig);
    let converged = |host: &Value| host["state"] == "converged";
    daemon.wait_until("the first look", SOON, converged);
    let restart = json!({ "name": "container_restart", "arguments": { "name": "web-01" } });
    let answer = daemon.connect().request("tools.call", restart.clone());
    assert_eq!(answer["result"]["outcome"], "applied", "{answer:#}");
    let init = lxc(&rig, "web-01", "-p");
    daemon.wait_until("the host after the restart", SOON, converged);
    assert_eq!(lxc(&rig, "web-01", "-p"), init);
    assert_eq!(
        told(&rig, "web-01"),
        [
            "container_create done",
            "container_update done",
            "container_restart done",
        ]
    );
    // A container that hears nothing holds the restart where it stops.
    signal(&init, Signal::STOP);
    let mut line = daemon.connect();
    line.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools.call", "params": restart }));
    let stopping = lab::wait_for("the stop", SOON, || child(daemon.id(), "lxc-stop"));
    daemon.signal(Signal::KILL);
    daemon.child.wait().unwrap();
    signal(&stopping, Signal::KILL);
    signal(&init, Signal::KILL);
    lab::wait_for("the container is stopped", SOON, || {
        (lxc(&rig, "web-01", "-s") == "STOPPED").then_some(())
    });
    let daemon = Daemon::start(&rig);
    daemon.wait_until("the host after the crash", SOON, converged);
    assert_eq!(lxc(&rig, "web-01", "-s"), "RUNNING");
    let interrupted = rig.ledger(&["--operation", "apply_interrupted"]);
    assert_eq!(interrupted.len(), 1, "{interrupted:#?}");
    rig.json(&["ledger", "verify"]).expect(0);
}
