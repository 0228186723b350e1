//! Plugin `packagekit`: software packages that are kept installed or away.
//!
//! A resource is the name of a declared package; its state is `{"installed": …}`, with `version` where one
//! is declared and `latest` where the newest is. Where it is not as it should be, the state also has the
//! version that is there, so that it can be brought back. Packages that are not declared are not looked at,
//! and nothing is asked of anybody where none are declared.

mod apt;
mod dnf;
mod error;
mod pacman;
mod program;
mod provider;
mod service;
mod transaction;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use declaration::{Declaration, Ensure, Package, PackageName, PackageProvider};
use reconcile::{
    Change, Context, Desired, Key, Observed, Owner, Plugin, PluginError, Transition, Verb as Way,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use error::PackageError;
pub use provider::{Details, Listed, PackageManager, Request, Step, Verb, Wanted, Watch, find};

const NAME: &str = "packagekit";

/// What is declared or seen of a package.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    installed: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    latest: Option<bool>,
    /// Packages that would go with it and are not declared to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    needed_by: Vec<String>,
}

impl State {
    fn declared(package: &Package) -> Self {
        Self {
            installed: package.ensure != Ensure::Removed,
            version: package.version.as_ref().map(ToString::to_string),
            latest: (package.ensure == Ensure::Latest).then_some(true),
            needed_by: Vec::new(),
        }
    }

    /// What is there, in the form of the declared state where that is met.
    fn seen(package: &Package, version: Option<&String>, newer: bool) -> Self {
        let declared = Self::declared(package);
        let met = match (version, &declared.version) {
            (Some(there), Some(wanted)) => there == wanted,
            (Some(_), None) => declared.installed && (declared.latest.is_none() || !newer),
            (None, _) => !declared.installed,
        };
        match met {
            true => declared,
            false => Self {
                installed: version.is_some(),
                version: version.cloned(),
                latest: (newer && version.is_some()).then_some(false),
                needed_by: Vec::new(),
            },
        }
    }

    fn read(value: &Value) -> Option<Self> {
        serde_json::from_value(value.clone()).ok()
    }

    fn json(&self) -> Value {
        // Names and texts always have a JSON form.
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// Keeps packages as declared.
#[derive(Debug)]
pub struct PackagekitPlugin {
    packages: BTreeMap<PackageName, Package>,
    /// A package manager does one thing at a time.
    busy: Mutex<()>,
}

impl PackagekitPlugin {
    /// The plugin for what a declaration says of packages.
    pub fn new(declaration: &Declaration) -> Self {
        let sections = declaration.plugins.packagekit.iter();
        Self {
            packages: sections
                .flat_map(|section| section.packages.clone())
                .collect(),
            busy: Mutex::default(),
        }
    }

    /// What is declared to be away: these may go with one another.
    fn removed(&self) -> Vec<String> {
        let packages = self.packages.iter();
        packages
            .filter(|(_, package)| package.ensure == Ensure::Removed)
            .map(|(name, _)| name.to_string())
            .collect()
    }

    /// Looks at the packages of one package manager.
    fn look(
        &self,
        provider: Option<PackageProvider>,
        seen: &mut BTreeMap<String, Observed>,
    ) -> Result<(), PackageError> {
        let watch = Watch::nobody();
        let manager = find(provider)?;
        let packages: BTreeMap<_, _> = self
            .packages
            .iter()
            .filter(|(_, package)| package.provider == provider)
            .collect();
        let names: Vec<_> = packages.keys().copied().collect();
        let installed = manager.installed(&names, &watch)?;
        let latest = |name: &&PackageName| {
            packages[*name].ensure == Ensure::Latest && installed.contains_key(name.as_str())
        };
        let latest: Vec<_> = names.iter().copied().filter(latest).collect();
        let newer: BTreeSet<String> = match latest.is_empty() {
            true => BTreeSet::new(),
            false => {
                let updates = manager.updates(&latest, &watch)?;
                updates.into_iter().map(|update| update.name).collect()
            }
        };
        for (name, package) in packages {
            let version = installed.get(name.as_str());
            let mut state = State::seen(package, version, newer.contains(name.as_str()));
            if state.installed && package.ensure == Ensure::Removed {
                state.needed_by = self.dependents(manager.as_ref(), name)?;
            }
            let observed = Observed {
                state: state.json(),
                // The declaration names it, and nothing else makes it anybody's.
                owner: Owner::Ours,
            };
            seen.insert(name.to_string(), observed);
        }
        Ok(())
    }

    /// The packages that would go with one, and are not declared to.
    fn dependents(
        &self,
        manager: &dyn PackageManager,
        name: &PackageName,
    ) -> Result<Vec<String>, PackageError> {
        let request = Request::Remove {
            names: vec![name.clone()],
            along: self.removed(),
        };
        let steps = manager.simulate(&request, &Watch::nobody())?;
        match provider::permit(&request, &steps) {
            Err(PackageError::TakesAlong { others, .. }) => Ok(others),
            _ => Ok(Vec::new()),
        }
    }

    fn reach(
        &self,
        resource: &str,
        target: &State,
        context: &Context<'_>,
    ) -> Result<(), PackageError> {
        let name: PackageName = resource
            .parse()
            .map_err(|_| PackageError::NotFound(resource.to_owned()))?;
        let provider = self
            .packages
            .get(&name)
            .and_then(|package| package.provider);
        let manager = find(provider)?;
        let watch = Watch {
            wanted: &|| true,
            progress: &|text, percent| match percent {
                Some(percent) => (context.progress)(&format!("{text} ({percent} %)")),
                None => (context.progress)(text),
            },
        };
        let there = manager.installed(&[&name], &watch)?.remove(resource);
        let install = |version: Option<&String>| {
            let version = version.map(|version| version.parse());
            let version = version
                .transpose()
                .map_err(|_| PackageError::NotFound(format!("a version of {name}")))?;
            let wanted = Wanted {
                name: name.clone(),
                version,
            };
            manager.carry_out(&Request::Install(vec![wanted]), &watch)
        };
        match (target.installed, &there) {
            (false, None) => Ok(()),
            (false, Some(_)) => {
                let request = Request::Remove {
                    names: vec![name],
                    along: self.removed(),
                };
                manager.carry_out(&request, &watch)
            }
            (true, Some(there)) if target.version.as_ref() == Some(there) => Ok(()),
            (true, _) if target.version.is_some() => install(target.version.as_ref()),
            (true, None) => install(None),
            (true, Some(_)) if target.latest == Some(true) => {
                manager.carry_out(&Request::Update(vec![name]), &watch)
            }
            (true, Some(_)) => Ok(()),
        }
    }
}

impl Plugin for PackagekitPlugin {
    fn name(&self) -> &'static str {
        NAME
    }

    fn desired(&self) -> BTreeMap<String, Desired> {
        let packages = self.packages.iter();
        packages
            .map(|(name, package)| {
                let state = State::declared(package).json();
                (name.to_string(), Desired::ours(state))
            })
            .collect()
    }

    fn observe(&self) -> Result<BTreeMap<String, Observed>, PluginError> {
        let providers: BTreeSet<_> = self
            .packages
            .values()
            .map(|package| package.provider)
            .collect();
        let mut seen = BTreeMap::new();
        for provider in providers {
            self.look(provider, &mut seen)
                .map_err(|error| error.while_doing("look at packages"))?;
        }
        Ok(seen)
    }

    fn requires(&self, _resource: &str, _state: &Value) -> Vec<Key> {
        Vec::new()
    }

    fn transition(&self, resource: &str, before: &Value, after: &Value) -> Transition {
        let _ = after;
        match State::read(before) {
            Some(before) if !before.needed_by.is_empty() => Transition::Refuse(format!(
                "removing {resource} would remove {} as well: declare these `ensure: removed` too, or leave \
                 {resource} installed",
                before.needed_by.join(", ")
            )),
            _ => Transition::Update,
        }
    }

    fn apply(&self, changes: &[&Change], context: &Context<'_>) -> Result<(), PluginError> {
        let _turn = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            let doing = format!("change package {}", change.resource);
            let target = match change.verb {
                Way::Delete => None,
                Way::Create | Way::Update => State::read(&change.after),
            };
            let Some(target) = target else {
                return Err(PluginError::failed(
                    doing,
                    "its state is not one of a package",
                ));
            };
            self.reach(&change.resource, &target, context)
                .map_err(|error| error.while_doing(doing))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(ensure: Ensure, wanted: Option<&str>, there: Option<&str>, newer: bool) -> Value {
        let package = Package {
            ensure,
            version: wanted.map(|version| version.parse().unwrap()),
            provider: None,
        };
        let there = there.map(str::to_owned);
        State::seen(&package, there.as_ref(), newer).json()
    }

    #[test]
    fn what_is_as_declared_looks_as_declared() {
        assert_eq!(
            seen(Ensure::Installed, None, Some("1"), true),
            json!({ "installed": true })
        );
        assert_eq!(
            seen(Ensure::Removed, None, None, false),
            json!({ "installed": false })
        );
        assert_eq!(
            seen(Ensure::Latest, None, Some("1"), false),
            json!({ "installed": true, "latest": true })
        );
        assert_eq!(
            seen(Ensure::Installed, Some("1"), Some("1"), false),
            json!({ "installed": true, "version": "1" })
        );
    }

    #[test]
    fn what_is_not_as_declared_tells_what_is_there() {
        assert_eq!(
            seen(Ensure::Installed, None, None, false),
            json!({ "installed": false })
        );
        assert_eq!(
            seen(Ensure::Removed, None, Some("1"), false),
            json!({ "installed": true, "version": "1" })
        );
        assert_eq!(
            seen(Ensure::Latest, None, Some("1"), true),
            json!({ "installed": true, "version": "1", "latest": false })
        );
        assert_eq!(
            seen(Ensure::Installed, Some("2"), Some("1"), false),
            json!({ "installed": true, "version": "1" })
        );
    }
}
