//! The host as one call sees it: what is declared, what was made by command, and the plugins for both.

use std::collections::BTreeMap;
use std::path::Path;

use declaration::{Container, ContainerName, ContainersFile, Declaration};
use plugins::{BtrfsPlugin, LxcPlugin};
use reconcile::Plugin;
use serde_json::{Value, json};

use super::paths::Paths;
use super::restoring;
use super::session::Ended;
use crate::error::ToolError;

/// A host with its declaration.
pub struct Host {
    /// Where things are.
    pub paths: Paths,
    /// What is declared, the containers made by command included.
    pub declaration: Declaration,
    /// The containers made by command.
    pub by_command: BTreeMap<ContainerName, Container>,
    /// The plugins of the declaration.
    pub plugins: Vec<Box<dyn Plugin>>,
    written: Declaration,
}

impl Host {
    /// Reads what was made by command and makes the plugins. Changes nothing.
    pub fn new(written: &Declaration) -> Result<Self, ToolError> {
        let paths = Paths {
            base: written.plugins.btrfs.base.path.clone(),
        };
        let path = paths.containers();
        let by_command = match path.exists() {
            true => ContainersFile::read(&path)?.containers,
            false => restoring::by_command(&paths)?,
        };
        let mut host = Self {
            paths,
            declaration: written.clone(),
            by_command: BTreeMap::new(),
            plugins: Vec::new(),
            written: written.clone(),
        };
        host.set_by_command(by_command)?;
        Ok(host)
    }

    /// Mounts the base again after a reboot; to be called before [`Host::new`] by commands that write.
    pub fn remount(written: &Declaration) -> Result<(), ToolError> {
        let mounted = BtrfsPlugin::new(written)
            .remount()
            .map_err(|error| ToolError::failed("mount the base", error))?;
        if mounted {
            log::info!(
                "mounted {} again",
                written.plugins.btrfs.base.path.display()
            );
        }
        Ok(())
    }

    /// Replaces the containers made by command, in memory.
    pub fn set_by_command(
        &mut self,
        by_command: BTreeMap<ContainerName, Container>,
    ) -> Result<(), ToolError> {
        let mut declaration = self.written.clone();
        declaration.merge_containers(&by_command)?;
        self.plugins = plugins::declared(&declaration);
        self.declaration = declaration;
        self.by_command = by_command;
        Ok(())
    }

    /// The declaration as written, without the containers made by command.
    pub(crate) fn written(&self) -> &Declaration {
        &self.written
    }

    /// Whether the declaration itself, and not a command, has this container.
    pub fn is_written(&self, name: &ContainerName) -> bool {
        let lxc = self.written.plugins.lxc.as_ref();
        lxc.is_some_and(|lxc| lxc.containers.contains_key(name))
    }

    /// Lets one container run or not, in memory, wherever it is declared.
    pub fn set_running(&mut self, name: &ContainerName, running: bool) -> Result<(), ToolError> {
        if let Some(container) = self.by_command.get(name) {
            let mut by_command = self.by_command.clone();
            let container = Container {
                running,
                ..container.clone()
            };
            by_command.insert(name.clone(), container);
            return self.set_by_command(by_command);
        }
        let lxc = self.declaration.plugins.lxc.as_mut();
        match lxc.and_then(|lxc| lxc.containers.get_mut(name)) {
            Some(container) => {
                container.running = running;
                self.plugins = plugins::declared(&self.declaration);
                Ok(())
            }
            None => Err(no_container(name)),
        }
    }

    /// Lets one container run, in memory, and be stopped before where it runs already.
    pub(crate) fn restart(&mut self, name: &ContainerName) -> Result<(), ToolError> {
        self.set_running(name, true)?;
        let lxc = LxcPlugin::new(&self.declaration).restarting(name)?;
        let mut plugins = self.plugins.iter_mut();
        if let Some(plugin) = plugins.find(|plugin| plugin.name() == lxc.name()) {
            *plugin = Box::new(lxc);
        }
        Ok(())
    }

    /// Writes the containers made by command, whole or not at all.
    pub fn save_by_command(&self) -> Result<(), ToolError> {
        let file = ContainersFile::new(self.by_command.clone());
        let text = serde_json::to_vec_pretty(&file)
            .map_err(|error| ToolError::failed("write the containers", error))?;
        write_whole(&self.paths.containers(), &text)
    }

    /// Notes that the host was seen in its declared state.
    pub fn heartbeat(&self, run: &str, outcome: Ended, plan_hash: &str) {
        let beat: Value = json!({
            "run": run,
            "outcome": outcome,
            "plan_hash": plan_hash,
            "time": jiff::Timestamp::now().to_string(),
        });
        let text = serde_json::to_vec_pretty(&beat).unwrap_or_default();
        let path = self.paths.heartbeat();
        let temporary = path.with_extension("new");
        // Losing one in a crash costs nothing, so it is not synced.
        let written = std::fs::write(&temporary, text);
        if let Err(error) = written.and_then(|()| std::fs::rename(&temporary, &path)) {
            log::warn!("no heartbeat in {}: {error}", path.display());
        }
    }
}

/// There is no container of that name.
pub(crate) fn no_container(name: &ContainerName) -> ToolError {
    ToolError::NotFound(format!(
        "there is no container `{name}`; `op-dbus container list` shows those there are"
    ))
}

/// Replaces a file by way of a temporary one, so that a crash leaves the old or the new one.
pub fn write_whole(path: &Path, text: &[u8]) -> Result<(), ToolError> {
    durable::replace(path, text, 0o644)
        .map_err(|error| ToolError::failed(&format!("write {}", path.display()), error))
}
