//! The plugins: one module a kind of resource. The only crate that touches the system on purpose.

pub mod btrfs;
pub mod derived;
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
pub use derived::DerivedPlugin;
pub use lxc::LxcPlugin;
pub use openflow::OpenflowPlugin;
pub use ovs::OvsPlugin;
pub use packagekit::PackagekitPlugin;
pub use systemd::SystemdPlugin;

/// Every plugin, in the order in which they come where nothing else decides: storage, bridges, flows,
/// packages, units, containers, then what mappings of D-Bus services describe.
pub fn all(declaration: &Declaration) -> Vec<Box<dyn Plugin>> {
    let derived = derived::all(declaration).into_iter();
    let mut list = native(declaration);
    list.extend(derived.map(|plugin| Box::new(plugin) as Box<dyn Plugin>));
    list
}

/// Every plugin for a look at the host. Of those that mappings describe, the ones that have something to show, and
/// the one that is asked for by its name; they show all of it, whether it is declared or not.
pub fn views(declaration: &Declaration, asked: Option<&str>) -> Vec<Box<dyn Plugin>> {
    let mut list = native(declaration);
    if asked.is_some_and(|asked| list.iter().any(|plugin| plugin.name() == asked)) {
        return list;
    }
    let views = derived::views(declaration, asked).into_iter();
    list.extend(views.map(|plugin| Box::new(plugin) as Box<dyn Plugin>));
    list
}

fn native(declaration: &Declaration) -> Vec<Box<dyn Plugin>> {
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
    let list = all(declaration).into_iter();
    list.map(|plugin| match has_section(declaration, plugin.name()) {
        true => plugin,
        false => Box::new(idle::Idle(plugin)) as Box<dyn Plugin>,
    })
    .collect()
}

/// Whether a declaration says something of a plugin.
pub fn has_section(declaration: &Declaration, plugin: &str) -> bool {
    let sections = &declaration.plugins;
    match plugin {
        "ovs" => sections.ovs.is_some(),
        "openflow" => sections.openflow.is_some(),
        "packagekit" => sections.packagekit.is_some(),
        "systemd" => sections.systemd.is_some(),
        "lxc" => sections.lxc.is_some(),
        name if declaration.derived.contains_key(name) => true,
        name if !derived::NATIVE.contains(&name) => false,
        // The ledger lives on it.
        _ => true,
    }
}
