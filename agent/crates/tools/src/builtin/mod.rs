//! The tools that come with the agent, one file a domain.

mod command;
mod container;
mod file;
mod host;
mod journal;
mod ledger;
mod network;
mod openflow;
mod ovs;
mod package;
mod process;
mod program;
mod state;
mod systemd;
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
        process::tools(),
        ovs::tools(),
        openflow::tools(),
        network::tools(),
        file::tools(),
        command::tools(),
        host::tools(),
        journal::tools(),
        package::tools(),
        systemd::tools(),
        upstream::tools(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
