//! The tools that come with the agent, one file a domain.

mod cache;
mod command;
mod console;
mod container;
mod export;
mod file;
mod host;
mod inspect;
mod introspect;
mod journal;
mod kept;
mod ledger;
mod network;
mod openflow;
mod origin;
mod ovs;
mod package;
mod plugin;
mod plugin_transfer;
mod process;
mod program;
mod proof;
mod replicate;
mod restore;
mod rollback;
pub(crate) mod search;
mod snapshot;
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
        rollback::tools(),
        export::tools(),
        restore::tools(),
        container::tools(),
        console::tools(),
        template::tools(),
        ledger::tools(),
        cache::tools(),
        search::tools(),
        origin::tools(),
        proof::tools(),
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
        plugin_transfer::tools(),
        replicate::tools(),
        snapshot::tools(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
