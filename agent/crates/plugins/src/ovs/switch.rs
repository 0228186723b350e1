//! Open vSwitch's database as this plugin sees it: bridges, ports and interfaces by name.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;
use ovsdb::{Client, Error, Row, Tables, Uuid, Value};
use reconcile::PluginError;

use super::uplink::Moved;

/// The name of Open vSwitch's database.
pub(crate) const DATABASE: &str = "Open_vSwitch";
/// How long one request may take, reconnecting included.
const TIMEOUT: Duration = Duration::from_secs(10);

/// In `external_ids`: the row is ours.
pub(super) const MARK: &str = "op-dbus";
/// In a bridge's `external_ids`: the addresses that we gave it, separated by spaces.
pub(super) const ADDRESSES: &str = "op-dbus-addresses";
/// In a port's `external_ids`: the container whose link it is.
pub(super) const CONTAINER: &str = "op-dbus-container";
/// In a port's `external_ids`: the other end of the veth pair that we made.
pub(super) const PEER: &str = "op-dbus-peer";
/// In an uplink's `external_ids`: what was moved from it to the bridge, as JSON.
pub(super) const MOVED: &str = "op-dbus-moved";
/// All of them.
pub(super) const OURS: [&str; 5] = [MARK, ADDRESSES, CONTAINER, PEER, MOVED];

/// A bridge's rows.
#[derive(Debug, Clone)]
pub(super) struct Bridge {
    pub(super) uuid: Uuid,
    pub(super) datapath: String,
    pub(super) fail_mode: String,
    pub(super) ports: Vec<Uuid>,
    pub(super) external_ids: BTreeMap<String, String>,
}

/// A port's row, and its interface's.
#[derive(Debug, Clone)]
pub(super) struct Port {
    pub(super) uuid: Uuid,
    pub(super) interface: Option<Uuid>,
    pub(super) bridge: String,
    pub(super) kind: String,
    pub(super) tag: Option<i64>,
    pub(super) ofport: Option<i64>,
    pub(super) ofport_request: Option<i64>,
    pub(super) error: Option<String>,
    pub(super) external_ids: BTreeMap<String, String>,
}

impl Bridge {
    pub(super) fn is_ours(&self) -> bool {
        self.external_ids.contains_key(MARK)
    }

    /// The addresses that we gave it, as recorded; it may have lost some.
    pub(super) fn addresses(&self) -> Vec<IpNet> {
        let recorded = self.external_ids.get(ADDRESSES);
        let texts = recorded.into_iter().flat_map(|list| list.split(' '));
        texts.filter_map(|text| text.parse().ok()).collect()
    }
}

impl Port {
    pub(super) fn is_ours(&self) -> bool {
        self.external_ids.contains_key(MARK)
    }

    /// What it brought to its bridge as an uplink, or is about to.
    pub(super) fn moved(&self) -> Option<Moved> {
        serde_json::from_str(self.external_ids.get(MOVED)?).ok()
    }
}

/// Everything at one moment.
#[derive(Debug, Clone)]
pub(super) struct Switch {
    pub(super) root: Uuid,
    pub(super) bridges: BTreeMap<String, Bridge>,
    pub(super) ports: BTreeMap<String, Port>,
}

/// Connects to the database and watches what matters here.
pub(super) fn connect(run_dir: &Path) -> Result<Client, PluginError> {
    let socket = run_dir.join("db.sock");
    let client = Client::connect(&socket, TIMEOUT).map_err(unanswered)?;
    client
        .monitor(
            DATABASE,
            &[
                ("Open_vSwitch", &["cur_cfg"]),
                (
                    "Bridge",
                    &[
                        "name",
                        "ports",
                        "datapath_type",
                        "fail_mode",
                        "external_ids",
                    ],
                ),
                ("Port", &["name", "interfaces", "tag", "external_ids"]),
                (
                    "Interface",
                    &["name", "type", "ofport", "ofport_request", "error"],
                ),
            ],
        )
        .map_err(|error| PluginError::failed("watch Open vSwitch's database", error))?;
    Ok(client)
}

fn unanswered(error: Error) -> PluginError {
    let fix = match &error {
        Error::Connect { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
            "run this as root"
        }
        _ => {
            "install and start it: `apt-get install openvswitch-switch`, `systemctl start \
             openvswitch-switch`; if it runs elsewhere, name its run directory in \
             `plugins.ovs.run_dir`"
        }
    };
    PluginError::unavailable(format!("Open vSwitch does not answer ({error})"), fix)
}

/// The last configuration that ovs-vswitchd has realised.
pub(super) fn cur_cfg(tables: &Tables) -> Option<i64> {
    let (_, top) = tables.rows("Open_vSwitch").next()?;
    integer(top, "cur_cfg")
}

impl Switch {
    /// The database as it is now.
    pub(super) fn current(client: &Client) -> Result<Self, PluginError> {
        let tables = client
            .tables()
            .map_err(|error| PluginError::failed("read Open vSwitch's database", error))?;
        Self::read(&tables).ok_or_else(|| {
            PluginError::unavailable(
                "Open vSwitch's database is empty",
                "start ovs-vswitchd: `systemctl start openvswitch-switch`",
            )
        })
    }

    /// The lasting addresses that uplinks have brought to a bridge.
    pub(super) fn brought_to(&self, bridge: &str) -> Vec<IpNet> {
        let moved = self.ports_of(bridge).filter_map(|(_, port)| port.moved());
        moved.flat_map(|moved| moved.addresses).collect()
    }

    /// Reads the cache; `None` while the database has no root row (ovs-vswitchd or `ovs-vsctl init` makes it).
    fn read(tables: &Tables) -> Option<Self> {
        let (root, _) = tables.rows("Open_vSwitch").next()?;
        let mut switch = Self {
            root: root.clone(),
            bridges: BTreeMap::new(),
            ports: BTreeMap::new(),
        };
        for (uuid, row) in tables.rows("Bridge") {
            let name = text(row, "name");
            let ports = uuids(row, "ports");
            for port in &ports {
                if let Some(found) = tables.row("Port", port) {
                    let port = read_port(tables, &name, port.clone(), found);
                    switch.ports.insert(text(found, "name"), port);
                }
            }
            let datapath = text(row, "datapath_type");
            let bridge = Bridge {
                uuid: uuid.clone(),
                // The empty text is the default.
                datapath: if datapath.is_empty() {
                    "system".to_owned()
                } else {
                    datapath
                },
                fail_mode: match text(row, "fail_mode") {
                    mode if mode.is_empty() => "standalone".to_owned(),
                    mode => mode,
                },
                ports,
                external_ids: strings(row, "external_ids"),
            };
            switch.bridges.insert(name, bridge);
        }
        Some(switch)
    }

    /// The ports of a bridge, its own local one left out.
    pub(super) fn ports_of<'a>(
        &'a self,
        bridge: &'a str,
    ) -> impl Iterator<Item = (&'a String, &'a Port)> {
        let ports = self.ports.iter();
        ports.filter(move |(name, port)| port.bridge == bridge && *name != bridge)
    }
}

fn read_port(tables: &Tables, bridge: &str, uuid: Uuid, row: &Row) -> Port {
    let interface = uuids(row, "interfaces").into_iter().next();
    let details = interface
        .as_ref()
        .and_then(|uuid| tables.row("Interface", uuid));
    let detail = |column: &str| details.and_then(|details| integer(details, column));
    Port {
        uuid,
        bridge: bridge.to_owned(),
        kind: details
            .map(|details| text(details, "type"))
            .unwrap_or_default(),
        tag: integer(row, "tag"),
        ofport: detail("ofport"),
        ofport_request: detail("ofport_request"),
        error: details
            .map(|details| text(details, "error"))
            .filter(|error| !error.is_empty()),
        external_ids: strings(row, "external_ids"),
        interface,
    }
}

fn text(row: &Row, column: &str) -> String {
    let value = row.get(column).and_then(Value::as_str);
    value.unwrap_or_default().to_owned()
}

fn integer(row: &Row, column: &str) -> Option<i64> {
    row.get(column).and_then(Value::as_i64)
}

fn uuids(row: &Row, column: &str) -> Vec<Uuid> {
    row.get(column).map(Value::uuids).unwrap_or_default()
}

fn strings(row: &Row, column: &str) -> BTreeMap<String, String> {
    row.get(column).map(Value::strings).unwrap_or_default()
}
