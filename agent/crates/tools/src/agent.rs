//! Agents: views on the registry by what they are about. An agent has no right of its own.

use schemars::JsonSchema;
use serde::Serialize;

use crate::error::ToolError;
use crate::registry::Registry;
use crate::tool::{Domain, Effect, Tool};

/// A fixed choice of tools, under a name of its own.
#[derive(Debug)]
pub struct Agent {
    /// Its name, such as `systemd`.
    pub name: &'static str,
    /// The last part of its name on the bus, such as `Systemd` in `org.dbusmcp.Agent.Systemd`.
    pub bus: &'static str,
    /// What it is for, in a sentence.
    pub description: &'static str,
    /// What the documents call the type of its tasks, where that is not its name.
    pub kind: Option<&'static str>,
    serves: fn(&Tool) -> bool,
    /// Short names of operations, and their tools.
    short: &'static [(&'static str, &'static str)],
}

/// One thing that an agent can be asked.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Operation {
    /// The tool's name, which is an operation's name too.
    pub tool: &'static str,
    /// The short name, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub short: Option<&'static str>,
    /// A few words for people.
    pub title: &'static str,
    /// What it does to the host.
    pub effect: Effect,
    /// The schema of its arguments.
    pub input_schema: serde_json::Value,
}

/// All agents.
pub const AGENTS: [Agent; 6] = [
    Agent {
        name: "systemd",
        bus: "Systemd",
        description: "Units and the journal.",
        kind: None,
        serves: |tool| matches!(tool.domain, Domain::Systemd | Domain::Journal),
        short: &[
            ("list", "systemd_list_units"),
            ("status", "systemd_unit_status"),
            ("start", "systemd_start_unit"),
            ("stop", "systemd_stop_unit"),
            ("restart", "systemd_restart_unit"),
            ("reload", "systemd_reload_unit"),
            ("enable", "systemd_enable_unit"),
            ("disable", "systemd_disable_unit"),
            ("journal", "journal_read"),
        ],
    },
    Agent {
        name: "file",
        bus: "File",
        description: "Files and directories that the declaration lets be read and written.",
        kind: None,
        serves: |tool| tool.domain == Domain::Files,
        short: &[
            ("list", "file_list"),
            ("read", "file_read"),
            ("search", "file_search"),
            ("write", "file_write"),
        ],
    },
    Agent {
        name: "network",
        bus: "Network",
        description: "Links, addresses, routes, mesh peers, and Open vSwitch with its flows.",
        kind: None,
        serves: |tool| matches!(tool.domain, Domain::Network | Domain::Ovs),
        short: &[
            ("links", "net_list_links"),
            ("addresses", "net_list_addresses"),
            ("routes", "net_list_routes"),
            ("neighbours", "net_list_neighbours"),
            ("peers", "net_list_peers"),
            ("bridges", "ovs_list_bridges"),
            ("ports", "ovs_list_ports"),
            ("flows", "ovs_dump_flows"),
        ],
    },
    Agent {
        name: "packagekit",
        bus: "PackageKit",
        description: "Software packages.",
        kind: Some("package"),
        serves: |tool| tool.domain == Domain::Packages,
        short: &[
            ("search", "package_search"),
            ("install", "dbus_packagekit_install_packages"),
            ("remove", "dbus_packagekit_remove_packages"),
            ("list", "package_list_installed"),
            ("updates", "package_list_updates"),
            ("refresh", "package_refresh"),
            ("details", "package_details"),
        ],
    },
    Agent {
        name: "monitor",
        bus: "Monitor",
        description: "The machine, its processes, its ledger, and whether it is in its declared state; changes nothing.",
        kind: None,
        serves: |tool| {
            let watched = matches!(
                tool.domain,
                Domain::Host | Domain::Processes | Domain::Ledger
            );
            tool.effect == Effect::Read
                && (watched || matches!(tool.name, "state_verify" | "state_status"))
        },
        short: &[
            ("host", "host_info"),
            ("sessions", "host_sessions"),
            ("processes", "process_list"),
            ("verify", "state_verify"),
            ("status", "state_status"),
            ("log", "ledger_log"),
        ],
    },
    Agent {
        name: "executor",
        bus: "Executor",
        description: "The commands that the declaration allows.",
        kind: None,
        serves: |tool| tool.domain == Domain::Commands,
        short: &[("list", "command_list"), ("run", "command_run")],
    },
];

impl Agent {
    /// The agent of that name.
    pub fn of(name: &str) -> Result<&'static Self, ToolError> {
        AGENTS
            .iter()
            .find(|agent| agent.name == name)
            .ok_or_else(|| {
                let names: Vec<_> = AGENTS.iter().map(|agent| agent.name).collect();
                ToolError::NotFound(format!(
                    "there is no agent `{name}`; there are {}",
                    names.join(", ")
                ))
            })
    }

    /// The agent that has this tool.
    pub fn with(tool: &Tool) -> Result<&'static Self, ToolError> {
        AGENTS.iter().find(|agent| agent.serves(tool)).ok_or_else(|| {
            ToolError::NotFound(format!(
                "no agent has the tool {}: call it by itself. `op-dbus agent list` shows what agents have",
                tool.name
            ))
        })
    }

    /// Whether a tool is one of its.
    pub fn serves(&self, tool: &Tool) -> bool {
        (self.serves)(tool)
    }

    /// The name of the tool of an operation, which is called by that or by a short name.
    pub fn full_name<'a>(&self, operation: &'a str) -> &'a str {
        let short = self.short.iter().find(|(short, _)| *short == operation);
        short.map_or(operation, |(_, tool)| tool)
    }

    /// The tool of an operation.
    pub fn tool<'a>(&self, registry: &'a Registry, operation: &str) -> Result<&'a Tool, ToolError> {
        let tool = registry.tool(self.full_name(operation));
        match tool {
            Ok(tool) if self.serves(tool) => Ok(tool),
            _ => {
                let known: Vec<_> = registry
                    .tools()
                    .filter(|tool| self.serves(tool))
                    .map(|tool| self.short_name(tool.name).unwrap_or(tool.name))
                    .collect();
                let operation: String = operation.chars().take(64).collect();
                Err(ToolError::NotFound(format!(
                    "the agent {} has no operation `{operation}`; it has {}",
                    self.name,
                    known.join(", ")
                )))
            }
        }
    }

    /// What it can be asked, of these tools.
    pub fn operations<'a>(&self, tools: impl Iterator<Item = &'a Tool>) -> Vec<Operation> {
        let mut operations: Vec<_> = tools
            .filter(|tool| self.serves(tool))
            .map(|tool| Operation {
                tool: tool.name,
                short: self.short_name(tool.name),
                title: tool.title,
                effect: tool.effect,
                input_schema: tool.input(),
            })
            .collect();
        operations.sort_by_key(|operation| operation.tool);
        operations
    }

    fn short_name(&self, tool: &str) -> Option<&'static str> {
        let short = self.short.iter().find(|(_, known)| *known == tool);
        short.map(|(short, _)| *short)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_lead_to_tools_that_the_agent_has() {
        let tools = crate::builtin::all();
        for agent in &AGENTS {
            for (short, name) in agent.short {
                let tool = tools.iter().find(|tool| tool.name == *name);
                assert!(
                    tool.is_some_and(|tool| agent.serves(tool)),
                    "{} {short}",
                    agent.name
                );
                // Else the short name would hide that tool.
                let mut own = tools.iter().filter(|tool| agent.serves(tool));
                assert!(!own.any(|tool| tool.name == *short));
            }
            assert!(!agent.operations(tools.iter()).is_empty(), "{}", agent.name);
        }
    }

    #[test]
    fn a_tool_has_one_agent_at_most_and_tasks_none() {
        for tool in crate::builtin::all() {
            let agents = AGENTS.iter().filter(|agent| agent.serves(&tool)).count();
            assert!(agents <= 1, "{}", tool.name);
            assert!(tool.domain != Domain::Tasks || agents == 0, "{}", tool.name);
        }
    }

    #[test]
    fn the_monitor_changes_nothing() {
        let (tools, monitor) = (crate::builtin::all(), Agent::of("monitor").unwrap());
        let operations = monitor.operations(tools.iter());
        assert!(
            operations
                .iter()
                .all(|operation| operation.effect == Effect::Read)
        );
    }
}
