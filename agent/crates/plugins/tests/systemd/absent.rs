//! Machines without a bus, or without a systemd on it.

use lab::Machine;
use plugins::SystemdPlugin;
use reconcile::{Plugin, PluginError};

use crate::fixture::declare;

fn said(units: &str) -> String {
    match SystemdPlugin::new(&declare(units)).observe() {
        Ok(seen) => format!("{} units", seen.len()),
        Err(error @ PluginError::Unavailable { .. }) => error.to_string(),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn what_is_missing_is_said_and_nothing_is_asked_without_need() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    lab::run("mount", &["-t", "tmpfs", "tmpfs", "/run"]);
    assert_eq!(said(""), "0 units");
    let text = said("web.service: {active: true}");
    assert!(text.contains("the system bus cannot be reached"), "{text}");
    let Some(_bus) = machine.system_bus() else {
        return;
    };
    let text = said("web.service: {active: true}");
    assert!(text.contains("systemd does not run this machine"), "{text}");
}
