//! Plugin `ovs`: bridges, ports and uplinks, through Open vSwitch's database.
//!
//! Resources are `bridge:NAME` and `port:NAME`. A set of changes is one transaction; after it the plugin waits
//! until ovs-vswitchd has realised it, then does the kernel's side: addresses, and what moves with an uplink.

mod links;
mod state;
mod switch;
mod transaction;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use declaration::Declaration;
use ipnet::IpNet;
use ovsdb::{Client, Done, Value};
use reconcile::{
    Change, Context, Desired, Direction, Effects, Key, Observed, Owner, Plugin, PluginError, Verb,
};
use serde_json::{Value as Json, json};

use links::{Links, Moved};
use state::{BridgeState, PortState, Resource, bridge_key, port_key, read};
use switch::{ADDRESSES, Bridge, CONTAINER, DATABASE, MOVED, PEER, Port, Switch};
use transaction::Transaction;

const NAME: &str = "ovs";
/// How long ovs-vswitchd may take to realise a transaction.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same, when changes are taken back.
const PATIENCE_FOR_UNDO: Duration = Duration::from_secs(2);

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

    fn switch(client: &Client) -> Result<Switch, PluginError> {
        let tables = client
            .tables()
            .map_err(|error| PluginError::failed("read Open vSwitch's database", error))?;
        Switch::read(&tables).ok_or_else(|| {
            PluginError::unavailable(
                "Open vSwitch's database is empty",
                "start ovs-vswitchd: `systemctl start openvswitch-switch`",
            )
        })
    }

    /// Sends the changes as one transaction and waits until it is realised.
    fn transact(
        &self,
        client: &Client,
        changes: &[&Change],
        moved: &BTreeMap<&str, Moved>,
        context: &Context<'_>,
    ) -> Result<(), PluginError> {
        let switch = Self::switch(client)?;
        let mut transaction = Transaction::new(&switch);
        // Bridges first, whatever the direction: ports refer to the rows of new ones.
        let (bridges, ports): (Vec<&Change>, Vec<&Change>) = changes.iter().partition(|change| {
            matches!(Resource::parse(&change.resource), Some(Resource::Bridge(_)))
        });
        let (gone, put): (Vec<&Change>, Vec<&Change>) = bridges
            .into_iter()
            .partition(|change| change.verb == Verb::Delete);
        for change in put.into_iter().chain(ports).chain(gone) {
            transaction.change(change, moved.get(change.resource.as_str()), context)?;
        }
        let results = client
            .transact(DATABASE, &transaction.finish(context.run))
            .map_err(|error| PluginError::failed("change Open vSwitch's database", error))?;
        let wanted = match results.last() {
            Some(Done::Rows(rows)) => rows
                .first()
                .and_then(|row| row.get("next_cfg"))
                .and_then(Value::as_i64),
            _ => None,
        };
        let Some(wanted) = wanted else {
            return Err(PluginError::failed(
                "change Open vSwitch's database",
                "it did not say which configuration this is",
            ));
        };
        // The database is back as it was: a switch that is dead will read so when it comes again.
        let undo = context.direction == Direction::Undo;
        let patience = if undo { PATIENCE_FOR_UNDO } else { PATIENCE };
        let realised = client
            .wait_for(patience, |tables| {
                Switch::read(tables)
                    .filter(|switch| switch.cur_cfg >= wanted)
                    .map(|_| ())
            })
            .map_err(|error| PluginError::failed("wait for ovs-vswitchd", error))?;
        if realised.is_some() || undo {
            return Ok(());
        }
        Err(PluginError::unavailable(
            format!("ovs-vswitchd did not take over the configuration within {PATIENCE:?}"),
            "see whether it runs: `systemctl status openvswitch-switch`",
        ))
    }

    /// What ovs-vswitchd could not do of it.
    fn check(client: &Client, changes: &[&Change]) -> Result<(), PluginError> {
        let switch = Self::switch(client)?;
        for change in changes.iter().filter(|change| change.verb != Verb::Delete) {
            let resource = Resource::parse(&change.resource);
            let (name, port) = match resource {
                Some(Resource::Bridge(name) | Resource::Port(name)) => {
                    (name, switch.ports.get(name))
                }
                None => continue,
            };
            let Some(port) = port.filter(|port| !port.external_ids.contains_key(CONTAINER)) else {
                continue;
            };
            let missing = port.ofport.is_none_or(|number| number < 0);
            let datapath = switch
                .bridges
                .get(&port.bridge)
                .map(|bridge| bridge.datapath.as_str());
            if missing
                && matches!(resource, Some(Resource::Bridge(_)))
                && datapath == Some("system")
            {
                return Err(PluginError::unavailable(
                    format!("ovs-vswitchd cannot make bridge {name} with the kernel's datapath"),
                    "load it (`modprobe openvswitch`), or declare `datapath: netdev` (userspace)",
                ));
            }
            if let Some(error) = &port.error {
                return Err(PluginError::failed(
                    format!("{} {}", change.verb, change.resource),
                    error.clone(),
                ));
            }
        }
        Ok(())
    }

    /// What each uplink of these changes has to carry over, from its port's memory or from the link itself.
    fn moved<'a>(
        switch: &Switch,
        links: &Links,
        changes: &[&'a Change],
    ) -> Result<BTreeMap<&'a str, Moved>, PluginError> {
        let mut moved = BTreeMap::new();
        for change in changes {
            let Some(Resource::Port(name)) = Resource::parse(&change.resource) else {
                continue;
            };
            let is_uplink = |state: &Json| state["uplink"] == json!(true);
            let remembered = switch.ports.get(name).and_then(remembered);
            if is_uplink(&change.after) {
                let mut found = links.movable(name)?;
                // What an interrupted move has brought over already is no longer on the link.
                if let Some(before) = remembered
                    && found.addresses.is_empty()
                {
                    found = before;
                }
                moved.insert(change.resource.as_str(), found);
            } else if is_uplink(&change.before)
                && let Some(before) = remembered
            {
                moved.insert(change.resource.as_str(), before);
            }
        }
        Ok(moved)
    }

    /// The kernel's side of one change, after the database's.
    fn settle(
        &self,
        links: &Links,
        change: &Change,
        moved: Option<&Moved>,
    ) -> Result<(), PluginError> {
        match Resource::parse(&change.resource) {
            Some(Resource::Bridge(name)) if change.verb != Verb::Delete => {
                let state: BridgeState = read(&change.after)?;
                let before: Vec<IpNet> = match change.verb {
                    Verb::Update => read::<BridgeState>(&change.before)?.addresses,
                    Verb::Create | Verb::Delete => Vec::new(),
                };
                links.address(name, &before, &state.addresses)
            }
            Some(Resource::Port(name)) => {
                if change.verb != Verb::Delete && change.after["type"] != json!("internal") {
                    links.set_up(name)?;
                }
                let bridge = |state: &Json| state["bridge"].as_str().unwrap_or_default().to_owned();
                let Some(moved) = moved else {
                    if change.before["type"] == json!("veth")
                        && change.after["type"] != json!("veth")
                    {
                        links.unpair(name)?;
                    }
                    return Ok(());
                };
                match change.after["uplink"] == json!(true) {
                    true => links.carry(moved, name, &bridge(&change.after)),
                    false => links.carry(moved, &bridge(&change.before), name),
                }
            }
            _ => Ok(()),
        }
    }
}

/// What a port remembers of the move of its uplink.
fn remembered(port: &Port) -> Option<Moved> {
    serde_json::from_str(port.external_ids.get(MOVED)?).ok()
}

/// A bridge in the normal form: of its addresses those that we gave it and it still has.
fn bridge_state(
    links: &Links,
    name: &str,
    bridge: &Bridge,
    wanted: &[IpNet],
) -> Result<Json, PluginError> {
    let recorded = bridge
        .external_ids
        .get(ADDRESSES)
        .map(String::as_str)
        .unwrap_or_default();
    let mut addresses: Vec<IpNet> = recorded
        .split(' ')
        .filter_map(|text| text.parse().ok())
        .collect();
    if !bridge.is_ours() {
        addresses = wanted.to_vec();
    }
    let present = links.addresses(name)?;
    addresses.retain(|address| present.contains(address));
    addresses.sort();
    addresses.dedup();
    Ok(json!(BridgeState {
        datapath: bridge.datapath.clone(),
        fail_mode: bridge.fail_mode.clone(),
        addresses,
    }))
}

/// A port in the normal form.
fn port_state(links: &Links, name: &str, port: &Port) -> Result<Json, PluginError> {
    let peer = port.external_ids.get(PEER).cloned();
    let paired = match &peer {
        Some(peer) => match (links.find(name)?, links.find(peer)?) {
            (Some(one), Some(other)) => one.peer == Some(other.index),
            _ => false,
        },
        None => false,
    };
    let kind = match (port.kind.as_str(), &peer) {
        ("", Some(_)) if paired => "veth",
        // A pair that is gone is no veth port any more: it differs, and is made again.
        ("", Some(_)) => "unpaired",
        ("" | "system", None) => "system",
        (other, _) => other,
    };
    let moved = match remembered(port) {
        Some(moved) => {
            let left = links.addresses(name)?;
            !moved.addresses.iter().any(|address| left.contains(address))
        }
        None => false,
    };
    let small = |number: Option<i64>| number.and_then(|number| u16::try_from(number).ok());
    Ok(json!(PortState {
        bridge: port.bridge.clone(),
        kind: kind.to_owned(),
        tag: small(port.tag),
        peer,
        uplink: moved,
        ofport: small(port.ofport_request),
        up: match kind {
            // Only who uses an internal port knows when it should be up.
            "internal" => true,
            _ => links.find(name)?.is_none_or(|link| link.up),
        },
        container: port.external_ids.get(CONTAINER).cloned(),
    }))
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
        let switch = Self::switch(&client)?;
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
                let wanted = wanted
                    .map(|wanted| read::<BridgeState>(&wanted.state))
                    .transpose()?;
                let wanted = wanted.map(|wanted| wanted.addresses).unwrap_or_default();
                see(
                    resource,
                    bridge.is_ours(),
                    bridge_state(&links, name, bridge, &wanted)?,
                );
            }
        }
        for (name, port) in &switch.ports {
            let resource = port_key(name);
            let local = switch.bridges.contains_key(name);
            if !local && (port.is_ours() || self.desired.contains_key(&resource)) {
                see(resource, port.is_ours(), port_state(&links, name, port)?);
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
            }
            Some(Resource::Port(name)) => {
                let states = [&change.before, &change.after];
                if states.iter().any(|state| state["uplink"] == json!(true)) {
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
        let client = switch::connect(&self.run_dir)?;
        let links = Links::open()?;
        let moved = Self::moved(&Self::switch(&client)?, &links, changes)?;
        for change in changes {
            if let (Some(Resource::Port(name)), Some(peer)) = (
                Resource::parse(&change.resource),
                change.after["peer"].as_str(),
            ) {
                links.pair(name, peer)?;
            }
        }
        self.transact(&client, changes, &moved, context)?;
        if context.direction == Direction::Forward {
            Self::check(&client, changes)?;
        }
        for change in changes {
            self.settle(&links, change, moved.get(change.resource.as_str()))?;
        }
        Ok(())
    }
}
