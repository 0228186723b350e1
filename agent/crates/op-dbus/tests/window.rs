//! The confirm window: what touches the management path undoes itself unless somebody keeps it.

#![allow(clippy::unwrap_used)]

mod rig;

use std::process::Stdio;
use std::time::Duration;

use lab::{plug_in, run, wait_for};
use rig::{Ended, Rig};

const LONG: Duration = Duration::from_secs(30);

#[test]
fn the_link_of_the_default_route_is_under_a_window_without_asking() {
    let Some(rig) = Rig::whole(256) else { return };
    plug_in();
    rig.declare("");
    assert_eq!(rig.apply()["outcome"], "applied");
    let before = run("ip", &["route"]);
    rig.declare(&rig.uplink());
    let waiting = rig.json(&["apply"]).expect(0).json();
    assert_eq!(waiting["outcome"], "awaiting-confirmation", "{waiting:#}");
    assert!(run("ip", &["route"]).contains("default via 192.0.2.1 dev br0"));
    // Nothing else runs before the answer, and a refused run is on record.
    rig.json(&["apply"]).expect(3);
    rig.json(&["confirm"]).expect(0);
    rig.assert_converged();
    // Taking it off again touches the same path; with the window turned off it is done at once.
    rig.declare(&format!(
        "  ovs: {{run_dir: {}, bridges: {{}}}}\n",
        rig.ovs().run_dir().display()
    ));
    assert_eq!(
        rig.json(&["apply", "--confirm", "0"]).expect(0).json()["outcome"],
        "applied"
    );
    assert_eq!(run("ip", &["route"]), before);
    rig.assert_converged();
}

#[test]
fn without_an_answer_it_is_undone() {
    let Some(rig) = Rig::whole(256) else { return };
    plug_in();
    rig.declare("");
    rig.apply();
    let before = run("ip", &["route"]);
    rig.declare(&rig.uplink());
    rig.json(&["apply", "--confirm", "1s"]).expect(0);
    rig.wait_for_guard();
    assert_eq!(rig.ovs().bridges(), "");
    assert_eq!(run("ip", &["route"]), before);
    rig.json(&["confirm"]).expect(3);
    assert_eq!(rig.ledger(&["--operation", "apply_rolled_back"]).len(), 1);
}

#[test]
fn one_that_waits_for_the_answer_says_how_it_ended() {
    let Some(rig) = Rig::whole(256) else { return };
    plug_in();
    rig.declare("");
    rig.apply();
    rig.declare(&rig.uplink());
    let undone = rig.json(&["apply", "--confirm", "1s", "--wait"]).expect(1);
    assert_eq!(undone.json()["outcome"], "rolled-back");
    assert_eq!(rig.ovs().bridges(), "");
    let waiting = rig
        .command(&["--json", "apply", "--wait"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("the window is open", LONG, || {
        let journal = std::fs::read_to_string(rig.beside(".journal")).ok()?;
        journal.contains("\"record\":\"awaiting\"").then_some(())
    });
    wait_for("it is confirmed", LONG, || {
        (rig.json(&["confirm"]).status == 0).then_some(())
    });
    let kept = Ended::of(waiting).expect(0);
    assert!(kept.out.contains("\"applied\""), "{kept:?}");
    rig.assert_converged();
}

#[test]
fn a_killed_run_is_undone_by_its_guard() {
    let Some(rig) = Rig::with_lxc(1024) else {
        return;
    };
    rig.declare("");
    rig.apply();
    rig.declare_house(&[("web-01", 11)]);
    let mut child = rig
        .command(&["apply", "--confirm", "60s"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("the first changes are done", LONG, || {
        let journal = std::fs::read_to_string(rig.beside(".journal")).ok()?;
        journal.contains("\"record\":\"done\"").then_some(())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    rig.wait_for_guard();
    assert_eq!(rig.ovs().bridges(), "");
    assert!(!rig.base.join("@containers/web-01").exists());
    rig.json(&["apply", "--confirm", "0"]).expect(0);
    rig.assert_converged();
}

#[test]
fn what_nobody_confirmed_a_daemon_leaves_alone() {
    let Some(rig) = Rig::storage(256) else { return };
    rig.declare("");
    rig.apply();
    rig.run(&["--base", rig.base.to_str().unwrap(), "ledger", "verify"])
        .expect(0);
    let text = std::fs::read_to_string(&rig.file).unwrap();
    let more = text.replace("{base: ", "{subvolumes: {\"@extra\": {}}, base: ");
    std::fs::write(&rig.file, &more).unwrap();
    let waiting = rig.json(&["apply", "--confirm", "10s"]).expect(0).json();
    assert_eq!(waiting["outcome"], "awaiting-confirmation", "{waiting:#}");
    let daemon = rig::daemon::Daemon::start(&rig);
    let soon = std::time::Duration::from_secs(60);
    daemon.wait_until("the open window", soon, |host| host["state"] == "awaiting");
    let host = daemon.wait_until("the undone run", soon, |host| host["state"] == "held");
    assert!(
        host["text"]
            .as_str()
            .unwrap()
            .contains("nobody confirmed it"),
        "{host:#}"
    );
    assert!(!rig.base.join("@extra").exists());
    // Not even when something else happens.
    std::fs::write(&rig.file, format!("{more}# the same\n")).unwrap();
    daemon.signal(rustix::process::Signal::HUP);
    let again = daemon.host();
    assert_eq!(again["state"], "held");
    // Asked for by hand it is done.
    rig.json(&["apply"]).expect(0);
    daemon.wait_until("peace", soon, |host| host["state"] == "converged");
    assert!(rig.base.join("@extra").exists());
}

#[test]
fn a_run_that_waits_is_taken_back_at_once() {
    let Some(rig) = Rig::storage(256) else { return };
    rig.declare("");
    let waiting = rig.json(&["apply", "--confirm", "1h"]).expect(0).json();
    assert_eq!(waiting["outcome"], "awaiting-confirmation", "{waiting:#}");
    assert_eq!(
        rig.json(&["status"]).expect(0).json()["awaiting"]["run"],
        waiting["run"]
    );
    let undone = rig.json(&["rollback"]).expect(0).json();
    assert_eq!(undone["run"], waiting["run"]);
    rig.json(&["rollback"]).expect(3);
    rig.json(&["verify"]).expect(1);
}
