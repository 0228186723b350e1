//! Plugin `openflow`: the flows of the bridges.
//!
//! A resource is `BRIDGE/table=T,priority=P,MATCH`, the match in the terms of `ovs-ofctl`; its state is
//! `{bridge, table, priority, match, actions}` with ports by name. Our flows carry a mark in their
//! cookie; others are seen only where they stand in the place of a desired one, and never changed.

mod bridge;
mod names;
mod rule;
mod standard;
#[cfg(test)]
mod tests;
mod text;
mod translate;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use declaration::{BridgeName, Declaration, LinkName, Ovs, wiring};
use reconcile::{
    Change, Context, Desired, Effects, Key, Observed, Owner, Plugin, PluginError, Verb,
};
use serde_json::Value;

use bridge::{Bridge, Edit};
use names::PortNames;
use rule::Rule;

const NAME: &str = "openflow";

/// Keeps the flows of the bridges as declared.
#[derive(Debug)]
pub struct OpenflowPlugin {
    /// Where the bridges have their management sockets.
    run_dir: PathBuf,
    desired: BTreeMap<String, Desired>,
    /// The bridges with flows in the declaration.
    declared: BTreeSet<BridgeName>,
    /// The port numbers that are fixed before the ports are there.
    fixed_ports: BTreeMap<BridgeName, BTreeMap<LinkName, u16>>,
}

impl OpenflowPlugin {
    /// The plugin for what a declaration says of flows.
    pub fn new(declaration: &Declaration) -> Self {
        let ovs = declaration.plugins.ovs.as_ref();
        let sections = declaration.plugins.openflow.iter();
        let bridges: Vec<_> = sections.flat_map(|section| &section.bridges).collect();
        let rules = bridges.iter().flat_map(|(bridge, tables)| {
            let standard = standard::rules(declaration, bridge, tables);
            let further = tables.flows.iter();
            // Later ones replace earlier ones of the same name.
            standard
                .into_iter()
                .chain(further.map(|flow| Rule::declared(bridge, flow)))
        });
        Self {
            run_dir: ovs.map_or_else(|| Ovs::default().run_dir, |ovs| ovs.run_dir.clone()),
            desired: rules
                .map(|rule| (rule.to_string(), Desired::ours(rule.state())))
                .collect(),
            declared: bridges.iter().map(|(name, _)| (*name).clone()).collect(),
            fixed_ports: ovs
                .iter()
                .flat_map(|ovs| ovs.bridges.keys())
                .map(|bridge| (bridge.clone(), wiring::ofports(declaration, bridge)))
                .collect(),
        }
    }

    /// The bridges that are there, and the declared ones.
    fn bridges(&self) -> BTreeSet<BridgeName> {
        let mut names = self.declared.clone();
        let entries = self.run_dir.read_dir().into_iter().flatten().flatten();
        names.extend(entries.filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            name.strip_suffix(".mgmt")?.parse().ok()
        }));
        names
    }

    fn port_names(&self, bridge: &mut Bridge<'_>) -> Result<PortNames, PluginError> {
        let fixed = self.fixed_ports.get(bridge.name());
        Ok(PortNames::new(
            bridge.name(),
            &bridge.ports()?,
            fixed.into_iter().flatten(),
        ))
    }

    /// The flows of a bridge: ours, and those in the place of a desired one.
    fn observe_bridge(
        &self,
        name: &BridgeName,
        seen: &mut BTreeMap<String, Observed>,
    ) -> Result<(), PluginError> {
        let Some(mut bridge) = Bridge::open(&self.run_dir, name)? else {
            return Ok(());
        };
        let ports = self.port_names(&mut bridge)?;
        let ours_only = !self.declared.contains(name);
        for flow in bridge.flows(ours_only)? {
            let owner = bridge::owner(&flow);
            let rule = Rule::observed(name, &flow, &ports);
            let resource = rule.to_string();
            if owner == Owner::Ours || self.desired.contains_key(&resource) {
                let state = rule.state();
                seen.insert(resource, Observed { state, owner });
            }
        }
        Ok(())
    }

    fn change_bridge(&self, name: &BridgeName, edits: &[Edit]) -> Result<(), PluginError> {
        let Some(mut bridge) = Bridge::open(&self.run_dir, name)? else {
            return match edits.iter().all(Edit::deletes) {
                true => Ok(()),
                false => Err(bridge::missing(&self.run_dir, name)),
            };
        };
        let ports = self.port_names(&mut bridge)?;
        bridge.change(edits, &ports)
    }
}

impl Plugin for OpenflowPlugin {
    fn name(&self) -> &'static str {
        NAME
    }

    fn desired(&self) -> BTreeMap<String, Desired> {
        self.desired.clone()
    }

    fn observe(&self) -> Result<BTreeMap<String, Observed>, PluginError> {
        let mut seen = BTreeMap::new();
        for name in self.bridges() {
            match self.observe_bridge(&name, &mut seen) {
                // Not knowing a bridge that nobody asked for must not stop the rest.
                Err(error) if !self.declared.contains(&name) => {
                    log::debug!("the flows of bridge {name} are passed over: {error}");
                }
                done => done?,
            }
        }
        Ok(seen)
    }

    fn requires(&self, _resource: &str, state: &Value) -> Vec<Key> {
        let Ok(rule) = Rule::from_state(state) else {
            return Vec::new();
        };
        let bridge = Key::new("ovs", format!("bridge:{}", rule.bridge));
        let ports = rule.ports().into_iter();
        std::iter::once(bridge)
            .chain(ports.map(|port| Key::new("ovs", format!("port:{port}"))))
            .collect()
    }

    /// A flow can cut off anything on its bridge, but for one that only speeds a container up.
    fn effects(&self, change: &Change) -> Effects {
        let rules = [&change.before, &change.after];
        let rules = rules
            .into_iter()
            .filter_map(|state| Rule::from_state(state).ok());
        let disrupts: BTreeSet<_> = rules
            .filter(|rule| !rule.serves_one_container())
            .map(|rule| rule.bridge.to_string())
            .collect();
        Effects {
            disrupts: disrupts.into_iter().collect(),
            ..Effects::default()
        }
    }

    fn atomic(&self) -> bool {
        true
    }

    fn apply(&self, changes: &[&Change], _context: &Context<'_>) -> Result<(), PluginError> {
        let mut bridges: BTreeMap<BridgeName, Vec<Edit>> = BTreeMap::new();
        for change in changes {
            let state = match change.verb {
                Verb::Delete => &change.before,
                Verb::Create | Verb::Update => &change.after,
            };
            let rule = Rule::from_state(state)
                .map_err(|error| PluginError::failed(format!("read {}", change.key()), error))?;
            let edits = bridges.entry(rule.bridge.clone()).or_default();
            edits.push(match change.verb {
                Verb::Delete => Edit::Delete(rule),
                Verb::Create | Verb::Update => Edit::Write(rule),
            });
        }
        for (name, edits) in &mut bridges {
            // Two rules can be one on the switch by now, when a port has changed its number.
            edits.sort_by_key(|edit| !edit.deletes());
            self.change_bridge(name, edits)?;
        }
        Ok(())
    }

    fn asynchronous(&self) -> bool {
        true
    }
}
