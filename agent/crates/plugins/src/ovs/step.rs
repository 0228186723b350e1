//! One set of changes, carried out: what has to come before the database's transaction, the transaction,
//! and what follows from it in the kernel.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;
use ovsdb::{Client, Done, Error, Operation, Tables, Value};
use reconcile::{Change, Context, Direction, PluginError, Verb};
use serde_json::Value as Json;

use super::links::Links;
use super::state::{BridgeState, Resource, read};
use super::switch::{self, CONTAINER, DATABASE, PEER, Port, Switch};
use super::transaction::Transaction;
use super::uplink::Moved;

/// How long ovs-vswitchd may take to realise a transaction: so long, and for each change a little more.
const PATIENCE: Duration = Duration::from_secs(10);
const PATIENCE_EACH: Duration = Duration::from_millis(20);
/// The same, when changes are taken back.
const PATIENCE_FOR_UNDO: Duration = Duration::from_secs(2);

/// What the changes need while they are carried out.
pub(super) struct Step<'a> {
    client: Client,
    links: Links,
    changes: &'a [&'a Change],
    context: &'a Context<'a>,
}

impl<'a> Step<'a> {
    pub(super) fn new(
        run_dir: &Path,
        changes: &'a [&'a Change],
        context: &'a Context<'a>,
    ) -> Result<Self, PluginError> {
        Ok(Self {
            client: switch::connect(run_dir)?,
            links: Links::open()?,
            changes,
            context,
        })
    }

    /// Carries the changes out. Each part may have been done already.
    pub(super) fn carry_out(&self) -> Result<(), PluginError> {
        let before = Switch::current(&self.client)?;
        self.bring_home(&before)?;
        let after = self.take_out_replaced(before)?;
        let moved = self.moves(&after)?;
        self.make_pairs()?;
        if !self.is_undo() {
            self.refuse_taken_names(&after)?;
        }
        let realised = self.change_database(&after, &moved)?;
        if !self.is_undo() {
            self.check()?;
        }
        self.settle(&after, &moved, realised)
    }

    fn is_undo(&self) -> bool {
        self.context.direction == Direction::Undo
    }

    fn ports(&self) -> impl Iterator<Item = (&'a Change, &'a str)> {
        self.changes
            .iter()
            .filter_map(|change| match Resource::parse(&change.resource) {
                Some(Resource::Port(name)) => Some((*change, name)),
                _ => None,
            })
    }

    /// Moves back what uplinks have brought to bridges that they leave. Before the transaction, since that
    /// deletes the record of it.
    fn bring_home(&self, switch: &Switch) -> Result<(), PluginError> {
        for (change, name) in self.ports() {
            let Some(port) = switch.ports.get(name).filter(|port| port.is_ours()) else {
                continue;
            };
            let stays = is_uplink(&change.after) && bridge_of(&change.after) == port.bridge;
            let Some(moved) = port.moved().filter(|_| !stays) else {
                continue;
            };
            if self.links.find(name)?.is_none() {
                log::warn!(
                    "uplink {name} is gone; what it brought stays on bridge {}",
                    port.bridge
                );
                continue;
            }
            let bridge = switch.bridges.get(&port.bridge);
            let kept = bridge.map(switch::Bridge::addresses).unwrap_or_default();
            moved.carry(&self.links, &port.bridge, name, &kept)?;
        }
        Ok(())
    }

    /// Takes ports out whose link has to become another under the same name.
    fn take_out_replaced(&self, switch: Switch) -> Result<Switch, PluginError> {
        let mut transaction = Transaction::new(&switch);
        for (change, name) in self.ports() {
            let port = switch.ports.get(name).filter(|port| port.is_ours());
            if port.is_some_and(|port| is_replaced(port, change)) {
                transaction.delete_port(name);
            }
        }
        let switch = if transaction.is_empty() {
            switch
        } else {
            self.commit(transaction)?;
            Switch::current(&self.client)?
        };
        for (change, name) in self.ports() {
            if let Some(peer) = change.before["peer"].as_str()
                && change.verb != Verb::Delete
                && change.after["peer"] != change.before["peer"]
            {
                self.links.unpair(name, peer)?;
            }
        }
        Ok(switch)
    }

    /// What each uplink of these changes brings to its bridge.
    fn moves(&self, switch: &Switch) -> Result<BTreeMap<&'a str, Moved>, PluginError> {
        let mut moves = BTreeMap::new();
        for (change, name) in self.ports().filter(|(change, _)| is_uplink(&change.after)) {
            let found = Moved::off(&self.links, name)?;
            let before = switch.ports.get(name).and_then(Port::moved);
            let moved = match before {
                Some(before) => {
                    let bridge = self.links.addresses(bridge_of(&change.after))?;
                    found.resume(before, &bridge)
                }
                None => found,
            };
            moves.insert(change.resource.as_str(), moved);
        }
        Ok(moves)
    }

    fn make_pairs(&self) -> Result<(), PluginError> {
        for (change, name) in self.ports() {
            if let Some(peer) = change.after["peer"].as_str() {
                self.links.pair(name, peer)?;
            }
        }
        Ok(())
    }

    /// ovs-vswitchd would fail at, or take over, a link that is not Open vSwitch's.
    fn refuse_taken_names(&self, switch: &Switch) -> Result<(), PluginError> {
        for change in self
            .changes
            .iter()
            .filter(|change| change.verb != Verb::Delete)
        {
            let name = match Resource::parse(&change.resource) {
                Some(Resource::Bridge(name)) => name,
                Some(Resource::Port(name)) if change.after["type"] == "internal" => name,
                _ => continue,
            };
            if !switch.ports.contains_key(name) && self.links.is_taken(name)? {
                return Err(PluginError::failed(
                    format!("create {}", change.resource),
                    format!(
                        "a link `{name}` is there already and is not Open vSwitch's; rename it, \
                         or declare another name"
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Sends the changes as one transaction; whether ovs-vswitchd has realised it.
    fn change_database(
        &self,
        switch: &Switch,
        moves: &BTreeMap<&str, Moved>,
    ) -> Result<bool, PluginError> {
        let mut transaction = Transaction::new(switch);
        // Whatever the direction: ports refer to the rows of new bridges.
        let rank = |change: &Change| match (Resource::parse(&change.resource), change.verb) {
            (Some(Resource::Bridge(_)), Verb::Delete) => 2,
            (Some(Resource::Bridge(_)), _) => 0,
            _ => 1,
        };
        let mut changes = self.changes.to_vec();
        changes.sort_by_key(|change| rank(change));
        for change in changes {
            transaction.change(change, moves.get(change.resource.as_str()), self.context)?;
        }
        self.commit(transaction)
    }

    /// Whether the transaction is realised. Only an undo goes on if it is not: ovs-vswitchd reads the
    /// database when it starts.
    fn commit(&self, transaction: Transaction<'_>) -> Result<bool, PluginError> {
        let operations = transaction.finish(self.context.run);
        let wanted = self.send(&operations)?;
        let size = u32::try_from(self.changes.len()).unwrap_or_default();
        let patience = match self.context.direction {
            Direction::Forward => PATIENCE + PATIENCE_EACH * size,
            Direction::Undo => PATIENCE_FOR_UNDO,
        };
        let seen = |tables: &Tables| (switch::cur_cfg(tables)? >= wanted).then_some(());
        let realised = self
            .client
            .wait_for(patience, seen)
            .map_err(|error| PluginError::failed("wait for ovs-vswitchd", error))?
            .is_some();
        let what = format!("ovs-vswitchd did not take over the configuration within {patience:?}");
        if realised {
            return Ok(true);
        }
        if self.is_undo() {
            log::warn!("{what}; it will when it starts");
            return Ok(false);
        }
        Err(PluginError::unavailable(
            what,
            "see whether it runs: `systemctl status openvswitch-switch`",
        ))
    }

    /// The number of the configuration that the transaction made.
    fn send(&self, operations: &[Operation]) -> Result<i64, PluginError> {
        let doing = "change Open vSwitch's database";
        let results = self
            .client
            .transact(DATABASE, operations)
            .map_err(|error| match error {
                Error::Refused(refusal) if refusal.kind == "timed out" => PluginError::failed(
                    doing,
                    "somebody else changed the ports of a bridge at the same time; try again",
                ),
                error => PluginError::failed(doing, error),
            })?;
        let number = match results.last() {
            Some(Done::Rows(rows)) => rows
                .first()
                .and_then(|row| row.get("next_cfg"))
                .and_then(Value::as_i64),
            _ => None,
        };
        number
            .ok_or_else(|| PluginError::failed(doing, "it did not say which configuration this is"))
    }

    /// What ovs-vswitchd could not do of it.
    fn check(&self) -> Result<(), PluginError> {
        let switch = Switch::current(&self.client)?;
        for change in self
            .changes
            .iter()
            .filter(|change| change.verb != Verb::Delete)
        {
            let Some(Resource::Bridge(name) | Resource::Port(name)) =
                Resource::parse(&change.resource)
            else {
                continue;
            };
            let port = switch.ports.get(name);
            let Some(port) = port.filter(|port| !port.external_ids.contains_key(CONTAINER)) else {
                continue;
            };
            let doing = format!("{} {}", change.verb, change.resource);
            if let Some(error) = &port.error {
                return Err(PluginError::failed(doing, error.clone()));
            }
            if port.ofport.is_some_and(|number| number >= 0) {
                continue;
            }
            let bridge = switch.bridges.get(&port.bridge);
            if bridge.is_some_and(|bridge| bridge.datapath == "system") {
                return Err(PluginError::unavailable(
                    format!(
                        "ovs-vswitchd cannot make bridge {} with the kernel's datapath",
                        port.bridge
                    ),
                    "load it (`modprobe openvswitch`), or declare `datapath: netdev` (userspace)",
                ));
            }
            return Err(PluginError::failed(
                doing,
                "ovs-vswitchd did not make it; its log says why",
            ));
        }
        Ok(())
    }

    /// The kernel's side of the changes. `before` is the database before the transaction.
    fn settle(
        &self,
        before: &Switch,
        moves: &BTreeMap<&str, Moved>,
        realised: bool,
    ) -> Result<(), PluginError> {
        let is_there = |name: &str| -> Result<bool, PluginError> {
            Ok(realised || self.links.find(name)?.is_some())
        };
        for change in self.changes {
            match (Resource::parse(&change.resource), change.verb) {
                (Some(Resource::Bridge(name)), Verb::Create | Verb::Update) if is_there(name)? => {
                    self.links.claim(name)?;
                    self.give_addresses(before, name, change)?;
                }
                (Some(Resource::Port(name)), Verb::Create | Verb::Update) => {
                    match change.after["type"] == "internal" {
                        true => self.links.claim(name)?,
                        false => self.links.up_if_there(name)?,
                    }
                    let bridge = bridge_of(&change.after);
                    if let Some(moved) = moves.get(change.resource.as_str())
                        && is_there(bridge)?
                    {
                        moved.carry(&self.links, name, bridge, &[])?;
                    }
                }
                (Some(Resource::Port(name)), Verb::Delete) => {
                    if let Some(peer) = change.before["peer"].as_str() {
                        self.links.unpair(name, peer)?;
                    }
                    self.links.remove_abandoned(name)?;
                }
                (Some(Resource::Bridge(name)), Verb::Delete) => {
                    self.links.remove_abandoned(name)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn give_addresses(
        &self,
        before: &Switch,
        name: &str,
        change: &Change,
    ) -> Result<(), PluginError> {
        let wanted = read::<BridgeState>(&change.after)?.addresses;
        // Of an earlier attempt the database knows only what it wanted, so the change is asked too.
        let mut gone: Vec<IpNet> = match change.verb {
            Verb::Update => read::<BridgeState>(&change.before)?.addresses,
            Verb::Create | Verb::Delete => Vec::new(),
        };
        let recorded = before.bridges.get(name);
        gone.extend(recorded.map(switch::Bridge::addresses).unwrap_or_default());
        let brought = before.brought_to(name);
        gone.retain(|address| !wanted.contains(address) && !brought.contains(address));
        self.links.address(name, &wanted, &gone)
    }
}

fn is_uplink(state: &Json) -> bool {
    state["uplink"] == true
}

fn bridge_of(state: &Json) -> &str {
    state["bridge"].as_str().unwrap_or_default()
}

/// Whether the link under a port's name has to become another one.
fn is_replaced(port: &Port, change: &Change) -> bool {
    let was_internal = port.kind == "internal";
    let peer = port.external_ids.get(PEER);
    change.verb == Verb::Update
        && (was_internal != (change.after["type"] == "internal")
            || peer.is_some_and(|peer| change.after["peer"] != peer.as_str()))
}
