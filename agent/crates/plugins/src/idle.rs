//! A plugin whose section the declaration does not have.

use std::collections::BTreeMap;

use reconcile::{Change, Context, Desired, Key, Observed, Plugin, PluginError};
use serde_json::Value;

/// Sees nothing and wants nothing, so nothing is planned; undo and recovery still reach the plugin.
pub(crate) struct Idle(pub(crate) Box<dyn Plugin>);

impl Plugin for Idle {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn desired(&self) -> BTreeMap<String, Desired> {
        BTreeMap::new()
    }

    fn observe(&self) -> Result<BTreeMap<String, Observed>, PluginError> {
        Ok(BTreeMap::new())
    }

    fn requires(&self, resource: &str, state: &Value) -> Vec<Key> {
        self.0.requires(resource, state)
    }

    fn atomic(&self) -> bool {
        self.0.atomic()
    }

    fn apply(&self, changes: &[&Change], context: &Context<'_>) -> Result<(), PluginError> {
        self.0.apply(changes, context)
    }

    fn commit(&self, change: &Change, run: &str) -> Result<(), PluginError> {
        self.0.commit(change, run)
    }
}
