//! A part of a backend's tools.

use std::sync::Arc;

use declaration::Profile;
use tools::Effect;

use super::{MOST, Selection};
use crate::backend::{Answer, Backend, Fault, Output, Request, Speaker, ToolInfo};

/// The tools of the smallest profile.
const MINIMAL: [&str; 10] = [
    "container_list",
    "host_info",
    "journal_read",
    "ledger_log",
    "state_plan",
    "state_status",
    "state_verify",
    "systemd_list_units",
    "systemd_unit_status",
    "introspect_dbus",
];

/// Reads that few ask for. The profile `safe` does without them, so that it has room for what else only reads.
const RARE: [&str; 27] = [
    "agent_list",
    "command_list",
    "host_sessions",
    "inspect_search",
    "inspect_show",
    "inspect_validate",
    "introspect_filesystems",
    "introspect_network",
    "introspect_runtime",
    "introspect_sessions",
    "introspect_software",
    "net_list_neighbours",
    "openflow_flow_counts",
    "openflow_list_ports",
    "openflow_list_tables",
    "ovs_list_interfaces",
    "ovs_list_ports",
    "ovs_show",
    "package_details",
    "plugin_generate",
    "plugin_show",
    "proc_read",
    "process_show",
    "systemd_list_jobs",
    "systemd_unit_properties",
    "task_list",
    "task_show",
];

/// A backend with some of its tools; everything else of it is as it was.
pub struct Picked {
    backend: Arc<dyn Backend>,
    selection: Selection,
    bounded: bool,
}

impl Picked {
    /// The selected tools; where they are `bounded`, no more than [`MOST`].
    pub fn new(backend: Arc<dyn Backend>, selection: Selection, bounded: bool) -> Self {
        Self {
            backend,
            selection,
            bounded,
        }
    }

    async fn picked(&self, speaker: &Speaker) -> Result<Arc<Vec<ToolInfo>>, Fault> {
        let all = self.backend.tools(speaker).await?;
        let mut picked: Vec<_> = all
            .iter()
            .filter(|tool| takes(&self.selection, tool))
            .collect();
        if self.bounded && picked.len() > MOST {
            log::warn!(
                "{} tools are selected, and {MOST} served: use compact mode for all",
                picked.len()
            );
            picked.truncate(MOST);
        }
        Ok(Arc::new(picked.into_iter().cloned().collect()))
    }
}

/// Whether a tool is among those selected.
fn takes(selection: &Selection, tool: &ToolInfo) -> bool {
    let (name, domain) = (tool.name.as_str(), tool.domain.as_str());
    let reads = tool.effect == Effect::Read;
    let profile = match selection {
        Selection::Groups(groups) => return groups.iter().any(|group| group == domain),
        Selection::Profile(profile) => profile,
    };
    match profile {
        Profile::Minimal => MINIMAL.contains(&name),
        Profile::Safe => reads && !RARE.contains(&name),
        Profile::Developer => match domain {
            "containers" | "commands" => true,
            "state" | "files" | "journal" | "network" | "processes" => reads,
            "systemd" => matches!(name, "systemd_list_units" | "systemd_unit_status"),
            "ledger" => name == "ledger_log",
            "host" => name == "host_info",
            _ => false,
        },
        Profile::Sysadmin => match domain {
            "state" | "packages" => true,
            "systemd" => !matches!(name, "systemd_list_jobs" | "systemd_unit_properties"),
            "containers" => !matches!(name, "container_exec" | "template_destroy"),
            "ledger" | "journal" => reads,
            "host" => name == "host_info",
            _ => false,
        },
        Profile::Full | Profile::Compact => true,
    }
}

impl Backend for Picked {
    fn tools<'a>(&'a self, speaker: &'a Speaker) -> Answer<'a, Arc<Vec<ToolInfo>>> {
        Box::pin(self.picked(speaker))
    }

    fn call<'a>(&'a self, request: Request<'a>) -> Answer<'a, Output> {
        Box::pin(async move {
            let picked = self.picked(request.speaker).await?;
            if !picked.iter().any(|tool| tool.name == request.name) {
                let text = format!("there is no tool `{}` in this profile", request.name);
                return Err(Fault::NotFound(text));
            }
            self.backend.call(request).await
        })
    }

    passed_on!();
}
