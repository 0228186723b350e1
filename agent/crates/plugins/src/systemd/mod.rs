//! Plugin `systemd`: units that are kept active, enabled or masked, or not.
//!
//! A resource is the name of a declared unit; its state has the declared facets and nothing else, such as
//! `{"active": true, "enabled": true}`. Units are not made and not deleted: one that is no longer declared is
//! left as it is. Units come after the packages that are to be installed, since these may bring them.

mod bus;
mod error;
mod state;

use std::collections::BTreeMap;

use declaration::{Declaration, Ensure, Unit, UnitName};
use reconcile::{
    Change, Context, Desired, Key, Observed, Owner, Plugin, PluginError, Transition, Verb,
};
use serde_json::Value;

pub use bus::{Action, FileChange, Job, Listed, Manager, permit, permit_mask};
pub use error::UnitError;
use state::{Facet, State, is_active};

const NAME: &str = "systemd";

/// Keeps units as declared.
#[derive(Debug)]
pub struct SystemdPlugin {
    units: BTreeMap<UnitName, Unit>,
    /// The packages that are to be installed.
    packages: Vec<Key>,
}

impl SystemdPlugin {
    /// The plugin for what a declaration says of units.
    pub fn new(declaration: &Declaration) -> Self {
        let sections = &declaration.plugins;
        let packages = sections
            .packagekit
            .iter()
            .flat_map(|section| &section.packages);
        Self {
            units: sections
                .systemd
                .iter()
                .flat_map(|section| section.units.clone())
                .collect(),
            packages: packages
                .filter(|(_, package)| package.ensure != Ensure::Removed)
                .map(|(name, _)| Key::new("packagekit", name.as_str()))
                .collect(),
        }
    }

    fn look(&self, manager: &Manager) -> Result<BTreeMap<String, Observed>, UnitError> {
        let names: Vec<_> = self.units.keys().map(UnitName::as_str).collect();
        let listed = manager.by_names(&names)?;
        if let Some(missing) = names.get(listed.len()) {
            return Err(UnitError::NotFound((*missing).to_owned()));
        }
        let mut seen = BTreeMap::new();
        // systemd lists an alias under the name of its unit; the order is that of the question.
        for ((name, unit), found) in self.units.iter().zip(&listed) {
            let file = match unit.enabled.or(unit.masked) {
                Some(_) => manager.file_state(name.as_str())?,
                None => None,
            };
            let state = State::seen(unit, found, file.as_deref());
            // A package that is still to come may bring it.
            if state.missing && !self.packages.is_empty() && State::declared(unit).needs_unit() {
                continue;
            }
            let observed = Observed {
                state: state.json(),
                owner: Owner::Ours,
            };
            seen.insert(name.to_string(), observed);
        }
        Ok(seen)
    }
}

impl Plugin for SystemdPlugin {
    fn name(&self) -> &'static str {
        NAME
    }

    fn desired(&self) -> BTreeMap<String, Desired> {
        let units = self.units.iter();
        units
            .map(|(name, unit)| {
                (
                    name.to_string(),
                    Desired::ours(State::declared(unit).json()),
                )
            })
            .collect()
    }

    fn observe(&self) -> Result<BTreeMap<String, Observed>, PluginError> {
        if self.units.is_empty() {
            return Ok(BTreeMap::new());
        }
        let look = || self.look(&Manager::connect()?);
        look().map_err(|error| error.while_doing("look at units"))
    }

    fn requires(&self, _resource: &str, state: &Value) -> Vec<Key> {
        match State::read(state).is_some_and(|state| state.needs_unit()) {
            true => self.packages.clone(),
            false => Vec::new(),
        }
    }

    fn transition(&self, resource: &str, before: &Value, after: &Value) -> Transition {
        match (State::read(before), State::read(after)) {
            (Some(before), Some(after)) => state::transition(resource, &before, &after),
            _ => Transition::Update,
        }
    }

    fn apply(&self, changes: &[&Change], context: &Context<'_>) -> Result<(), PluginError> {
        for change in changes {
            let unit = change.resource.as_str();
            let target = match change.verb {
                // A unit that came with a package, which is about to go again.
                Verb::Delete => State::read(&change.before).map(|state| state.nothing()),
                Verb::Create | Verb::Update => State::read(&change.after),
            };
            let doing = format!("change {unit}");
            let Some(target) = target else {
                return Err(PluginError::failed(doing, "its state is not one of a unit"));
            };
            let change = || reach(&Manager::connect()?, unit, &target, context);
            change().map_err(|error| error.while_doing(doing))?;
        }
        Ok(())
    }

    fn asynchronous(&self) -> bool {
        true
    }
}

/// Brings a unit to a state, from whatever it is in.
fn reach(
    manager: &Manager,
    unit: &str,
    target: &State,
    context: &Context<'_>,
) -> Result<(), UnitError> {
    let found = manager.by_names(&[unit])?.into_iter().next();
    let is_there = found.is_some_and(|found| found.load != "not-found");
    let masks = target
        .masked
        .as_ref()
        .is_some_and(|facet| *facet != Facet::Is(false));
    if !is_there && target.needs_unit() {
        return Err(UnitError::NotFound(unit.to_owned()));
    }
    if !is_there && !masks {
        return Ok(());
    }
    if target.masked == Some(Facet::Is(false)) {
        match manager.file_state(unit)?.as_deref() {
            Some("masked") => drop(manager.unmask(unit, false)?),
            Some("masked-runtime") => drop(manager.unmask(unit, true)?),
            _ => {}
        }
    }
    if let Some(enabled) = &target.enabled {
        enable(manager, unit, enabled)?;
    }
    if let Some(Facet::Is(active)) = target.active {
        activate(manager, unit, active, context)?;
    }
    match &target.masked {
        Some(Facet::Is(true)) => mask(manager, unit, "masked"),
        Some(Facet::Otherwise(word)) => mask(manager, unit, word),
        Some(Facet::Is(false)) | None => Ok(()),
    }
}

fn enable(manager: &Manager, unit: &str, target: &Facet) -> Result<(), UnitError> {
    let state = manager.file_state(unit)?;
    let state = state.as_deref();
    match target {
        Facet::Is(true) if state != Some("enabled") => drop(manager.enable(unit, false)?),
        Facet::Is(false) if state == Some("enabled") => drop(manager.disable(unit, false)?),
        Facet::Is(false) if state == Some("enabled-runtime") => drop(manager.disable(unit, true)?),
        Facet::Otherwise(word) if word == "enabled-runtime" && state != Some("enabled-runtime") => {
            manager.disable(unit, false)?;
            manager.enable(unit, true)?;
        }
        _ => {}
    }
    Ok(())
}

fn activate(
    manager: &Manager,
    unit: &str,
    wanted: bool,
    context: &Context<'_>,
) -> Result<(), UnitError> {
    let state = || -> Result<String, UnitError> {
        let found = manager.by_names(&[unit])?.into_iter().next();
        found
            .map(|found| found.active)
            .ok_or_else(|| UnitError::NotFound(unit.to_owned()))
    };
    let now = state()?;
    let is_so = match wanted {
        true => is_active(&now),
        false => matches!(now.as_str(), "inactive" | "failed"),
    };
    if is_so {
        return Ok(());
    }
    let action = if wanted { Action::Start } else { Action::Stop };
    (context.progress)(&format!("{} {unit}", action.word()));
    manager.run(action, unit, &|| true)?;
    let now = state()?;
    if wanted && matches!(now.as_str(), "inactive" | "failed") {
        return Err(UnitError::Ended {
            unit: unit.to_owned(),
            detail: match now.as_str() {
                "inactive" => {
                    "; a unit that does its work and ends cannot be kept active: declare the timer \
                     that starts it, or leave `active` out"
                        .to_owned()
                }
                _ => manager.detail(unit),
            },
            state: now,
        });
    }
    Ok(())
}

/// Masks a unit for good or until the next start of the machine, as the word says.
fn mask(manager: &Manager, unit: &str, word: &str) -> Result<(), UnitError> {
    let state = manager.file_state(unit)?;
    if state.as_deref() == Some(word) {
        return Ok(());
    }
    manager.mask(unit, word == "masked-runtime").map(drop)
}
