//! Back to how resources were before a run, by a plan like any other.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::change::{Change, Verb};
use crate::key::Key;
use crate::plan::World;
use crate::plugin::{Context, Desired, Effects, Observed, Owner, Plugin, PluginError, Transition};

/// What a run did to one resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Past {
    /// The resource.
    pub resource: Key,
    /// Its state before; `null` where it was not there.
    pub before: Value,
    /// Its state after; `null` where it was taken away.
    pub after: Value,
}

/// A resource that is no longer as the run left it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Conflict {
    /// The resource.
    pub resource: Key,
    /// How the run left it; `null` if it took it away.
    pub left: Value,
    /// How it is; `null` if it is not there.
    pub found: Value,
}

/// The way back.
pub struct Rollback {
    /// Plugins that want everything as it is but for what is taken back: a plan of them is the way back.
    pub plugins: Vec<Box<dyn Plugin>>,
    /// What is taken back.
    pub resources: BTreeSet<Key>,
    /// What was changed since by others. It is among the resources only if it is to be overwritten.
    pub conflicts: Vec<Conflict>,
    /// What stays although the run made it: the record of what was done lies in it.
    pub kept: Vec<Key>,
}

/// Finds the way back from what a run did, on a system that looks like `world` through `plugins`. What was changed
/// since is left alone, unless it is to be overwritten (`over`).
///
/// The plan is then made by the same rules as any other, so that what others need is not taken away, and requirements
/// come first.
pub fn roll_back(
    plugins: Vec<Box<dyn Plugin>>,
    world: &World,
    past: &[Past],
    over: bool,
) -> Rollback {
    let mut resources = BTreeSet::new();
    let mut conflicts = Vec::new();
    let mut kept = Vec::new();
    let mut list: Vec<Box<dyn Plugin>> = Vec::new();
    for (plugin, seen) in plugins.into_iter().zip(world) {
        let ours = seen.iter().filter(|(_, seen)| seen.owner == Owner::Ours);
        let mut desired: BTreeMap<_, _> = ours
            .map(|(name, seen)| (name.clone(), Desired::ours(seen.state.clone())))
            .collect();
        let mut back = BTreeSet::new();
        for step in past {
            if step.resource.plugin != plugin.name() {
                continue;
            }
            let name = &step.resource.resource;
            let found = seen.get(name);
            if is(plugin.as_ref(), name, found, &step.before) {
                continue;
            }
            if made_for_the_record(plugin.as_ref(), step) {
                kept.push(step.resource.clone());
                continue;
            }
            if !is(plugin.as_ref(), name, found, &step.after) {
                conflicts.push(Conflict {
                    resource: step.resource.clone(),
                    left: step.after.clone(),
                    found: found.map_or(Value::Null, |found| found.state.clone()),
                });
                // What is not ours is left alone whoever asks.
                if !over || found.is_some_and(|found| found.owner == Owner::Foreign) {
                    continue;
                }
            }
            match &step.before {
                Value::Null => desired.remove(name),
                state => desired.insert(name.clone(), Desired::ours(state.clone())),
            };
            back.insert(name.clone());
            resources.insert(step.resource.clone());
        }
        list.push(Box::new(Held {
            plugin,
            desired,
            back,
        }));
    }
    Rollback {
        plugins: list,
        resources,
        conflicts,
        kept,
    }
}

/// Whether a resource is in a state, or in one that counts as the same.
fn is(plugin: &dyn Plugin, name: &str, found: Option<&Observed>, state: &Value) -> bool {
    match (found, state) {
        (None, state) => state.is_null(),
        (Some(_), Value::Null) => false,
        (Some(found), state) => {
            found.owner == Owner::Ours
                && (found.state == *state
                    || matches!(
                        plugin.transition(name, &found.state, state),
                        Transition::Keep { .. }
                    ))
        }
    }
}

/// Whether the run made the resource, and it stays even where a run is undone.
fn made_for_the_record(plugin: &dyn Plugin, step: &Past) -> bool {
    let made = Change::new(
        plugin.name(),
        &step.resource.resource,
        Verb::Create,
        Value::Null,
        step.after.clone(),
    );
    step.before.is_null() && plugin.effects(&made).keeps
}

/// A plugin that wants what there is, but for what is taken back.
struct Held {
    plugin: Box<dyn Plugin>,
    desired: BTreeMap<String, Desired>,
    back: BTreeSet<String>,
}

impl Plugin for Held {
    fn name(&self) -> &str {
        self.plugin.name()
    }

    fn desired(&self) -> BTreeMap<String, Desired> {
        self.desired.clone()
    }

    fn observe(&self) -> Result<BTreeMap<String, Observed>, PluginError> {
        self.plugin.observe()
    }

    fn requires(&self, resource: &str, state: &Value) -> Vec<Key> {
        self.plugin.requires(resource, state)
    }

    fn transition(&self, resource: &str, before: &Value, after: &Value) -> Transition {
        match self.back.contains(resource) {
            true => self.plugin.transition(resource, before, after),
            // It moved since it was looked at, and is nobody's business here.
            false => Transition::Keep { note: None },
        }
    }

    fn effects(&self, change: &Change) -> Effects {
        self.plugin.effects(change)
    }

    fn notes(&self) -> Vec<(String, String)> {
        let notes = self.plugin.notes().into_iter();
        notes
            .filter(|(resource, _)| self.back.contains(resource))
            .collect()
    }

    fn atomic(&self) -> bool {
        self.plugin.atomic()
    }

    fn apply(&self, changes: &[&Change], context: &Context<'_>) -> Result<(), PluginError> {
        self.plugin.apply(changes, context)
    }

    fn commit(&self, change: &Change, run: &str) -> Result<(), PluginError> {
        self.plugin.commit(change, run)
    }

    fn asynchronous(&self) -> bool {
        self.plugin.asynchronous()
    }
}
