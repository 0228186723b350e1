//! A container that runs is stopped and started.

use std::fs;

use lab::wait_for;
use reconcile::{Context, Direction, Outcome, plan};
use rustix::process::{Pid, Signal, kill_process};

use crate::fixture::{Host, steps, with, with_a};

#[test]
fn another_init_runs_and_nothing_else_is_another() {
    let Some(host) = Host::new() else { return };
    let lxc = with("a: {template: busybox, memory: 64MiB, address: 10.0.0.11/24}");
    host.apply(&lxc);
    host.ask("a", &["sh", "-c", "echo kept > /root/data; sync"]);
    let link = || host.ask("a", &["ip", "address", "show", "dev", "eth0"]);
    let config = || fs::read_to_string(host.container("a").join("config")).unwrap();
    let told = |link: String| -> Vec<String> {
        let lines = link.lines().map(str::trim);
        let lines = lines.filter(|line| line.starts_with("link/") || line.starts_with("inet "));
        lines
            .map(|line| line.replace(" link-netnsid 0", ""))
            .collect()
    };
    let (init, before, written) = (host.init("a"), told(link()), config());
    assert_eq!(before.len(), 2, "{before:?}");
    let plugins = host.restarting(&lxc, "a");
    let restart = plan(&plugins).unwrap();
    assert_eq!(steps(&restart), ["update container:a"]);
    assert_eq!(restart.changes[0].before["init"], init);
    assert!(
        restart.notes[0].text.contains("30 s to stop"),
        "{:?}",
        restart.notes
    );
    assert_eq!(host.carry_out(&plugins, &restart), Outcome::Applied);
    assert_ne!(host.init("a"), init);
    assert_eq!((told(link()), config()), (before, written));
    assert_eq!(host.ask("a", &["cat", "/root/data"]).trim(), "kept");
    assert_eq!(steps(&host.plan(&lxc).unwrap()), [""; 0]);
    // It was for once; another one is another plan.
    assert_eq!(steps(&plan(&plugins).unwrap()), [""; 0]);
    let next = plan(&host.restarting(&lxc, "a")).unwrap();
    assert_ne!(next.hash(), restart.hash());
}

#[test]
fn one_that_does_not_run_is_started() {
    let Some(host) = Host::new() else { return };
    host.apply(&with_a(", running: false"));
    let plugins = host.restarting(&with_a(""), "a");
    let start = plan(&plugins).unwrap();
    assert_eq!(start, host.plan(&with_a("")).unwrap());
    assert_eq!(host.carry_out(&plugins, &start), Outcome::Applied);
    assert_eq!(host.state("a"), "RUNNING");
}

#[test]
fn one_that_does_not_stop_is_killed_and_started() {
    let Some(host) = Host::new() else { return };
    host.apply(&with_a(""));
    let init = host.init("a");
    // It hears nothing more.
    kill_process(Pid::from_raw(init.cast_signed()).unwrap(), Signal::STOP).unwrap();
    let plugins = host.restarting(&with_a(""), "a");
    let outcome = host.carry_out(&plugins, &plan(&plugins).unwrap());
    assert_eq!(outcome, Outcome::Applied);
    assert_ne!(host.init("a"), init);
    host.ask("a", &["true"]);
}

#[test]
fn done_twice_it_is_done_once_and_a_crash_in_between_is_mended() {
    let Some(host) = Host::new() else { return };
    host.apply(&with_a(""));
    let plugin = host.restarting(&with_a(""), "a").pop().unwrap();
    let plugins = host.restarting(&with_a(""), "a");
    let change = plan(&plugins).unwrap().changes.pop().unwrap();
    let apply = |change: &reconcile::Change, direction| {
        let context = Context {
            run: "r1",
            direction,
            progress: &|_| {},
        };
        plugin.apply(&[change], &context).unwrap();
    };
    apply(&change, Direction::Forward);
    let init = host.init("a");
    apply(&change, Direction::Forward);
    assert_eq!(host.init("a"), init);
    // There is no way back to the first init, and the one that runs is left alone.
    apply(&change.inverse(), Direction::Undo);
    assert_eq!(host.init("a"), init);
    // It was stopped when the program was killed: recovery takes back what was in flight.
    host.lxc("lxc-stop", "a", &["-k"]);
    wait_for(
        "the container stops",
        std::time::Duration::from_secs(10),
        || (host.state("a") == "STOPPED").then_some(()),
    );
    apply(&change.inverse(), Direction::Undo);
    assert_eq!(host.state("a"), "RUNNING");
    assert_eq!(steps(&host.plan(&with_a("")).unwrap()), [""; 0]);
}

#[test]
fn one_that_does_not_start_any_more_says_why_and_holds_nothing_up() {
    let Some(host) = Host::new() else { return };
    host.apply(&with_a(""));
    let init = host.container("a").join("rootfs/sbin/init");
    fs::rename(&init, init.with_extension("away")).unwrap();
    let plugins = host.restarting(&with_a(""), "a");
    match host.carry_out(&plugins, &plan(&plugins).unwrap()) {
        Outcome::RolledBack { error, undo_errors } => {
            assert!(
                error.contains("restart container a") && error.contains("stays stopped"),
                "{error}"
            );
            assert_eq!(undo_errors, [""; 0]);
        }
        outcome => panic!("{outcome:?}"),
    }
    assert_eq!(host.state("a"), "STOPPED");
    fs::rename(init.with_extension("away"), &init).unwrap();
    assert_eq!(steps(&host.apply(&with_a(""))), ["update container:a"]);
    assert_eq!(host.state("a"), "RUNNING");
}
