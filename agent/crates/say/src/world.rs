//! Names that are known on the host.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What a name names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A container.
    Container,
    /// A template of containers.
    Template,
    /// A unit of systemd.
    Unit,
    /// A bridge of Open vSwitch.
    Bridge,
    /// A snapshot.
    Snapshot,
    /// A plugin.
    Plugin,
    /// A network interface.
    Interface,
    /// A login name.
    User,
    /// A declared command.
    Command,
    /// A target of replication.
    Target,
}

/// The names that are known on the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct World {
    /// Containers.
    pub containers: Vec<String>,
    /// Templates.
    pub templates: Vec<String>,
    /// Units of systemd, with their suffix.
    pub units: Vec<String>,
    /// Bridges of Open vSwitch.
    pub bridges: Vec<String>,
    /// Snapshots.
    pub snapshots: Vec<String>,
    /// Plugins.
    pub plugins: Vec<String>,
    /// Network interfaces.
    pub interfaces: Vec<String>,
    /// Users that are logged in.
    pub users: Vec<String>,
    /// Declared commands.
    pub commands: Vec<String>,
    /// Targets of replication.
    pub targets: Vec<String>,
}

impl World {
    /// The tools that tell names, each with the arguments to ask it with. What one of them refuses is not needed.
    pub fn sources() -> Vec<(&'static str, Value)> {
        let all = json!({ "limit": 1000 });
        let whole = json!({});
        vec![
            ("container_list", all.clone()),
            ("template_list", all.clone()),
            ("systemd_list_units", all.clone()),
            ("ovs_list_bridges", all.clone()),
            ("snapshot_list", all.clone()),
            ("plugin_list", whole),
            ("net_list_links", all.clone()),
            ("command_list", all),
        ]
    }

    /// Takes in the names that the answer of a tool has; answers of others are left alone.
    pub fn read(&mut self, tool: &str, answer: &Value) {
        let (names, key) = match tool {
            "container_list" => (&mut self.containers, "containers"),
            "template_list" => (&mut self.templates, "templates"),
            "systemd_list_units" => (&mut self.units, "units"),
            "ovs_list_bridges" => (&mut self.bridges, "bridges"),
            "snapshot_list" => (&mut self.snapshots, "snapshots"),
            "plugin_list" => (&mut self.plugins, "plugins"),
            "net_list_links" => (&mut self.interfaces, "links"),
            "command_list" => (&mut self.commands, "commands"),
            _ => return,
        };
        let items = answer[key].as_array().into_iter().flatten();
        let read = items.filter_map(|item| item["name"].as_str());
        *names = read.map(str::to_owned).collect();
    }

    /// All names of a kind.
    pub fn names(&self, kind: Kind) -> &[String] {
        match kind {
            Kind::Container => &self.containers,
            Kind::Template => &self.templates,
            Kind::Unit => &self.units,
            Kind::Bridge => &self.bridges,
            Kind::Snapshot => &self.snapshots,
            Kind::Plugin => &self.plugins,
            Kind::Interface => &self.interfaces,
            Kind::User => &self.users,
            Kind::Command => &self.commands,
            Kind::Target => &self.targets,
        }
    }
}
