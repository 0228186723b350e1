//! Plugin `ovs`: bridges, ports and uplinks, through Open vSwitch's database.
//!
//! Resources are `bridge:NAME` and `port:NAME`. A set of changes is one transaction; after it the plugin waits
//! until ovs-vswitchd has realised it, then does the kernel's side: addresses, and what moves with an uplink.

mod links;
mod observe;
mod state;
mod step;
mod switch;
mod transaction;
mod uplink;

use std::collections::BTreeMap;
use std::path::PathBuf;
pub(crate) use switch::DATABASE;

use declaration::Declaration;
use reconcile::{
    Change, Context, Desired, Effects, Key, Observed, Owner, Plugin, PluginError, Verb,
};
use serde_json::{Value as Json, json};

use links::Links;
use state::{BridgeState, Resource, bridge_key, port_key, read};
use step::Step;
use switch::Switch;

const NAME: &str = "ovs";

/// Keeps bridges and their ports as declared.
#[derive(Debug)]
pub struct OvsPlugin {
    run_dir: PathBuf,
    desired: BTreeMap<String, Desired>,
}

impl OvsPlugin {
    /// The plugin for what a declaration says of bridges, and of the containers on them.
    pub fn new(declaration: &Declaration) -> Self {
        let run_dir = declaration.plugins.ovs.clone().unwrap_or_default().run_dir;
        Self {
            run_dir,
            desired: state::desired(declaration),
        }
    }

    /// The links that lead out of a bridge, as declared.
    fn uplinks<'a>(&'a self, bridge: &'a str) -> impl Iterator<Item = String> + 'a {
        let desired = self.desired.iter();
        desired.filter_map(move |(resource, wanted)| match Resource::parse(resource) {
            Some(Resource::Port(name))
                if wanted.state["uplink"] == true && wanted.state["bridge"] == bridge =>
            {
                Some(name.to_owned())
            }
            _ => None,
        })
    }
}

/// Whether a state of a port takes a link of this machine away from the network stack.
fn takes_link(state: &Json) -> bool {
    state["type"] == "system" && state["container"].is_null()
}

impl Plugin for OvsPlugin {
    fn name(&self) -> &'static str {
        NAME
    }

    fn desired(&self) -> BTreeMap<String, Desired> {
        self.desired.clone()
    }

    fn observe(&self) -> Result<BTreeMap<String, Observed>, PluginError> {
        if self.desired.is_empty() && !self.run_dir.join("db.sock").exists() {
            return Ok(BTreeMap::new());
        }
        let client = switch::connect(&self.run_dir)?;
        let switch = Switch::current(&client)?;
        let links = Links::open()?;
        let mut seen = BTreeMap::new();
        let mut see = |resource: String, ours: bool, state: Json| {
            let owner = if ours { Owner::Ours } else { Owner::Foreign };
            seen.insert(resource, Observed { state, owner });
        };
        for (name, bridge) in &switch.bridges {
            let resource = bridge_key(name);
            let wanted = self.desired.get(&resource);
            if bridge.is_ours() || wanted.is_some() {
                let addresses = match wanted {
                    Some(wanted) => read::<BridgeState>(&wanted.state)?.addresses,
                    None => Vec::new(),
                };
                let state = observe::bridge(&links, name, bridge, &addresses)?;
                see(resource, bridge.is_ours(), json!(state));
            }
        }
        for (name, port) in &switch.ports {
            let resource = port_key(name);
            let local = switch.bridges.contains_key(name);
            if !local && (port.is_ours() || self.desired.contains_key(&resource)) {
                let state = observe::port(&links, name, port)?;
                see(resource, port.is_ours(), json!(state));
            }
        }
        Ok(seen)
    }

    fn requires(&self, resource: &str, state: &Json) -> Vec<Key> {
        match (Resource::parse(resource), state["bridge"].as_str()) {
            (Some(Resource::Port(_)), Some(bridge)) => vec![Key::new(NAME, bridge_key(bridge))],
            _ => Vec::new(),
        }
    }

    fn effects(&self, change: &Change) -> Effects {
        let mut disrupts = Vec::new();
        match Resource::parse(&change.resource) {
            Some(Resource::Bridge(name)) if change.verb != Verb::Create => {
                disrupts.push(name.to_owned());
                disrupts.extend(self.uplinks(name));
            }
            Some(Resource::Port(name)) => {
                let states = [&change.before, &change.after];
                if states.into_iter().any(takes_link) {
                    disrupts.push(name.to_owned());
                    let bridges = states.iter().filter_map(|state| state["bridge"].as_str());
                    disrupts.extend(bridges.map(str::to_owned));
                    disrupts.dedup();
                }
            }
            _ => {}
        }
        Effects {
            disrupts,
            ..Effects::default()
        }
    }

    fn atomic(&self) -> bool {
        true
    }

    fn asynchronous(&self) -> bool {
        true
    }

    fn apply(&self, changes: &[&Change], context: &Context<'_>) -> Result<(), PluginError> {
        Step::new(&self.run_dir, changes, context)?.carry_out()
    }
}
