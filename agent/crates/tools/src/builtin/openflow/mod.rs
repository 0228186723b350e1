//! The flow tables of Open vSwitch's bridges, over OpenFlow 1.3.

mod text;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::time::Duration;

use declaration::BridgeName;
use openflow::{Connection, Cookie, Error, FlowFilter, FlowStats, PortNo};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::ovs::{no_bridge, run_dir};
use crate::call::Call;
use crate::error::ToolError;
use crate::page::{Page, page};
use crate::tool::{Domain, Tool};

/// How long the switch may keep silent.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Deserialize, JsonSchema)]
struct OfFlows {
    /// The bridge.
    bridge: String,
    /// Only the flows of this table.
    #[serde(default)]
    #[schemars(range(min = 0, max = 254))]
    table: Option<u8>,
    /// Only flows with this cookie: `VALUE`, or `VALUE/MASK` where only the mask's bits count, decimal or
    /// hexadecimal with `0x`.
    #[serde(default)]
    cookie: Option<String>,
    #[serde(flatten)]
    page: Page,
}

#[derive(Deserialize, JsonSchema)]
struct OfBridge {
    /// The bridge.
    bridge: String,
    #[serde(flatten)]
    page: Page,
}

#[derive(Deserialize, JsonSchema)]
struct OfTables {
    /// The bridge.
    bridge: String,
    /// The tables without flows too.
    #[serde(default)]
    empty: bool,
    #[serde(flatten)]
    page: Page,
}

#[derive(Deserialize, JsonSchema)]
struct Counted {
    /// The bridge.
    bridge: String,
    /// Only the flows of this table.
    #[serde(default)]
    #[schemars(range(min = 0, max = 254))]
    table: Option<u8>,
    /// Only flows with this cookie: `VALUE` or `VALUE/MASK`.
    #[serde(default)]
    cookie: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Flows {
    /// The flows, by table, then the highest priority first.
    flows: Vec<FlowItem>,
    /// How many flows there are in all that the filter lets through.
    total: usize,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A flow, in the words of `ovs-ofctl dump-flows`.
#[derive(Serialize, JsonSchema)]
struct FlowItem {
    /// The number that who made it keeps with it, hexadecimal.
    cookie: String,
    /// The table.
    table: u8,
    /// Priority and match. What this program has no words for stands as `raw:` with hexadecimal digits.
    #[serde(rename = "match")]
    matches: String,
    /// What is done with packets.
    actions: String,
    /// For how many seconds it has been there.
    duration_seconds: u64,
    /// It goes after so many seconds without a packet; 0 for never.
    idle_timeout: u16,
    /// It goes after so many seconds; 0 for never.
    hard_timeout: u16,
    /// Packets that matched.
    packets: u64,
    /// Bytes in them.
    bytes: u64,
}

#[derive(Serialize, JsonSchema)]
struct Tables {
    /// The tables, by number.
    tables: Vec<TableItem>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A flow table.
#[derive(Serialize, JsonSchema)]
struct TableItem {
    /// Its number.
    table: u8,
    /// Flows in it.
    active: u32,
    /// Packets that were looked up in it.
    lookups: u64,
    /// Those of them that a flow matched.
    matched: u64,
}

#[derive(Serialize, JsonSchema)]
struct Ports {
    /// The ports, by number.
    ports: Vec<PortItem>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A port of a bridge.
#[derive(Serialize, JsonSchema)]
struct PortItem {
    /// Its OpenFlow port number; 4294967294 (LOCAL) is the bridge's own.
    number: u32,
    /// Its name.
    name: String,
    /// Its Ethernet address.
    mac: String,
    /// Whether it has a link.
    link: bool,
    /// What came in by it.
    received: Option<Traffic>,
    /// What went out by it.
    sent: Option<Traffic>,
}

/// What a port has carried in one direction; null where the switch does not count.
#[derive(Serialize, JsonSchema)]
struct Traffic {
    /// Packets.
    packets: Option<u64>,
    /// Bytes in them.
    bytes: Option<u64>,
    /// Packets that were dropped.
    dropped: Option<u64>,
    /// Packets that were damaged or could not be sent.
    errors: Option<u64>,
}

/// Flows taken together.
#[derive(Serialize, JsonSchema)]
struct Totals {
    /// How many there are.
    flows: u32,
    /// Packets that they matched.
    packets: u64,
    /// Bytes in these.
    bytes: u64,
}

pub(super) fn tools() -> Vec<Tool> {
    let domain = Domain::Ovs;
    vec![
        Tool::read(
            domain,
            "ovs_dump_flows",
            "Dump flows",
            "Lists the flows of a bridge with their counters, in the words of ovs-ofctl, read from the \
             switch itself over OpenFlow 1.3.",
            dump_flows,
        )
.says(&["show the flows of ovsbr0", "flows of ovsbr0 in table 10"])
        .example(json!({ "bridge": "ovsbr0" }))
        .example(json!({ "bridge": "ovsbr0", "table": 10, "cookie": "0x6f70646200000000/0xffffffff00000000" })),
        Tool::read(
            domain,
            "openflow_list_tables",
            "List flow tables",
            "Lists the flow tables of a bridge: how many flows each holds and how many packets it saw.",
            list_tables,
        )
.says(&["flow tables of ovsbr0", "list the flow tables of bridge ovsbr0"])
        .example(json!({ "bridge": "ovsbr0" })),
        Tool::read(
            domain,
            "openflow_list_ports",
            "List OpenFlow ports",
            "Lists the ports of a bridge as flows name them: numbers, names, links and counters.",
            list_ports,
        )
.says(&["openflow ports of ovsbr0", "port numbers of bridge ovsbr0"])
        .example(json!({ "bridge": "ovsbr0" })),
        Tool::read(
            domain,
            "openflow_flow_counts",
            "Count flows",
            "Counts the flows of a bridge, and the packets and bytes that they matched.",
            flow_counts,
        )
.says(&["how many flows does ovsbr0 have?", "count the flows of ovsbr0"])
        .example(json!({ "bridge": "ovsbr0", "table": 0 })),
    ]
}

/// Connects to a bridge.
fn connect(call: &Call<'_>, bridge: &str) -> Result<Connection, ToolError> {
    // Not for every name is there a file of that name and no other.
    let name: BridgeName = bridge.parse().map_err(|_| no_bridge(bridge))?;
    let socket = run_dir(call)?.join(format!("{name}.mgmt"));
    Connection::connect(&socket, PATIENCE).map_err(|error| match &error {
        Error::Connect { source, .. } => match source.kind() {
            ErrorKind::NotFound => no_bridge(bridge),
            ErrorKind::PermissionDenied => {
                ToolError::Unavailable(format!("{error}: run this as root"))
            }
            _ => ToolError::Unavailable(format!(
                "{error}: ovs-vswitchd does not run; start it with `systemctl start \
                 openvswitch-switch`"
            )),
        },
        Error::Version => ToolError::Unavailable(error.to_string()),
        _ => failed(bridge)(error),
    })
}

fn failed(bridge: &str) -> impl Fn(Error) -> ToolError {
    move |error| ToolError::failed(&format!("ask bridge {bridge}"), error)
}

/// `VALUE` or `VALUE/MASK`.
fn cookie(text: Option<&String>) -> Result<Cookie, ToolError> {
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    let Some(text) = text else {
        return Ok(Cookie::ANY);
    };
    let read = match text.split_once('/') {
        Some((value, mask)) => number(value).zip(number(mask)),
        None => number(text).zip(Some(u64::MAX)),
    };
    let (value, mask) = read.ok_or_else(|| {
        ToolError::Invalid(format!(
            "`{text}` is no cookie: write a number, such as 0x1f, or NUMBER/MASK"
        ))
    })?;
    Ok(Cookie { value, mask })
}

fn dump_flows(call: &Call<'_>, input: OfFlows) -> Result<Flows, ToolError> {
    let filter = FlowFilter {
        table: input.table,
        cookie: cookie(input.cookie.as_ref())?,
    };
    let mut connection = connect(call, &input.bridge)?;
    let flows = connection.flows(&filter).map_err(failed(&input.bridge))?;
    let total = flows.len();
    let mut items: Vec<_> = flows.iter().map(item).collect();
    items.sort_by(|(one, one_priority), (other, other_priority)| {
        let tables = one.table.cmp(&other.table);
        let priorities = other_priority.cmp(one_priority);
        tables
            .then(priorities)
            .then_with(|| one.matches.cmp(&other.matches))
    });
    let items = items.into_iter().map(|(item, _)| item).collect();
    let (flows, next_cursor) = page(items, &input.page)?;
    Ok(Flows {
        flows,
        total,
        next_cursor,
    })
}

/// A flow in words, and its priority.
fn item(entry: &FlowStats) -> (FlowItem, u16) {
    let item = FlowItem {
        cookie: format!("{:#x}", entry.flow.cookie),
        table: entry.flow.table,
        matches: text::matches(&entry.flow),
        actions: text::actions(&entry.flow),
        duration_seconds: entry.age.as_secs(),
        idle_timeout: entry.idle_timeout,
        hard_timeout: entry.hard_timeout,
        packets: entry.packets,
        bytes: entry.bytes,
    };
    (item, entry.flow.priority)
}

fn list_tables(call: &Call<'_>, input: OfTables) -> Result<Tables, ToolError> {
    let mut connection = connect(call, &input.bridge)?;
    let mut tables = connection.table_stats().map_err(failed(&input.bridge))?;
    tables.sort_by_key(|table| table.table);
    let items = tables
        .into_iter()
        .filter(|table| input.empty || table.active > 0)
        .map(|table| TableItem {
            table: table.table,
            active: table.active,
            lookups: table.lookups,
            matched: table.matched,
        })
        .collect();
    let (tables, next_cursor) = page(items, &input.page)?;
    Ok(Tables {
        tables,
        next_cursor,
    })
}

fn list_ports(call: &Call<'_>, input: OfBridge) -> Result<Ports, ToolError> {
    let mut connection = connect(call, &input.bridge)?;
    let mut ports = connection.ports().map_err(failed(&input.bridge))?;
    let counters = connection.port_stats().map_err(failed(&input.bridge))?;
    let counters: BTreeMap<PortNo, _> = counters
        .into_iter()
        .map(|counted| (counted.number, counted))
        .collect();
    ports.sort_by_key(|port| port.number);
    let items = ports
        .into_iter()
        .map(|port| {
            let counted = counters.get(&port.number);
            PortItem {
                number: port.number.0,
                name: port.name,
                mac: text::mac(port.mac),
                link: port.link,
                received: counted.map(|counted| traffic(&counted.received)),
                sent: counted.map(|counted| traffic(&counted.sent)),
            }
        })
        .collect();
    let (ports, next_cursor) = page(items, &input.page)?;
    Ok(Ports { ports, next_cursor })
}

fn traffic(counted: &openflow::Traffic) -> Traffic {
    Traffic {
        packets: counted.packets,
        bytes: counted.bytes,
        dropped: counted.dropped,
        errors: counted.errors,
    }
}

fn flow_counts(call: &Call<'_>, input: Counted) -> Result<Totals, ToolError> {
    let filter = FlowFilter {
        table: input.table,
        cookie: cookie(input.cookie.as_ref())?,
    };
    let mut connection = connect(call, &input.bridge)?;
    let totals = connection
        .flow_totals(&filter)
        .map_err(failed(&input.bridge))?;
    Ok(Totals {
        flows: totals.flows,
        packets: totals.packets,
        bytes: totals.bytes,
    })
}
