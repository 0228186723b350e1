//! A part of a backend's tools.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use declaration::Profile;
use serde_json::json;
use tools::Effect;

use super::{MOST, Selection};
use crate::aggregate::STATUS;
use crate::backend::{Answer, Backend, Fault, Output, Request, Speaker, ToolInfo, passed_on};

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
const RARE: [&str; 36] = [
    "agent_list",
    "cache_stats",
    "command_list",
    "host_resources",
    "host_sessions",
    "inspect_search",
    "inspect_show",
    "inspect_validate",
    "introspect_filesystems",
    "introspect_network",
    "introspect_runtime",
    "introspect_sessions",
    "introspect_software",
    "ledger_checkpoint",
    "ledger_consistency",
    "ledger_prove",
    "net_list_neighbours",
    "net_list_peers",
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
    "search_index",
    "snapshot_diff",
    "snapshot_show",
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
    /// Whether it was said that there is not room for all.
    told: AtomicBool,
}

impl Picked {
    /// The selected tools; where they are `bounded`, no more than [`MOST`].
    pub fn new(backend: Arc<dyn Backend>, selection: Selection, bounded: bool) -> Self {
        Self {
            backend,
            selection,
            bounded,
            told: AtomicBool::new(false),
        }
    }

    /// The tools that are served, and the names of those for which there is no room: of other servers first.
    async fn picked(&self, speaker: &Speaker) -> Result<(Vec<ToolInfo>, Vec<String>), Fault> {
        let all = self.backend.tools(speaker).await?;
        let picked = all.iter().filter(|tool| takes(&self.selection, tool));
        let (foreign, mut picked): (Vec<_>, Vec<_>) =
            picked.cloned().partition(|tool| tool.hint.upstream);
        picked.extend(foreign);
        let most = if self.bounded { MOST } else { picked.len() };
        let cut = picked.split_off(most.min(picked.len()));
        let cut: Vec<_> = cut.into_iter().map(|tool| tool.name).collect();
        if !cut.is_empty() && !self.told.swap(true, Ordering::Relaxed) {
            log::warn!(
                "{MOST} tools are served; use compact mode for all, since there is no room for {}",
                cut.join(", ")
            );
        }
        Ok((picked, cut))
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
    if tool.hint.upstream {
        // The operator chose these, for whoever works here.
        return match profile {
            Profile::Minimal => false,
            Profile::Safe => reads,
            _ => true,
        };
    }
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
            "state" => !matches!(name, "state_export" | "state_restore"),
            "packages" => true,
            "systemd" => !matches!(
                name,
                "systemd_list_jobs"
                    | "systemd_mask_unit"
                    | "systemd_unit_properties"
                    | "systemd_unmask_unit"
            ),
            "containers" => !matches!(name, "container_exec" | "template_destroy"),
            "ledger" | "journal" => reads && !RARE.contains(&name),
            "host" => name == "host_info",
            _ => false,
        },
        Profile::Full | Profile::Compact => true,
    }
}

impl Backend for Picked {
    fn tools<'a>(&'a self, speaker: &'a Speaker) -> Answer<'a, Arc<Vec<ToolInfo>>> {
        Box::pin(async move { Ok(Arc::new(self.picked(speaker).await?.0)) })
    }

    fn call<'a>(&'a self, request: Request<'a>) -> Answer<'a, Output> {
        Box::pin(async move {
            let (picked, cut) = self.picked(request.speaker).await?;
            if !picked.iter().any(|tool| tool.name == request.name) {
                let text = format!("there is no tool `{}` in this profile", request.name);
                return Err(Fault::NotFound(text));
            }
            let asks_for_status = request.name == STATUS;
            let mut output = self.backend.call(request).await?;
            if let (true, Some(status)) = (asks_for_status, &mut output.structured) {
                status["not_in_profile"] = json!(cut);
            }
            Ok(output)
        })
    }

    passed_on!(backend);
}
