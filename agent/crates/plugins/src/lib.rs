//! The plugins: one module a kind of resource. The only crate that touches the system on purpose.

pub mod btrfs;
mod idle;
pub mod lxc;
pub mod mark;
pub mod openflow;
pub mod ovs;
pub mod packagekit;
pub mod systemd;

use declaration::Declaration;
use reconcile::Plugin;

pub use btrfs::BtrfsPlugin;
pub use lxc::LxcPlugin;
pub use openflow::OpenflowPlugin;
pub use ovs::OvsPlugin;
pub use packagekit::PackagekitPlugin;
pub use systemd::SystemdPlugin;

/// Every plugin, in the order in which they come where nothing else decides: storage, bridges, flows,
/// packages, units, containers.
pub fn all(declaration: &Declaration) -> Vec<Box<dyn Plugin>> {
    vec![
        Box::new(BtrfsPlugin::new(declaration)),
        Box::new(OvsPlugin::new(declaration)),
        Box::new(OpenflowPlugin::new(declaration)),
        Box::new(PackagekitPlugin::new(declaration)),
        Box::new(SystemdPlugin::new(declaration)),
        Box::new(LxcPlugin::new(declaration)),
    ]
}

/// Every plugin; those that the declaration says nothing of neither see nor want anything, but can still
/// undo what an earlier run did.
pub fn declared(declaration: &Declaration) -> Vec<Box<dyn Plugin>> {
    let sections = &declaration.plugins;
    let has_section = |name: &str| match name {
        "ovs" => sections.ovs.is_some(),
        "openflow" => sections.openflow.is_some(),
        "packagekit" => sections.packagekit.is_some(),
        "systemd" => sections.systemd.is_some(),
        "lxc" => sections.lxc.is_some(),
        // The ledger lives on it.
        _ => true,
    };
    let list = all(declaration).into_iter();
    list.map(|plugin| match has_section(plugin.name()) {
        true => plugin,
        false => Box::new(idle::Idle(plugin)) as Box<dyn Plugin>,
    })
    .collect()
}
