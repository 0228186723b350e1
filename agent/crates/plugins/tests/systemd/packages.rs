//! Units that a package is to bring.

use std::collections::BTreeMap;
use std::path::PathBuf;

use declaration::Declaration;
use plugins::SystemdPlugin;
use reconcile::{
    Change, Context, Desired, Key, Observed, Outcome, Owner, Plugin, PluginError, Verb,
};
use serde_json::{Value, json};

use crate::fixture::{Host, NeverThere, STAYS};

/// A package manager whose one package is a unit's file.
struct Packages(PathBuf);

impl Plugin for Packages {
    fn name(&self) -> &'static str {
        "packagekit"
    }

    fn desired(&self) -> BTreeMap<String, Desired> {
        BTreeMap::from([(
            "app".to_owned(),
            Desired::ours(json!({ "installed": true })),
        )])
    }

    fn observe(&self) -> Result<BTreeMap<String, Observed>, PluginError> {
        let observed = Observed {
            state: json!({ "installed": self.0.exists() }),
            owner: Owner::Ours,
        };
        Ok(BTreeMap::from([("app".to_owned(), observed)]))
    }

    fn requires(&self, _: &str, _: &Value) -> Vec<Key> {
        Vec::new()
    }

    fn apply(&self, changes: &[&Change], _: &Context<'_>) -> Result<(), PluginError> {
        for change in changes {
            assert_eq!(change.verb, Verb::Update);
            match change.after["installed"] == json!(true) {
                true => std::fs::write(&self.0, STAYS).unwrap(),
                false => std::fs::remove_file(&self.0).unwrap(),
            }
        }
        lab::run(
            "busctl",
            &[
                "call",
                "org.freedesktop.systemd1",
                "/org/freedesktop/systemd1",
                "org.freedesktop.systemd1.Manager",
                "Reload",
            ],
        );
        Ok(())
    }
}

fn plugins(host: &Host, unit: &str) -> Vec<Box<dyn Plugin>> {
    let text = format!(
        "version: 1\nplugins: {{packagekit: {{packages: {{app: {{}}, old: {{ensure: removed}}}}}}, \
         systemd: {{units: {{{unit}: {{active: true, enabled: true}}}}}}}}"
    );
    let declaration = Declaration::from_yaml(&text).unwrap();
    let file = host.systemd.root().join("lib/systemd/system/app.service");
    vec![
        Box::new(Packages(file)),
        Box::new(SystemdPlugin::new(&declaration)),
    ]
}

#[test]
fn a_unit_waits_for_its_package_and_goes_with_it_when_the_run_fails() {
    let Some(host) = Host::new() else { return };
    let mut failing = plugins(&host, "app.service");
    failing.push(Box::new(NeverThere));
    let plan = reconcile::plan(&failing).unwrap();
    let order: Vec<_> = plan
        .changes
        .iter()
        .map(|change| change.key().to_string())
        .collect();
    assert_eq!(order[..2], ["packagekit/app", "systemd/app.service"]);
    match host.carry_out(&failing, &plan) {
        Outcome::RolledBack { undo_errors, .. } => assert_eq!(undo_errors, [""; 0]),
        outcome => panic!("{outcome:?}"),
    }
    assert_eq!(host.active("app.service"), "inactive");
    assert!(
        !host
            .systemd
            .root()
            .join("etc/systemd/system/lab.target.wants/app.service")
            .exists()
    );

    let plugins = plugins(&host, "app.service");
    let plan = reconcile::plan(&plugins).unwrap();
    assert_eq!(host.carry_out(&plugins, &plan), Outcome::Applied);
    assert_eq!(host.active("app.service"), "active");
    assert!(reconcile::plan(&plugins).unwrap().is_empty());
}

#[test]
fn a_unit_that_no_package_brings_fails_plainly() {
    let Some(host) = Host::new() else { return };
    let plugins = plugins(&host, "nonsense.service");
    let plan = reconcile::plan(&plugins).unwrap();
    match host.carry_out(&plugins, &plan) {
        Outcome::RolledBack { error, .. } => {
            assert!(
                error.contains("there is no unit nonsense.service"),
                "{error}"
            );
        }
        outcome => panic!("{outcome:?}"),
    }
}
