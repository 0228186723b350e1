//! A run that fails puts units back as they were; doing a change twice is doing it once.

use plugins::SystemdPlugin;
use reconcile::{Context, Direction, Plugin};

use crate::fixture::{Host, STAYS, declare};

#[test]
fn what_was_started_and_enabled_is_stopped_and_disabled() {
    let Some(host) = Host::new() else { return };
    host.apply_and_fail("web.service: {active: true, enabled: true}");
    assert_eq!(host.active("web.service"), "inactive");
    assert_eq!(host.enabled("web.service"), "disabled");
}

#[test]
fn what_was_stopped_disabled_and_masked_runs_again() {
    let Some(host) = Host::new() else { return };
    let vendor = host
        .systemd
        .root()
        .join("lib/systemd/system/vendor.service");
    std::fs::write(vendor, STAYS).unwrap();
    host.systemd.systemctl(&["daemon-reload"]);
    host.apply("vendor.service: {active: true, enabled: true, masked: false}");
    host.apply_and_fail("vendor.service: {active: false, enabled: false, masked: true}");
    assert_eq!(host.active("vendor.service"), "active");
    assert_eq!(host.enabled("vendor.service"), "enabled");
}

#[test]
fn what_was_enabled_until_the_next_start_is_so_again() {
    let Some(host) = Host::new() else { return };
    host.systemd
        .systemctl(&["enable", "--runtime", "web.service"]);
    host.apply_and_fail("web.service: {enabled: true}");
    assert_eq!(host.enabled("web.service"), "enabled-runtime");
}

#[test]
fn a_change_and_its_inverse_can_be_done_twice() {
    let Some(host) = Host::new() else { return };
    let units = "web.service: {active: true, enabled: true}";
    let plan = host.plan(units).unwrap();
    let plugin = SystemdPlugin::new(&declare(units));
    let apply = |change: &reconcile::Change, direction| {
        let context = Context {
            run: "r1",
            direction,
            progress: &|_| {},
        };
        plugin.apply(&[change], &context).unwrap();
    };
    for _ in 0..2 {
        apply(&plan.changes[0], Direction::Forward);
        assert_eq!(host.active("web.service"), "active");
    }
    for _ in 0..2 {
        apply(&plan.changes[0].inverse(), Direction::Undo);
        assert_eq!(host.active("web.service"), "inactive");
        assert_eq!(host.enabled("web.service"), "disabled");
    }
}
