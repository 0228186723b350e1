//! Units are brought to their declared state, and nothing else of them is touched.

use crate::fixture::{Host, STAYS, steps};

#[test]
fn a_unit_is_started_and_enabled_and_stopped_and_disabled_again() {
    let Some(host) = Host::new() else { return };
    let on = "web.service: {active: true, enabled: true}";
    assert_eq!(steps(&host.apply(on)), ["update web.service"]);
    assert_eq!(host.active("web.service"), "active");
    assert_eq!(host.enabled("web.service"), "enabled");
    let off = "web.service: {active: false, enabled: false}";
    assert_eq!(steps(&host.apply(off)), ["update web.service"]);
    assert_eq!(host.active("web.service"), "inactive");
    assert_eq!(host.enabled("web.service"), "disabled");
}

#[test]
fn only_declared_facets_and_units_are_touched() {
    let Some(host) = Host::new() else { return };
    host.systemd.unit("other.service", STAYS);
    host.apply("web.service: {active: true}, other.service: {enabled: true}");
    assert_eq!(host.enabled("web.service"), "disabled");
    assert_eq!(host.active("other.service"), "inactive");
    // What is no longer declared stays as it is.
    assert_eq!(
        steps(&host.apply("other.service: {enabled: false}")),
        ["update other.service"]
    );
    assert_eq!(host.active("web.service"), "active");
}

#[test]
fn a_unit_is_masked_and_unmasked() {
    let Some(host) = Host::new() else { return };
    // A file of the administrator's own stands in the way of the mask.
    let text = host.fail("web.service: {masked: true}");
    assert!(
        text.contains("web.service") && text.contains("exists"),
        "{text}"
    );
    let vendor = host
        .systemd
        .root()
        .join("lib/systemd/system/vendor.service");
    std::fs::write(vendor, STAYS).unwrap();
    host.systemd.systemctl(&["daemon-reload"]);
    host.apply("vendor.service: {active: true}");
    host.apply("vendor.service: {active: false, masked: true}");
    assert_eq!(host.active("vendor.service"), "inactive");
    assert_eq!(host.enabled("vendor.service"), "masked");
    let text = host.refusal("vendor.service: {active: true, enabled: true}");
    assert!(text.contains("masked: false"), "{text}");
    host.apply("vendor.service: {active: true, enabled: true, masked: false}");
    assert_eq!(host.active("vendor.service"), "active");
    assert_eq!(host.enabled("vendor.service"), "enabled");
    // One that is not there can be masked before it comes.
    host.apply("later.service: {masked: true}");
    assert_eq!(host.enabled("later.service"), "masked");
}

#[test]
fn what_is_enabled_until_the_next_start_is_enabled_for_good() {
    let Some(host) = Host::new() else { return };
    host.systemd
        .systemctl(&["enable", "--runtime", "web.service"]);
    assert_eq!(host.enabled("web.service"), "enabled-runtime");
    host.apply("web.service: {enabled: true}");
    assert_eq!(host.enabled("web.service"), "enabled");
}

#[test]
fn a_unit_that_is_not_there_is_refused() {
    let Some(host) = Host::new() else { return };
    let text = host.refusal("nonsense.service: {active: true}");
    assert!(text.contains("there is no unit nonsense.service"), "{text}");
    let plan = host
        .plan("nonsense.service: {active: false, enabled: false}")
        .unwrap();
    assert!(plan.is_empty());
    assert!(
        plan.notes[0].text.contains("there is no unit"),
        "{:?}",
        plan.notes
    );
}

#[test]
fn a_unit_that_cannot_be_enabled_is_refused_with_the_reason() {
    let Some(host) = Host::new() else { return };
    host.systemd.unit(
        "static.service",
        "[Service]\nExecStart=/bin/sleep infinity\n",
    );
    let text = host.refusal("static.service: {enabled: true}");
    assert!(text.contains("no [Install] section"), "{text}");
    assert!(
        host.plan("static.service: {enabled: false}")
            .unwrap()
            .is_empty()
    );
}

#[test]
fn what_this_program_needs_is_not_stopped() {
    let Some(host) = Host::new() else { return };
    host.systemd.systemctl(&["start", "dbus.service"]);
    let text = host.refusal("dbus.service: {active: false}");
    assert!(
        text.contains("nothing could be asked of this host any more"),
        "{text}"
    );
    host.systemd.unit("op-dbusd.service", STAYS);
    let text = host.refusal("op-dbusd.service: {masked: true}");
    assert!(text.contains("nothing could be asked"), "{text}");
    assert_eq!(host.active("dbus.service"), "active");
}
