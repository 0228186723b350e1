//! The host as one command sees it: its declaration, its plugins, and where things are.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use declaration::{Container, ContainerName, ContainersFile, Declaration};
use plugins::BtrfsPlugin;
use reconcile::Plugin;
use serde_json::{Value, json};

use crate::cli::Cli;
use crate::failure::Failure;

/// Where the declaration is looked for by default.
const DEFAULT_FILE: &str = "/etc/op-dbus/state.json";

/// Where things are, all derived from the base.
///
/// The journal and the lock stand beside the base and not in it, since a run may have to make, mount or
/// mend the base itself.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    pub(crate) base: PathBuf,
}

impl Paths {
    fn beside(&self, suffix: &str) -> PathBuf {
        let mut path = OsString::from(&self.base);
        path.push(suffix);
        PathBuf::from(path)
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.beside(".journal")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.beside(".lock")
    }

    /// The declaration under which an open confirm window was begun.
    pub(crate) fn guarded(&self) -> PathBuf {
        self.beside(".window.json")
    }

    /// The subvolume that holds the ledger.
    pub(crate) fn timing(&self) -> PathBuf {
        self.base.join("@timing")
    }

    pub(crate) fn ledger(&self) -> PathBuf {
        self.timing().join("blockchain.db")
    }

    /// The containers that were made by command.
    pub(crate) fn containers(&self) -> PathBuf {
        self.base.join("@state/containers.json")
    }

    /// When the host was last seen in its declared state.
    pub(crate) fn heartbeat(&self) -> PathBuf {
        self.base.join("@state/last-apply.json")
    }
}

/// The declaration as written, before the containers that were made by command join it.
pub(crate) fn read_declaration(cli: &Cli) -> Result<Declaration, Failure> {
    let mut declaration = if cli.file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("read the declaration from standard input")?;
        Declaration::from_yaml(&text)?
    } else {
        if !cli.file.exists() {
            return Err(Failure::Usage(format!(
                "there is no declaration at {}. Write one there, or name another with --file; \
                 `op-dbus schema` says what it may hold",
                cli.file.display()
            )));
        }
        Declaration::read(&cli.file)?
    };
    move_base(cli, &mut declaration)?;
    Ok(declaration)
}

/// The declaration if there is one; commands that only look do without.
pub(crate) fn read_declaration_if_any(cli: &Cli) -> Result<Declaration, Failure> {
    if cli.file == Path::new(DEFAULT_FILE) && !cli.file.exists() {
        let mut declaration = Declaration::default();
        move_base(cli, &mut declaration)?;
        return Ok(declaration);
    }
    read_declaration(cli)
}

fn move_base(cli: &Cli, declaration: &mut Declaration) -> Result<(), Failure> {
    if let Some(base) = &cli.base {
        let base = std::path::absolute(base)
            .with_context(|| format!("find the base {}", base.display()))?;
        declaration.plugins.btrfs.base.path = base;
    }
    Ok(())
}

/// A host with its declaration.
pub(crate) struct Host {
    pub(crate) paths: Paths,
    /// What is declared, the containers made by command included.
    pub(crate) declaration: Declaration,
    /// The containers made by command.
    pub(crate) by_command: BTreeMap<ContainerName, Container>,
    /// The plugins of the declaration.
    pub(crate) plugins: Vec<Box<dyn Plugin>>,
    written: Declaration,
}

impl Host {
    /// Reads what was made by command and makes the plugins. Changes nothing.
    pub(crate) fn new(written: Declaration) -> Result<Self, Failure> {
        let paths = Paths {
            base: written.plugins.btrfs.base.path.clone(),
        };
        let path = paths.containers();
        let by_command = match path.exists() {
            true => ContainersFile::read(&path)?.containers,
            false => BTreeMap::new(),
        };
        let mut host = Self {
            paths,
            declaration: written.clone(),
            by_command: BTreeMap::new(),
            plugins: Vec::new(),
            written,
        };
        host.set_by_command(by_command)?;
        Ok(host)
    }

    /// Mounts the base again after a reboot; to be called before [`Host::new`] by commands that write.
    pub(crate) fn remount(written: &Declaration) -> Result<(), Failure> {
        let mounted = BtrfsPlugin::new(written)
            .remount()
            .context("mount the base")?;
        if mounted {
            log::info!(
                "mounted {} again",
                written.plugins.btrfs.base.path.display()
            );
        }
        Ok(())
    }

    /// Replaces the containers made by command, in memory.
    pub(crate) fn set_by_command(
        &mut self,
        by_command: BTreeMap<ContainerName, Container>,
    ) -> Result<(), Failure> {
        let mut declaration = self.written.clone();
        declaration.merge_containers(&by_command)?;
        self.plugins = plugins::declared(&declaration);
        self.declaration = declaration;
        self.by_command = by_command;
        Ok(())
    }

    /// Whether the declaration itself, and not a command, has this container.
    pub(crate) fn is_written(&self, name: &ContainerName) -> bool {
        let lxc = self.written.plugins.lxc.as_ref();
        lxc.is_some_and(|lxc| lxc.containers.contains_key(name))
    }

    /// Lets one container run or not, in memory, wherever it is declared.
    pub(crate) fn set_running(
        &mut self,
        name: &ContainerName,
        running: bool,
    ) -> Result<(), Failure> {
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

    /// Writes the containers made by command, whole or not at all.
    pub(crate) fn save_by_command(&self) -> Result<(), Failure> {
        let file = ContainersFile::new(self.by_command.clone());
        let text = serde_json::to_vec_pretty(&file).context("write the containers")?;
        write_whole(&self.paths.containers(), &text)
    }

    /// Notes that the host was seen in its declared state.
    pub(crate) fn heartbeat(&self, run: &str, outcome: &str, plan_hash: &str) {
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
pub(crate) fn no_container(name: &ContainerName) -> Failure {
    Failure::Usage(format!(
        "there is no container `{name}`; `op-dbus container list` shows those there are"
    ))
}

/// Replaces a file by way of a temporary one, so that a crash leaves the old or the new one.
fn write_whole(path: &Path, text: &[u8]) -> Result<(), Failure> {
    let temporary = path.with_extension("new");
    let write = || {
        use std::io::Write;
        let mut file = std::fs::File::create(&temporary)?;
        file.write_all(text)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().with_context(|| format!("write {}", path.display()))?;
    Ok(())
}
