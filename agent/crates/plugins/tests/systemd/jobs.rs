//! Jobs are followed to their end, and how they end is told.

use std::time::{Duration, Instant};

use plugins::systemd::{Action, Manager, UnitError};

use crate::fixture::Host;

const FAILS: &str =
    "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nExecStart=/bin/sh -c 'exit 3'\n";
const ENDS: &str = "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nExecStart=/bin/true\n";
const NEVER: &str = "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nTimeoutStartSec=1h\nExecStart=/bin/sleep 1h\n";
const SLOW: &str = "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sleep 1\n";

#[test]
fn a_job_that_fails_is_told_with_its_reason_and_the_unit_goes_back() {
    let Some(host) = Host::new() else { return };
    host.systemd.unit("fails.service", FAILS);
    let text = host.fail("fails.service: {active: true}, web.service: {active: true}");
    assert!(
        text.contains("start of fails.service ended as `failed`"),
        "{text}"
    );
    assert!(text.contains("exit status 3"), "{text}");
    assert_eq!(host.active("web.service"), "inactive");
}

#[test]
fn a_unit_that_ends_cannot_be_kept_active() {
    let Some(host) = Host::new() else { return };
    host.systemd.unit("ends.service", ENDS);
    let text = host.fail("ends.service: {active: true}");
    assert!(text.contains("cannot be kept active"), "{text}");
}

#[test]
fn a_slow_job_is_waited_for() {
    let Some(host) = Host::new() else { return };
    host.systemd.unit("slow.service", SLOW);
    host.apply("slow.service: {active: true}");
    assert_eq!(host.active("slow.service"), "active");
}

#[test]
fn whoever_does_not_want_a_job_any_more_is_let_go() {
    let Some(host) = Host::new() else { return };
    host.systemd.unit("never.service", NEVER);
    let begun = Instant::now();
    let wanted = || begun.elapsed() < Duration::from_millis(500);
    let manager = Manager::connect().unwrap();
    let result = manager.run(Action::Start, "never.service", &wanted);
    assert!(matches!(result, Err(UnitError::Unwanted)), "{result:?}");
    assert!(begun.elapsed() < Duration::from_secs(5));
    let is_there = || {
        let jobs = Manager::connect().unwrap().jobs().unwrap();
        jobs.iter().any(|job| job.unit == "never.service")
    };
    assert!(is_there());
    host.systemd.systemctl(&["stop", "never.service"]);
    assert!(!is_there());
    // A job that is cancelled by somebody else ends with that word.
    let asker = std::thread::spawn(move || manager.run(Action::Start, "never.service", &|| true));
    lab::wait_for("the job", Duration::from_secs(60), || {
        is_there().then_some(())
    });
    host.systemd.systemctl(&["stop", "never.service"]);
    let error = asker.join().unwrap().unwrap_err().to_string();
    assert!(error.contains("`canceled`"), "{error}");
}

#[test]
fn many_units_are_changed_side_by_side() {
    let Some(host) = Host::new() else { return };
    let names: Vec<_> = (0..20).map(|n| format!("many{n}.service")).collect();
    for name in &names {
        let path = host.systemd.root().join("etc/systemd/system").join(name);
        std::fs::write(path, crate::fixture::STAYS).unwrap();
    }
    host.systemd.systemctl(&["daemon-reload"]);
    let units: Vec<_> = names
        .iter()
        .map(|name| format!("{name}: {{active: true, enabled: true}}"))
        .collect();
    host.apply(&units.join(", "));
    for name in &names {
        assert_eq!(host.active(name), "active");
    }
}
