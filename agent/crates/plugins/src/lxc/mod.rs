//! Plugin `lxc`: templates, which are subvolumes with a root file system, and containers, which are
//! writable snapshots of them, run by LXC.
//!
//! Resources are `template:NAME`, whose state is its recipe, and `container:NAME`. The state of a
//! container is read from its configuration file, whose first line holds it, and from LXC. Containers
//! made from an earlier build of a template stay as they are.

mod acl;
mod checksum;
mod config;
mod console;
mod container;
mod host;
mod ids;
mod layout;
mod place;
mod port;
mod program;
mod recipe;
mod restart;
mod rootfs;
mod runtime;
mod seal;
mod sockets;
mod state;
mod systemd;
mod template;
mod usage;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
pub use systemd::unit_of;

use declaration::{BridgeName, ContainerName, Datapath, Declaration, TemplateName};
use reconcile::{
    Change, Context, Desired, Effects, Key, Observed, Owner, Plugin, PluginError, Transition, Verb,
};
use serde_json::Value;

use container::Container;
use host::HostFacts;
use layout::Layout;
use place::subdirectories;
use restart::Restart;
use runtime::Runtime;
use sockets::Sockets;
use state::{ContainerState, TemplateState};
use template::Template;

pub use checksum::disable_tx_checksum;
pub use console::console;
pub use usage::{Usage, usage};

const NAME: &str = "lxc";

/// Keeps templates and containers as declared.
#[derive(Debug)]
pub struct LxcPlugin {
    site: Site,
    desired: BTreeMap<String, Desired>,
    restart: Option<Restart>,
    /// Remarks on what was last observed.
    notes: Mutex<Vec<(String, String)>>,
}

/// Where containers are, and what they run with.
#[derive(Debug)]
struct Site {
    layout: Layout,
    facts: HostFacts,
    agent: Option<PathBuf>,
    /// The socket of the switch's database.
    switch: Option<PathBuf>,
    runtime: Runtime,
    sockets: Sockets,
}

impl Site {
    fn sockets_for(
        &self,
        name: &ContainerName,
        state: &ContainerState,
        first_id: Option<u32>,
    ) -> Result<(), PluginError> {
        match state.network {
            declaration::Network::Socket => self.sockets.prepare(name, first_id),
            _ => Ok(()),
        }
    }
}

/// A resource of this plugin.
enum Resource {
    Template(TemplateName),
    Container(ContainerName),
}

impl Resource {
    fn parse(resource: &str) -> Option<Self> {
        match resource.split_once(':')? {
            ("template", name) => name.parse().ok().map(Self::Template),
            ("container", name) => name.parse().ok().map(Self::Container),
            _ => None,
        }
    }
}

fn template_resource(name: &str) -> String {
    format!("template:{name}")
}

fn container_resource(name: &str) -> String {
    format!("container:{name}")
}

impl LxcPlugin {
    /// The plugin for what a declaration says of templates and containers.
    pub fn new(declaration: &Declaration) -> Self {
        let layout = Layout::new(&declaration.plugins.btrfs.base.path);
        Self {
            site: Site {
                facts: HostFacts::detect(),
                agent: this_program(),
                switch: declaration
                    .plugins
                    .ovs
                    .as_ref()
                    .and_then(|ovs| callable(&ovs.run_dir.join("db.sock"))),
                runtime: Runtime::new(&layout),
                sockets: Sockets::new(&layout),
                layout,
            },
            desired: desired(declaration),
            restart: None,
            notes: Mutex::default(),
        }
    }

    /// Wants a container that runs to be stopped and started, once. It keeps its data, its address and whatever else
    /// is declared.
    pub fn restarting(mut self, name: &ContainerName) -> Result<Self, PluginError> {
        self.restart = Restart::of(name, &self.site.runtime)?;
        if let Some(restart) = &self.restart
            && let Some(desired) = self.desired.get_mut(&restart.resource)
        {
            restart.ask(&mut desired.state);
        }
        Ok(self)
    }

    /// Lets LXC call `agent` as `AGENT container-started PORT [LINK [DATABASE]]` when a container starts, in place of
    /// the program that this one is. See [`container_started`].
    pub fn with_agent(mut self, agent: &Path) -> Self {
        self.site.agent = callable(agent);
        self
    }

    /// The names that are there and could be of `Name`, and those that are desired.
    fn names<Name>(&self, directory: &Path, prefix: &str) -> Result<BTreeSet<Name>, PluginError>
    where
        Name: std::str::FromStr + Ord,
    {
        let there = subdirectories(directory)?;
        let there = there
            .iter()
            .filter_map(|path| path.file_name()?.to_str()?.parse().ok());
        let desired = self.desired.keys();
        let desired = desired.filter_map(|resource| resource.strip_prefix(prefix)?.parse().ok());
        Ok(there.chain(desired).collect())
    }

    fn observe_templates(&self, seen: &mut BTreeMap<String, Observed>) -> Result<(), PluginError> {
        let layout = &self.site.layout;
        for name in self.names::<TemplateName>(&layout.templates(), "template:")? {
            let found = Template::new(layout, &name).observe()?;
            self.note_down(seen, template_resource(name.as_str()), found);
        }
        Ok(())
    }

    fn observe_containers(&self, seen: &mut BTreeMap<String, Observed>) -> Result<(), PluginError> {
        let directory = self.site.layout.containers();
        let names = self.names::<ContainerName>(&directory, "container:")?;
        let any = names
            .iter()
            .any(|name| directory.join(name.as_str()).exists());
        let active = if any {
            self.site.runtime.active()?
        } else {
            BTreeSet::new()
        };
        for name in names {
            let found =
                Container::new(&self.site, &name).observe(active.contains(name.as_str()))?;
            self.note_down(seen, container_resource(name.as_str()), found);
        }
        Ok(())
    }

    /// Keeps what is ours, and what stands where something of ours should be.
    fn note_down(
        &self,
        seen: &mut BTreeMap<String, Observed>,
        resource: String,
        found: Option<Observed>,
    ) {
        let kept =
            |found: &Observed| found.owner == Owner::Ours || self.desired.contains_key(&resource);
        if let Some(found) = found.filter(kept) {
            seen.insert(resource, found);
        }
    }

    /// What people should know of containers that do not follow their template.
    fn remarks(
        &self,
        seen: &BTreeMap<String, Observed>,
    ) -> Result<Vec<(String, String)>, PluginError> {
        let mut builds = BTreeMap::new();
        let mut remarks = Vec::new();
        for (resource, observed) in seen {
            let Some(Resource::Container(name)) = Resource::parse(resource) else {
                continue;
            };
            let Some(state) = ContainerState::parse(&observed.state) else {
                continue;
            };
            let template = state.template;
            if !builds.contains_key(&template) {
                let build = seal::uuid_of(&self.site.layout.template(&template))?;
                builds.insert(template.clone(), build);
            }
            let origin = Container::new(&self.site, &name).origin();
            let earlier =
                matches!((origin, &builds[&template]), (Some(one), Some(two)) if one != *two);
            let text = if earlier {
                format!(
                    "stays on an earlier build of template {template}, which is what it was made from"
                )
            } else if self.will_be_rebuilt(&template, seen) {
                format!("stays on the build of template {template} that it was made from")
            } else {
                continue;
            };
            remarks.push((resource.clone(), text));
        }
        Ok(remarks)
    }

    fn will_be_rebuilt(&self, template: &TemplateName, seen: &BTreeMap<String, Observed>) -> bool {
        let resource = template_resource(template.as_str());
        match (self.desired.get(&resource), seen.get(&resource)) {
            (Some(desired), Some(observed)) => {
                observed.owner == Owner::Ours
                    && desired.state != observed.state
                    && template::transition(&observed.state, &desired.state) == Transition::Update
            }
            _ => false,
        }
    }
}

fn desired(declaration: &Declaration) -> BTreeMap<String, Desired> {
    let Some(lxc) = &declaration.plugins.lxc else {
        return BTreeMap::new();
    };
    let in_user_space = |bridge: &Option<BridgeName>| {
        let bridges = declaration.plugins.ovs.as_ref().map(|ovs| &ovs.bridges);
        let bridge = bridge.as_ref().and_then(|bridge| bridges?.get(bridge));
        bridge.is_some_and(|bridge| bridge.datapath == Datapath::Netdev)
    };
    let templates = lxc.templates.iter().map(|(name, template)| {
        let desired = Desired {
            state: TemplateState::desired(&template.recipe).to_value(),
            adopt: template.adopt,
        };
        (template_resource(name.as_str()), desired)
    });
    let containers = lxc.containers.iter().map(|(name, container)| {
        let state = ContainerState::desired(container, in_user_space(&container.bridge));
        let desired = Desired {
            state: state.to_value(),
            adopt: container.adopt,
        };
        (container_resource(name.as_str()), desired)
    });
    templates.chain(containers).collect()
}

impl Plugin for LxcPlugin {
    fn name(&self) -> &'static str {
        NAME
    }

    fn desired(&self) -> BTreeMap<String, Desired> {
        self.desired.clone()
    }

    fn observe(&self) -> Result<BTreeMap<String, Observed>, PluginError> {
        let mut seen = BTreeMap::new();
        self.observe_templates(&mut seen)?;
        self.observe_containers(&mut seen)?;
        let mut remarks = self.remarks(&seen)?;
        if let Some(restart) = &self.restart
            && let Some(observed) = seen.get_mut(&restart.resource)
        {
            let remark = restart.tell(&mut observed.state, &self.site.runtime)?;
            remarks.extend(remark.map(|text| (restart.resource.clone(), text)));
        }
        *self.notes.lock().unwrap_or_else(PoisonError::into_inner) = remarks;
        Ok(seen)
    }

    fn requires(&self, resource: &str, state: &Value) -> Vec<Key> {
        let templates = Key::new("btrfs", "@templates");
        let Some(Resource::Container(name)) = Resource::parse(resource) else {
            return vec![templates];
        };
        let mut keys = vec![templates, Key::new("btrfs", "@containers")];
        let Some(state) = ContainerState::parse(state) else {
            return keys;
        };
        keys.push(Key::new(NAME, template_resource(state.template.as_str())));
        if let (Some(bridge), Some(port)) = (&state.bridge, name.port(state.network)) {
            keys.push(Key::new("ovs", format!("bridge:{bridge}")));
            keys.push(Key::new("ovs", format!("port:{port}")));
        }
        let after = state
            .after
            .iter()
            .map(|name| container_resource(name.as_str()));
        keys.extend(after.map(|resource| Key::new(NAME, resource)));
        keys
    }

    fn transition(&self, resource: &str, before: &Value, after: &Value) -> Transition {
        match Resource::parse(resource) {
            Some(Resource::Template(_)) => template::transition(before, after),
            _ => container::transition(before, after),
        }
    }

    fn effects(&self, change: &Change) -> Effects {
        Effects {
            destroys: change.verb == Verb::Delete && change.resource.starts_with("container:"),
            ..Effects::default()
        }
    }

    fn notes(&self) -> Vec<(String, String)> {
        self.notes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn apply(&self, changes: &[&Change], context: &Context<'_>) -> Result<(), PluginError> {
        for change in changes {
            match resource_of(change)? {
                Resource::Template(name) => {
                    Template::new(&self.site.layout, &name).apply(change, context)?;
                }
                Resource::Container(name) => {
                    Container::new(&self.site, &name).apply(change, context)?;
                }
            }
        }
        Ok(())
    }

    fn commit(&self, change: &Change, run: &str) -> Result<(), PluginError> {
        match resource_of(change)? {
            Resource::Template(name) => Template::new(&self.site.layout, &name).commit(run),
            Resource::Container(name) => Container::new(&self.site, &name).commit(run),
        }
    }
}

fn resource_of(change: &Change) -> Result<Resource, PluginError> {
    Resource::parse(&change.resource).ok_or_else(|| {
        PluginError::failed(
            format!("{} {}", change.verb, change.resource),
            "there is no such resource",
        )
    })
}

/// The command that runs `argv` in a running container below `base`, without the caller's environment.
pub fn attach_command(base: &Path, name: &ContainerName, argv: &[impl AsRef<OsStr>]) -> Command {
    runtime::attach_command(&Layout::new(base), name, argv)
}

/// What LXC's hook `start-host` calls, as `AGENT container-started PORT [LINK [DATABASE]]`: sets the host's end up once
/// the switch has taken it in, and makes the container's link compute its checksums. The process id of the
/// container's init is in the variable `LXC_PID`.
pub fn container_started(arguments: &[String]) -> Result<(), PluginError> {
    let Some(port) = arguments.first() else {
        return Ok(());
    };
    let link = arguments.get(1);
    if link.is_some() {
        port::keep_from_answering(port)?;
    }
    port::set_up(port, arguments.get(2).map(Path::new))?;
    let Some(link) = link else {
        return Ok(());
    };
    let variable = std::env::var("LXC_PID").ok();
    let pid = variable.and_then(|text| text.parse().ok()).ok_or_else(|| {
        PluginError::unavailable("LXC_PID does not hold a process id", "let LXC call this")
    })?;
    disable_tx_checksum(pid, link)
}

/// Where NixOS has this program, whichever version it is: a path that containers can keep over upgrades.
const ON_NIXOS: &str = "/run/current-system/sw/bin/op-dbus";

/// The path of this program, if LXC can call it.
fn this_program() -> Option<PathBuf> {
    if Path::new(ON_NIXOS).exists() {
        return Some(PathBuf::from(ON_NIXOS));
    }
    let path = std::env::current_exe().ok()?;
    // What the kernel adds once the file was replaced by a newer one.
    let text = path.to_str()?;
    callable(Path::new(text.strip_suffix(" (deleted)").unwrap_or(text)))
}

/// A path that can stand in LXC's configuration, from where a shell reads it.
fn callable(path: &Path) -> Option<PathBuf> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._+-".contains(&byte);
    let text = path.to_str()?;
    (path.is_absolute() && text.bytes().all(plain)).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_a_plain_path_is_given_to_a_shell() {
        assert!(callable(Path::new("/nix/store/abc-op-dbus-0.1.0/bin/op-dbus")).is_some());
        for path in ["op-dbus", "/a b", "/a;reboot", "/$HOME", "/ü", "/a\n"] {
            assert_eq!(callable(Path::new(path)), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_name_leads_out_of_its_directory(name in "[a-z./:@ -]{0,12}") {
            for resource in [template_resource(&name), container_resource(&name)] {
                match Resource::parse(&resource) {
                    Some(Resource::Template(name)) => prop_assert!(is_one_part(name.as_str())),
                    Some(Resource::Container(name)) => prop_assert!(is_one_part(name.as_str())),
                    None => {}
                }
            }
        }
    }

    fn is_one_part(name: &str) -> bool {
        !name.starts_with('.') && !name.contains('/') && Path::new("d").join(name).starts_with("d")
    }
}
