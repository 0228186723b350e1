//! Open vSwitch as its database has it: bridges, ports, interfaces.

mod database;

use std::collections::{BTreeMap, BTreeSet};

use ovsdb::{Atom, Row, Value};
use schemars::JsonSchema;
use secret_names::is_secret;
use serde::{Deserialize, Serialize};
use serde_json::json;

use database::{Database, atoms, counters, integer, optional, strings, text, texts};
pub(super) use database::{no_bridge, run_dir};

use crate::call::Call;
use crate::error::ToolError;
use crate::page::{Page, page};
use crate::tool::{Domain, Tool};

#[derive(Deserialize, JsonSchema)]
struct Nothing {}

#[derive(Deserialize, JsonSchema)]
struct OfBridge {
    /// Only those of this bridge.
    #[serde(default)]
    bridge: Option<String>,
    #[serde(flatten)]
    page: Page,
}

/// Open vSwitch on this host.
#[derive(Serialize, JsonSchema)]
struct Shown {
    /// The version of ovs-vswitchd; null before its first start.
    ovs_version: Option<String>,
    /// The version of the database's schema.
    db_version: Option<String>,
    /// The name that this host goes by, from `external_ids:system-id`.
    system_id: Option<String>,
    /// The operating system.
    system_type: Option<String>,
    /// Its version.
    system_version: Option<String>,
    /// The last configuration that was asked for.
    next_cfg: Option<i64>,
    /// The last configuration that ovs-vswitchd has realised.
    cur_cfg: Option<i64>,
    /// What can move packets.
    datapath_types: Vec<String>,
    /// What kinds of interfaces there can be.
    interface_types: Vec<String>,
    /// Bridges, by name.
    bridges: Vec<String>,
    /// The directory of its sockets.
    run_dir: String,
}

#[derive(Serialize, JsonSchema)]
struct Bridges {
    /// The bridges, by name.
    bridges: Vec<BridgeItem>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A bridge.
#[derive(Serialize, JsonSchema)]
struct BridgeItem {
    /// Its name.
    name: String,
    /// What moves its packets; empty for the kernel's module.
    datapath_type: String,
    /// Its datapath id, as hexadecimal digits.
    datapath_id: Option<String>,
    /// What it does without a controller: `standalone` or `secure`; null for the default, standalone.
    fail_mode: Option<String>,
    /// The versions of OpenFlow that it speaks; empty for the default.
    protocols: Vec<String>,
    /// Whether it takes part in the spanning tree protocol.
    stp: bool,
    /// Its ports, by name, its own among them.
    ports: Vec<String>,
    /// Notes of other programs.
    external_ids: BTreeMap<String, String>,
}

#[derive(Serialize, JsonSchema)]
struct Ports {
    /// The ports, by bridge and name.
    ports: Vec<PortItem>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A port.
#[derive(Serialize, JsonSchema)]
struct PortItem {
    /// Its name.
    name: String,
    /// Its bridge.
    bridge: String,
    /// Its interfaces: one, or those of a bond.
    interfaces: Vec<String>,
    /// The VLAN of its untagged packets; null for a trunk.
    tag: Option<i64>,
    /// The VLANs that a trunk carries; empty for all.
    trunks: Vec<i64>,
    /// `access`, `trunk`, `native-tagged` and so on; null where `tag` says it.
    vlan_mode: Option<String>,
    /// How a bond spreads its packets.
    bond_mode: Option<String>,
    /// Notes of other programs.
    external_ids: BTreeMap<String, String>,
}

#[derive(Serialize, JsonSchema)]
struct Interfaces {
    /// The interfaces, by bridge, port and name.
    interfaces: Vec<InterfaceItem>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// An interface of a port.
#[derive(Serialize, JsonSchema)]
struct InterfaceItem {
    /// Its name.
    name: String,
    /// Its port.
    port: String,
    /// The port's bridge.
    bridge: String,
    /// Its type, such as `internal`, `vxlan`, `patch`; empty for a link of the system.
    #[serde(rename = "type")]
    kind: String,
    /// Its OpenFlow port number; -1 where it could not be made, null while it is being made.
    ofport: Option<i64>,
    /// The number that was asked for.
    ofport_request: Option<i64>,
    /// Whether it is set up: `up` or `down`.
    admin_state: Option<String>,
    /// Whether it is connected: `up` or `down`.
    link_state: Option<String>,
    /// Its speed, in bit/s.
    link_speed: Option<i64>,
    /// The largest packet it takes, in bytes.
    mtu: Option<i64>,
    /// Its hardware address in use.
    mac_in_use: Option<String>,
    /// Why it does not work, in ovs-vswitchd's words.
    error: Option<String>,
    /// Its options, such as a tunnel's other end; keys and passwords are left out.
    options: BTreeMap<String, String>,
    /// What it has carried, as ovs-vswitchd last wrote it down (every 5 s by default).
    statistics: BTreeMap<String, i64>,
}

pub(super) fn tools() -> Vec<Tool> {
    let domain = Domain::Ovs;
    vec![
        Tool::read(
            domain,
            "ovs_show",
            "Show Open vSwitch",
            "Shows the version and state of Open vSwitch on this host, and what it can do.",
            show,
        )
.says(&["version of open vswitch", "show open vswitch"])
        .example(json!({})),
        Tool::read(
            domain,
            "ovs_list_bridges",
            "List bridges",
            "Lists the bridges of Open vSwitch.",
            list_bridges,
        )
.says(&["list bridges", "which bridges does ovs have?"])
        .example(json!({})),
        Tool::read(
            domain,
            "ovs_list_ports",
            "List ports",
            "Lists the ports of Open vSwitch's bridges, or of one.",
            list_ports,
        )
.says(&["ports of bridge ovsbr0", "list ovs ports", "show the topology"])
        .example(json!({ "bridge": "ovsbr0" })),
        Tool::read(
            domain,
            "ovs_list_interfaces",
            "List interfaces",
            "Lists the interfaces of Open vSwitch's ports: their state, errors, options and statistics.",
            list_interfaces,
        )
.says(&["list ovs interfaces", "ovs interfaces of bridge ovsbr0"])
        .example(json!({ "bridge": "ovsbr0" })),
    ]
}

fn show(call: &Call<'_>, _: Nothing) -> Result<Shown, ToolError> {
    let root: &[_] = &[
        "ovs_version",
        "db_version",
        "external_ids",
        "system_type",
        "system_version",
        "next_cfg",
        "cur_cfg",
        "datapath_types",
        "iface_types",
    ];
    let database = Database::read(call, &[("Open_vSwitch", root), ("Bridge", &["name"])])?;
    let Some((_, row)) = database.rows("Open_vSwitch").next() else {
        return Err(ToolError::Unavailable(
            "Open vSwitch's database is empty: start ovs-vswitchd (`systemctl start \
             openvswitch-switch`)"
                .to_owned(),
        ));
    };
    Ok(Shown {
        ovs_version: optional(row, "ovs_version"),
        db_version: optional(row, "db_version"),
        system_id: strings(row, "external_ids").remove("system-id"),
        system_type: optional(row, "system_type"),
        system_version: optional(row, "system_version"),
        next_cfg: integer(row, "next_cfg"),
        cur_cfg: integer(row, "cur_cfg"),
        datapath_types: texts(row, "datapath_types"),
        interface_types: texts(row, "iface_types"),
        bridges: database.bridges(None)?.into_keys().collect(),
        run_dir: run_dir(call)?.display().to_string(),
    })
}

fn list_bridges(call: &Call<'_>, cut: Page) -> Result<Bridges, ToolError> {
    let columns: &[_] = &[
        "name",
        "datapath_type",
        "datapath_id",
        "fail_mode",
        "protocols",
        "stp_enable",
        "ports",
        "external_ids",
    ];
    let database = Database::read(call, &[("Bridge", columns), ("Port", &["name"])])?;
    let items = database.bridges(None)?;
    let items = items.into_iter().map(|(name, row)| {
        let ports = database.referred(row, "ports", "Port");
        let ports: BTreeSet<_> = ports.map(|port| text(port, "name")).collect();
        BridgeItem {
            name,
            datapath_type: text(row, "datapath_type"),
            datapath_id: optional(row, "datapath_id"),
            fail_mode: optional(row, "fail_mode"),
            protocols: texts(row, "protocols"),
            stp: row.get("stp_enable") == Some(&Value::Set(vec![Atom::Boolean(true)])),
            ports: ports.into_iter().collect(),
            external_ids: strings(row, "external_ids"),
        }
    });
    let (bridges, next_cursor) = page(items.collect(), &cut)?;
    Ok(Bridges {
        bridges,
        next_cursor,
    })
}

fn list_ports(call: &Call<'_>, input: OfBridge) -> Result<Ports, ToolError> {
    let columns: &[_] = &[
        "name",
        "interfaces",
        "tag",
        "trunks",
        "vlan_mode",
        "bond_mode",
        "external_ids",
    ];
    let tables: &[(_, &[_])] = &[
        ("Bridge", &["name", "ports"]),
        ("Port", columns),
        ("Interface", &["name"]),
    ];
    let database = Database::read(call, tables)?;
    let ports = database.ports(database.bridges(input.bridge.as_ref())?);
    let items = ports.into_iter().map(|((bridge, name), row)| {
        let interfaces = database.referred(row, "interfaces", "Interface");
        let interfaces: BTreeSet<_> = interfaces.map(|row| text(row, "name")).collect();
        PortItem {
            name,
            bridge,
            interfaces: interfaces.into_iter().collect(),
            tag: integer(row, "tag"),
            trunks: atoms(row, "trunks", |atom| match atom {
                Atom::Integer(number) => Some(*number),
                _ => None,
            }),
            vlan_mode: optional(row, "vlan_mode"),
            bond_mode: optional(row, "bond_mode"),
            external_ids: strings(row, "external_ids"),
        }
    });
    let (ports, next_cursor) = page(items.collect(), &input.page)?;
    Ok(Ports { ports, next_cursor })
}

fn list_interfaces(call: &Call<'_>, input: OfBridge) -> Result<Interfaces, ToolError> {
    let columns: &[_] = &[
        "name",
        "type",
        "ofport",
        "ofport_request",
        "admin_state",
        "link_state",
        "link_speed",
        "mtu",
        "mac_in_use",
        "error",
        "options",
        "statistics",
    ];
    let tables: &[(_, &[_])] = &[
        ("Bridge", &["name", "ports"]),
        ("Port", &["name", "interfaces"]),
        ("Interface", columns),
    ];
    let database = Database::read(call, tables)?;
    let ports = database.ports(database.bridges(input.bridge.as_ref())?);
    let mut items = Vec::new();
    for ((bridge, port), row) in ports {
        let interfaces = database.referred(row, "interfaces", "Interface");
        let by_name: BTreeMap<_, _> = interfaces.map(|row| (text(row, "name"), row)).collect();
        let described = |(name, row)| interface(name, &port, &bridge, row);
        items.extend(by_name.into_iter().map(described));
    }
    let (interfaces, next_cursor) = page(items, &input.page)?;
    Ok(Interfaces {
        interfaces,
        next_cursor,
    })
}

fn interface(name: String, port: &str, bridge: &str, row: &Row) -> InterfaceItem {
    let mut options = strings(row, "options");
    options.retain(|key, _| !is_secret(key));
    InterfaceItem {
        name,
        port: port.to_owned(),
        bridge: bridge.to_owned(),
        kind: text(row, "type"),
        ofport: integer(row, "ofport"),
        ofport_request: integer(row, "ofport_request"),
        admin_state: optional(row, "admin_state"),
        link_state: optional(row, "link_state"),
        link_speed: integer(row, "link_speed"),
        mtu: integer(row, "mtu"),
        mac_in_use: optional(row, "mac_in_use"),
        error: optional(row, "error"),
        options,
        statistics: counters(row, "statistics"),
    }
}
