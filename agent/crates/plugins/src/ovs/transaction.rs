//! Changes as one OVSDB transaction.

use std::collections::BTreeMap;

use ovsdb::{Atom, Mutator, Operation, Value, Where};
use reconcile::{Change, Context, Direction, PluginError, Verb};

use super::state::{BridgeState, PortState, Resource, UNMADE, read};
use super::switch::{ADDRESSES, Bridge, CONTAINER, MARK, MOVED, OURS, PEER, Port, Switch};
use super::uplink::Moved;

/// Operations under construction.
pub(super) struct Transaction<'a> {
    switch: &'a Switch,
    /// Bridges that this transaction inserts, by name, and the name of their row in it.
    fresh: BTreeMap<String, String>,
    /// What must still hold; in front of all operations.
    required: Vec<Operation>,
    operations: Vec<Operation>,
}

type Columns = BTreeMap<&'static str, Value>;

impl<'a> Transaction<'a> {
    pub(super) fn new(switch: &'a Switch) -> Self {
        Self {
            switch,
            fresh: BTreeMap::new(),
            required: Vec::new(),
            operations: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// The operations, and after them the request to realise them, whose number comes back in the last
    /// result.
    pub(super) fn finish(mut self, run: &str) -> Vec<Operation> {
        let root = Where::uuid(&self.switch.root);
        self.operations
            .push(Operation::Comment(format!("op-dbus run {run}")));
        self.operations.push(Operation::Mutate {
            table: "Open_vSwitch",
            rows: root.clone(),
            mutations: vec![("next_cfg", Mutator::Add, Value::of(1))],
        });
        self.operations.push(Operation::Select {
            table: "Open_vSwitch",
            rows: root,
            columns: vec!["next_cfg"],
        });
        self.required.append(&mut self.operations);
        self.required
    }

    /// Adds one change. `moved` is what an uplink's port has to remember.
    pub(super) fn change(
        &mut self,
        change: &Change,
        moved: Option<&Moved>,
        context: &Context<'_>,
    ) -> Result<(), PluginError> {
        let unmark = change.adopts && context.direction == Direction::Undo;
        match (Resource::parse(&change.resource), change.verb) {
            (Some(Resource::Bridge(name)), Verb::Delete) => self.delete_bridge(name),
            (Some(Resource::Bridge(name)), _) => {
                let state: BridgeState = read(&change.after)?;
                self.put_bridge(name, &state, change, unmark)
            }
            (Some(Resource::Port(name)), Verb::Delete) => {
                self.delete_port(name);
                Ok(())
            }
            (Some(Resource::Port(name)), _) => {
                let state: PortState = read(&change.after)?;
                self.put_port(name, &state, change, moved, unmark)
            }
            (None, _) => Err(PluginError::failed(
                format!("change {}", change.resource),
                "it is neither a bridge nor a port",
            )),
        }
    }

    fn put_bridge(
        &mut self,
        name: &str,
        state: &BridgeState,
        change: &Change,
        unmark: bool,
    ) -> Result<(), PluginError> {
        let addresses: Vec<_> = state.addresses.iter().map(ToString::to_string).collect();
        let addresses = addresses.join(" ");
        let marks = [(MARK, "1"), (ADDRESSES, addresses.as_str())];
        let datapath = state.datapath.trim_end_matches(UNMADE);
        let mut columns = Columns::from([
            ("datapath_type", Value::of(Atom::from(datapath))),
            ("fail_mode", Value::of(Atom::from(state.fail_mode.as_str()))),
        ]);
        if let Some(bridge) = self.switch.bridges.get(name) {
            foreign(bridge.is_ours(), change, "bridge", name)?;
            let rows = Where::uuid(&bridge.uuid);
            self.operations.push(Operation::Update {
                table: "Bridge",
                rows: rows.clone(),
                row: columns,
            });
            self.operations.push(mark("Bridge", rows, &marks, unmark));
            return Ok(());
        }
        let place = self.operations.len();
        let (bridge, port, interface) = (
            format!("bridge{place}"),
            format!("local{place}"),
            format!("localif{place}"),
        );
        self.insert(
            "Interface",
            &interface,
            Columns::from([
                ("name", Value::of(Atom::from(name))),
                ("type", Value::of(Atom::from("internal"))),
            ]),
        );
        self.insert(
            "Port",
            &port,
            Columns::from([
                ("name", Value::of(Atom::from(name))),
                ("interfaces", named(&interface)),
            ]),
        );
        columns.insert("name", Value::of(Atom::from(name)));
        columns.insert("ports", named(&port));
        columns.insert("external_ids", Value::map(marks));
        self.insert("Bridge", &bridge, columns);
        self.operations.push(Operation::Mutate {
            table: "Open_vSwitch",
            rows: Where::uuid(&self.switch.root),
            mutations: vec![("bridges", Mutator::Insert, named(&bridge))],
        });
        self.fresh.insert(name.to_owned(), bridge);
        Ok(())
    }

    fn delete_bridge(&mut self, name: &str) -> Result<(), PluginError> {
        // One that is not ours has come since; ours is gone already.
        let bridge = self.switch.bridges.get(name);
        let Some(bridge) = bridge.filter(|bridge| bridge.is_ours()) else {
            return Ok(());
        };
        let foreign: Vec<_> = self
            .switch
            .ports_of(name)
            .filter(|(_, port)| !port.is_ours())
            .map(|(name, _)| name.as_str())
            .collect();
        if !foreign.is_empty() {
            return Err(PluginError::failed(
                format!("delete bridge {name}"),
                format!(
                    "it has ports that are not ours and would go with it: {}. Take them off first",
                    foreign.join(", ")
                ),
            ));
        }
        let ports = bridge.ports.iter().cloned().map(Atom::from).collect();
        self.required.push(Operation::Require {
            table: "Bridge",
            rows: Where::uuid(&bridge.uuid),
            row: Columns::from([("ports", Value::Set(ports))]),
        });
        // Its ports and interfaces go with it, since nothing refers to them any more.
        self.operations.push(Operation::Mutate {
            table: "Open_vSwitch",
            rows: Where::uuid(&self.switch.root),
            mutations: vec![("bridges", Mutator::Delete, Value::of(bridge.uuid.clone()))],
        });
        Ok(())
    }

    fn put_port(
        &mut self,
        name: &str,
        state: &PortState,
        change: &Change,
        moved: Option<&Moved>,
        unmark: bool,
    ) -> Result<(), PluginError> {
        let moved = moved.and_then(|moved| serde_json::to_string(moved).ok());
        let mut marks = vec![(MARK, "1")];
        marks.extend(
            state
                .container
                .as_deref()
                .map(|container| (CONTAINER, container)),
        );
        marks.extend(state.peer.as_deref().map(|peer| (PEER, peer)));
        marks.extend(moved.as_deref().map(|moved| (MOVED, moved)));
        let kind = if state.kind == "internal" {
            "internal"
        } else {
            ""
        };
        let number = |number: Option<u16>| {
            number.map_or(Value::EMPTY, |number| Value::of(i64::from(number)))
        };
        let interface = Columns::from([
            ("type", Value::of(Atom::from(kind))),
            ("ofport_request", number(state.ofport)),
        ]);
        let tag = number(state.tag);
        let Some(port) = self.switch.ports.get(name) else {
            let place = self.operations.len();
            let (row, device) = (format!("port{place}"), format!("interface{place}"));
            let mut interface = interface;
            interface.insert("name", Value::of(Atom::from(name)));
            self.insert("Interface", &device, interface);
            self.insert(
                "Port",
                &row,
                Columns::from([
                    ("name", Value::of(Atom::from(name))),
                    ("interfaces", named(&device)),
                    ("tag", tag),
                    ("external_ids", Value::map(marks)),
                ]),
            );
            return self.attach(&state.bridge, named(&row));
        };
        foreign(port.is_ours(), change, "port", name)?;
        let rows = Where::uuid(&port.uuid);
        self.operations.push(Operation::Update {
            table: "Port",
            rows: rows.clone(),
            row: Columns::from([("tag", tag)]),
        });
        self.operations.push(mark("Port", rows, &marks, unmark));
        if let Some(device) = &port.interface {
            self.operations.push(Operation::Update {
                table: "Interface",
                rows: Where::uuid(device),
                row: interface,
            });
        }
        if port.bridge != state.bridge {
            self.detach(port);
            self.attach(&state.bridge, Value::of(port.uuid.clone()))?;
        }
        Ok(())
    }

    /// Takes a port off its bridge, if it is ours.
    pub(super) fn delete_port(&mut self, name: &str) {
        let port = self.switch.ports.get(name);
        if let Some(port) = port.filter(|port| port.is_ours()) {
            self.detach(port);
        }
    }

    fn attach(&mut self, bridge: &str, port: Value) -> Result<(), PluginError> {
        let rows = match (self.fresh.get(bridge), self.switch.bridges.get(bridge)) {
            (Some(row), _) => Where::row(&Atom::Named(row.clone())),
            (None, Some(Bridge { uuid, .. })) => Where::uuid(uuid),
            (None, None) => {
                return Err(PluginError::failed(
                    format!("add a port to bridge {bridge}"),
                    "there is no such bridge",
                ));
            }
        };
        self.operations.push(Operation::Mutate {
            table: "Bridge",
            rows,
            mutations: vec![("ports", Mutator::Insert, port)],
        });
        Ok(())
    }

    fn detach(&mut self, port: &Port) {
        if let Some(bridge) = self.switch.bridges.get(&port.bridge) {
            self.operations.push(Operation::Mutate {
                table: "Bridge",
                rows: Where::uuid(&bridge.uuid),
                mutations: vec![("ports", Mutator::Delete, Value::of(port.uuid.clone()))],
            });
        }
    }

    fn insert(&mut self, table: &'static str, name: &str, row: Columns) {
        self.operations.push(Operation::Insert {
            table,
            row,
            name: name.to_owned(),
        });
    }
}

fn named(name: &str) -> Value {
    Value::Set(vec![Atom::Named(name.to_owned())])
}

/// Somebody may have made it since the plan.
fn foreign(ours: bool, change: &Change, what: &str, name: &str) -> Result<(), PluginError> {
    if ours || change.adopts {
        return Ok(());
    }
    Err(PluginError::failed(
        format!("{} {what} {name}", change.verb),
        "it is there already and not ours",
    ))
}

/// Puts our marks into a row's `external_ids` in place of earlier ones, or takes all of ours away. Those of
/// others are not touched, whoever writes them meanwhile.
fn mark(table: &'static str, rows: Where, marks: &[(&str, &str)], unmark: bool) -> Operation {
    let ours = Value::Set(OURS.into_iter().map(Atom::from).collect());
    let mut mutations = vec![("external_ids", Mutator::Delete, ours)];
    if !unmark {
        let marks = Value::map(marks.iter().copied());
        mutations.push(("external_ids", Mutator::Insert, marks));
    }
    Operation::Mutate {
        table,
        rows,
        mutations,
    }
}
