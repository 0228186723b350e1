//! The tools that come with the agent, one file a domain.

mod cache;
mod command;
mod container;
mod file;
mod host;
mod inspect;
mod introspect;
mod journal;
mod ledger;
mod network;
mod openflow;
mod ovs;
mod package;
mod plugin;
mod process;
mod program;
pub(crate) mod search;
mod state;
mod systemd;
mod task;
mod template;
mod upstream;

use crate::tool::Tool;

/// All of them.
pub fn all() -> Vec<Tool> {
    [
        state::tools(),
        container::tools(),
        template::tools(),
        ledger::tools(),
        cache::tools(),
        search::tools(),
        process::tools(),
        ovs::tools(),
        openflow::tools(),
        network::tools(),
        file::tools(),
        command::tools(),
        host::tools(),
        introspect::tools(),
        inspect::tools(),
        journal::tools(),
        package::tools(),
        systemd::tools(),
        upstream::tools(),
        task::tools(),
        plugin::tools(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
