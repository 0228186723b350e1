//! What is declared is brought about over PackageKit.

use lab::{Machine, SystemBus};

use crate::fixture::{Runs, steps};
use crate::mock::Mock;

/// A machine with a PackageKit that is made up.
pub(crate) struct Host {
    pub(crate) mock: Mock,
    pub(crate) runs: Runs,
    _bus: SystemBus,
    _machine: Machine,
}

pub(crate) fn host() -> Option<Host> {
    let machine = Machine::new("needs root")?;
    let bus = machine.system_bus()?;
    let mock = Mock::start();
    mock.set(|state| {
        let versions = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect();
        state
            .available
            .insert("op-app".to_owned(), versions(&["1", "2"]));
        state
            .available
            .insert("op-lib".to_owned(), versions(&["1"]));
        state
            .installed
            .insert("op-other".to_owned(), "1".to_owned());
        state
            .available
            .insert("op-other".to_owned(), versions(&["1", "2"]));
    });
    Some(Host {
        mock,
        runs: Runs::new(&machine),
        _bus: bus,
        _machine: machine,
    })
}

#[test]
fn packages_are_installed_updated_pinned_and_removed() {
    let Some(Host { mock, runs, .. }) = &host() else {
        return;
    };
    assert_eq!(
        steps(&runs.apply("op-app: {version: \"1\"}, op-lib: {}")),
        ["update op-app", "update op-lib"]
    );
    assert_eq!(mock.installed("op-app").as_deref(), Some("1"));
    // Whatever version is there will do.
    assert_eq!(steps(&runs.apply("op-app: {}")), [""; 0]);
    runs.apply("op-app: {ensure: latest}");
    assert_eq!(mock.installed("op-app").as_deref(), Some("2"));
    runs.apply("op-app: {version: \"1\"}");
    assert_eq!(mock.installed("op-app").as_deref(), Some("1"));
    runs.apply("op-app: {ensure: removed}");
    assert_eq!(mock.installed("op-app"), None);
    // Nobody asked for these.
    assert_eq!(mock.installed("op-other").as_deref(), Some("1"));
    assert_eq!(mock.installed("op-lib").as_deref(), Some("1"));
}

#[test]
fn a_failed_run_brings_versions_back() {
    let Some(Host { mock, runs, .. }) = &host() else {
        return;
    };
    runs.apply("op-app: {version: \"1\"}");
    runs.apply_and_fail("op-app: {ensure: latest}, op-lib: {}");
    assert_eq!(mock.installed("op-app").as_deref(), Some("1"));
    assert_eq!(mock.installed("op-lib"), None);
    runs.apply_and_fail("op-app: {ensure: removed}");
    assert_eq!(mock.installed("op-app").as_deref(), Some("1"));
}

#[test]
fn nothing_is_removed_that_was_not_declared_to_be() {
    let Some(Host { mock, runs, .. }) = &host() else {
        return;
    };
    runs.apply("op-app: {}, op-lib: {}");
    mock.set(|state| {
        state
            .needed_by
            .insert("op-lib".to_owned(), vec!["op-app".to_owned()]);
    });
    let text = runs.refusal("op-lib: {ensure: removed}");
    assert!(
        text.contains("removing op-lib would remove op-app as well"),
        "{text}"
    );
    assert!(mock.installed("op-lib").is_some());
    runs.apply("op-lib: {ensure: removed}, op-app: {ensure: removed}");
    assert_eq!(mock.installed("op-app"), None);
}

#[test]
fn looking_takes_one_query_and_none_where_nothing_is_declared() {
    let Some(Host { mock, runs, .. }) = &host() else {
        return;
    };
    mock.log();
    runs.plan("").unwrap();
    assert_eq!(mock.log(), [""; 0]);
    runs.plan("op-app: {}, op-lib: {}, op-other: {}").unwrap();
    assert_eq!(mock.log(), ["Resolve"]);
    runs.plan("op-app: {}, op-other: {ensure: latest}").unwrap();
    assert_eq!(mock.log(), ["Resolve", "GetUpdates"]);
}

#[test]
fn what_is_not_in_the_lists_is_said() {
    let Some(Host { runs, .. }) = &host() else {
        return;
    };
    let text = runs.fail("nonsense: {}");
    assert!(
        text.contains("nonsense is not in the package lists"),
        "{text}"
    );
    let text = runs.fail("op-app: {version: \"7\"}");
    assert!(
        text.contains("op-app 7 is not in the package lists"),
        "{text}"
    );
}
