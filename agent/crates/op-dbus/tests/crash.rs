//! Killed at every moment: the next run says what it found, ends converged, and the ledger holds.

#![allow(clippy::unwrap_used)]

mod rig;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rig::Rig;

/// Alternating goals, so that each run has work of every kind: creating, changing and removing.
fn declare(rig: &Rig, goal: usize) {
    match goal % 2 {
        0 => rig.declare_house(&[("web-01", 11)]),
        _ => rig.declare_house(&[("web-02", 12)]),
    }
}

const APPLY: [&str; 3] = ["--json", "apply", "--allow-destroy"];

fn apply(rig: &Rig) -> Command {
    let mut command = rig.command(&APPLY);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// After a kill: the next apply recovers what it finds, and then all is well.
#[track_caller]
fn recover(rig: &Rig, moment: &str) {
    let ended = rig.json(&["apply", "--allow-destroy"]);
    assert_eq!(ended.status, 0, "after a kill {moment}: {ended:?}");
    rig.assert_converged();
    // What is kept of the host is whole, and that of its last change.
    let kept = std::fs::read(rig.base.join("@state/current-state.json")).unwrap();
    let kept: serde_json::Value = serde_json::from_slice(&kept).unwrap();
    let head = rig.ledger(&[]).pop().unwrap();
    assert_eq!(
        kept["ledger"]["hash"], head["current_hash"],
        "after a kill {moment}"
    );
    let leftovers: Vec<_> = ["@templates", "@containers", "."]
        .iter()
        .flat_map(|place| lab::names(&rig.base.join(place)))
        .filter(|name| name.starts_with('.'))
        .collect();
    assert!(leftovers.is_empty(), "after a kill {moment}: {leftovers:?}");
}

/// The program is killed when it asks for the nth sync to disk: these are the boundaries of the journal and
/// of the ledger. Its children are not traced: the containers among them live on.
#[test]
fn killed_at_every_sync() {
    if !lab::has("strace") {
        return lab::skip("needs strace");
    }
    let Some(rig) = Rig::with_lxc(1024) else {
        return;
    };
    let mut kills = 0;
    for nth in 1.. {
        declare(&rig, nth);
        let survived = rig.killed_at(&[], "fdatasync,fsync", nth, &APPLY);
        recover(&rig, &format!("at sync {nth}"));
        if survived {
            break;
        }
        kills += 1;
    }
    println!("{kills} kills at syncs");
    assert!(kills >= 10, "only {kills}");
}

/// The program is killed at moments spread over the time that it takes.
#[test]
fn killed_at_any_time() {
    let Some(rig) = Rig::with_lxc(1024) else {
        return;
    };
    let mut length = Duration::ZERO;
    for goal in 0..2 {
        declare(&rig, goal);
        let start = Instant::now();
        assert!(apply(&rig).status().unwrap().success());
        length = length.max(start.elapsed());
    }
    let mut kills = 0;
    for round in 0..50_u32 {
        declare(&rig, round as usize);
        let mut child = apply(&rig).spawn().unwrap();
        // Fractions of the golden ratio cover the span evenly and never repeat.
        let moment = length.mul_f64((f64::from(round) * 0.618_033_988_75).fract());
        std::thread::sleep(moment);
        match child.try_wait().unwrap() {
            None => kills += 1,
            // The machine has less to do than when the span was taken.
            Some(_) => length = (length + moment) / 2,
        }
        let _ = child.kill();
        child.wait().unwrap();
        recover(&rig, &format!("after {moment:?}"));
    }
    println!("{kills} kills within {length:?}");
    assert!(kills >= 25, "only {kills} of 50 runs were still going");
}
