//! Whether the system is as it should be: read again, never assumed.

use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::change::{Change, Verb};
use crate::key::Key;
use crate::plan::{Plan, PlanError, World, observe};
use crate::plugin::{Owner, Plugin, Transition};

/// How long an asynchronous system may take to show a change.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time between the first two looks; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// A resource that is not as it should be.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Drift {
    /// The resource.
    pub resource: Key,
    /// What would mend it.
    pub verb: Verb,
    /// The desired state, `null` if it should not be there.
    pub desired: Value,
    /// The observed state, `null` if it is not there.
    pub observed: Value,
}

/// What a plan would change, as drift.
pub fn drift(plan: &Plan) -> Vec<Drift> {
    plan.changes
        .iter()
        .map(|change| Drift {
            resource: change.key(),
            verb: change.verb,
            desired: change.after.clone(),
            observed: change.before.clone(),
        })
        .collect()
}

/// The changes whose effect the system does not show, after waiting for those that may take a while.
pub(crate) fn unmet(
    plugins: &[Box<dyn Plugin>],
    changes: &[Change],
) -> Result<Vec<Drift>, PlanError> {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = FIRST_PAUSE;
    loop {
        let unmet = look(plugins, changes, &observe(plugins)?);
        let may_come = unmet.iter().any(|drift| {
            plugins
                .iter()
                .any(|plugin| plugin.name() == drift.resource.plugin && plugin.asynchronous())
        });
        if !may_come || Instant::now() >= deadline {
            return Ok(unmet);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn look(plugins: &[Box<dyn Plugin>], changes: &[Change], world: &World) -> Vec<Drift> {
    changes
        .iter()
        .filter_map(|change| {
            let place = plugins
                .iter()
                .position(|plugin| plugin.name() == change.plugin)?;
            let found = world[place].get(&change.resource);
            let met = match (change.verb, found) {
                (Verb::Delete, found) => found.is_none_or(|found| found.owner == Owner::Foreign),
                (_, None) => false,
                (_, Some(found)) => {
                    found.owner == Owner::Ours
                        && (found.state == change.after
                            || matches!(
                                plugins[place].transition(
                                    &change.resource,
                                    &found.state,
                                    &change.after
                                ),
                                Transition::Keep { .. }
                            ))
                }
            };
            (!met).then(|| Drift {
                resource: change.key(),
                verb: change.verb,
                desired: change.after.clone(),
                observed: found.map_or(Value::Null, |found| found.state.clone()),
            })
        })
        .collect()
}
