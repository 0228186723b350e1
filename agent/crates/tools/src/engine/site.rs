//! The host's declaration and ledger, as one process sees them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use declaration::{Access, Declaration, Format, Web};
use ledger::{Ledger, NewEntry};
use plugins::derived::Mapped;
use reconcile::KeeperLock;

use super::host::Host;
use super::paths::Paths;
use super::recall::Recall;
use super::resources::Resources;
use super::restoring;
use crate::call::Call;
use crate::error::ToolError;
use crate::orchestrator::Orchestrator;

/// Where the declaration is looked for by default.
pub const DEFAULT_FILE: &str = "/etc/op-dbus/state.json";

/// Where the declaration comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file, read anew whenever it has changed.
    File(PathBuf),
    /// A text that was read once, such as standard input.
    Text(String),
}

/// What a file was when it was read.
type Stamp = (u64, u64, i64, i64, u64);

/// The host's declaration and files, as one process sees them.
pub struct Site {
    source: Source,
    base: Option<PathBuf>,
    read: Mutex<Option<(Stamp, Arc<Declaration>)>>,
    ledger: Mutex<Option<(Identity, Ledger)>>,
    /// The last declaration that was good.
    good: Mutex<Option<Arc<Declaration>>>,
    known: Mutex<Option<Paths>>,
    busy: Mutex<bool>,
    free: Condvar,
    orchestrator: OnceLock<Weak<dyn Orchestrator>>,
    bell: OnceLock<Bell>,
    pub(super) recall: Recall,
    resources: Resources,
    /// Held by the daemon.
    keeper: Mutex<Option<KeeperLock>>,
    /// The tiles were looked through.
    pub(super) looked_through: AtomicBool,
}

/// Rung after each change that was recorded.
type Bell = Box<dyn Fn() + Send + Sync>;

/// The right to change the host, one at a time in this process; the lock file keeps other processes out.
pub struct Turn<'a>(&'a Site);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.busy.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.0.free.notify_one();
    }
}

/// How often a call that waits for its turn looks whether it was taken back.
const LOOK: Duration = Duration::from_millis(100);

impl Site {
    /// A host whose declaration is at `source`, with another base directory than it says if there is one.
    pub fn new(source: Source, base: Option<PathBuf>) -> Self {
        Self {
            source,
            base,
            read: Mutex::default(),
            ledger: Mutex::default(),
            good: Mutex::default(),
            known: Mutex::default(),
            busy: Mutex::default(),
            free: Condvar::new(),
            orchestrator: OnceLock::new(),
            bell: OnceLock::new(),
            recall: Recall::default(),
            resources: Resources::default(),
            keeper: Mutex::default(),
            looked_through: AtomicBool::new(false),
        }
    }

    /// Makes this process the one that keeps the host, until it ends.
    ///
    /// # Errors
    ///
    /// [`ToolError::Refused`] if another one does; others where it cannot be known yet.
    pub fn keep(&self) -> Result<(), ToolError> {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if keeper.is_none() {
            *keeper = Some(KeeperLock::acquire(
                &self.paths()?.keeper(),
                "op-dbus daemon",
            )?);
        }
        Ok(())
    }

    /// Keeps a daemon out while a command does what it must do alone; nothing is needed in the daemon itself.
    ///
    /// # Errors
    ///
    /// [`ToolError::Refused`] if a daemon runs.
    pub fn alone(&self, paths: &Paths, command: &str) -> Result<Option<KeeperLock>, ToolError> {
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        match keeper.is_some() {
            true => Ok(None),
            false => Ok(Some(KeeperLock::acquire(&paths.keeper(), command)?)),
        }
    }

    /// Waits until no other call of this process changes the host.
    pub(crate) fn turn(&self, call: &Call<'_>) -> Result<Turn<'_>, ToolError> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        while *busy {
            call.check()?;
            let waited = self.free.wait_timeout(busy, LOOK);
            busy = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *busy = true;
        Ok(Turn(self))
    }

    /// Says who distributes tasks, once.
    pub fn set_orchestrator(&self, orchestrator: Weak<dyn Orchestrator>) {
        let _ = self.orchestrator.set(orchestrator);
    }

    /// Says whom to tell of each change that was recorded, once. Without anybody the current state is kept at once.
    pub fn set_bell(&self, bell: impl Fn() + Send + Sync + 'static) {
        let _ = self.bell.set(Box::new(bell));
    }

    /// A change was recorded.
    pub(crate) fn changed(&self) {
        match self.bell.get() {
            Some(bell) => bell(),
            None => crate::export::keep(self),
        }
    }

    /// Nothing was to be changed; what an earlier process had no time to keep is kept now.
    pub(crate) fn unchanged(&self, host: &Host) {
        if self.bell.get().is_none() {
            crate::export::catch_up(self, host);
        }
    }

    /// Who distributes tasks.
    pub(crate) fn orchestrator(&self) -> Result<Arc<dyn Orchestrator>, ToolError> {
        let found = self.orchestrator.get().and_then(Weak::upgrade);
        found.ok_or_else(|| {
            ToolError::Unavailable(
                "tasks are taken in and carried out by the daemon, which does not run here: \
                 `systemctl start op-dbusd` starts it"
                    .to_owned(),
            )
        })
    }

    /// How busy the machine was.
    pub fn resources(&self) -> &Resources {
        &self.resources
    }

    /// The file that the declaration is read from.
    pub fn file(&self) -> Option<&Path> {
        match &self.source {
            Source::File(path) => Some(path),
            Source::Text(_) => None,
        }
    }

    /// The declaration's text, with its remarks.
    pub(crate) fn text(&self) -> Option<String> {
        match &self.source {
            Source::File(path) => fs::read_to_string(path).ok(),
            Source::Text(text) => Some(text.clone()),
        }
    }

    /// The base that was asked for instead of the declaration's.
    pub fn base(&self) -> Option<&Path> {
        self.base.as_deref()
    }

    /// The declaration as written, before the containers that were made by command join it.
    pub fn declaration(&self) -> Result<Arc<Declaration>, ToolError> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = match &self.source {
            Source::Text(_) => (0, 0, 0, 0, 0),
            Source::File(path) => match fs::metadata(path) {
                Ok(file) => (
                    file.dev(),
                    file.ino(),
                    file.mtime(),
                    file.mtime_nsec(),
                    file.size(),
                ),
                Err(_) if !path.exists() => {
                    return Err(ToolError::NotFound(format!(
                        "there is no declaration at {}. Write one there, or name another with --file; \
                         `op-dbus schema` says what it may hold",
                        path.display()
                    )));
                }
                Err(error) => {
                    return Err(ToolError::failed(
                        &format!("read {}", path.display()),
                        error,
                    ));
                }
            },
        };
        // Whether a mapping answers for a section does not only depend on this file.
        if let Some((known, declaration)) = &*read
            && *known == stamp
            && declaration.derived.is_empty()
        {
            return Ok(Arc::clone(declaration));
        }
        let declaration = Arc::new(self.read(false)?);
        *read = Some((stamp, Arc::clone(&declaration)));
        Ok(declaration)
    }

    /// Reads the declaration; without what is wrong with the sections of mapped plugins if it is `lenient`.
    fn read(&self, lenient: bool) -> Result<Declaration, ToolError> {
        let mapped = Mapped {
            base: self.base.clone(),
            lenient,
            ..Mapped::default()
        };
        let mut declaration = match &self.source {
            Source::Text(text) => Declaration::parse_with(text, Format::Yaml, &mapped)?,
            Source::File(path) => Declaration::read_with(path, &mapped)?,
        };
        if let Some(base) = &self.base {
            declaration.plugins.btrfs.base.path.clone_from(base);
        }
        Ok(declaration)
    }

    /// The declaration, or an empty one where the default file is not there: for what only looks, and for
    /// containers that are made by command.
    pub fn declaration_if_any(&self) -> Result<Arc<Declaration>, ToolError> {
        match &self.source {
            Source::File(path) if path == Path::new(DEFAULT_FILE) && !path.exists() => {
                let mut declaration = Declaration::default();
                if let Some(base) = &self.base {
                    declaration.plugins.btrfs.base.path.clone_from(base);
                }
                Ok(Arc::new(declaration))
            }
            _ => self.declaration(),
        }
    }

    /// The declaration, or the last one that was good; none before there was one.
    fn last_good(&self) -> Option<Arc<Declaration>> {
        let mut good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(declaration) = self.declaration_if_any() {
            *good = Some(declaration);
        }
        good.clone()
    }

    /// Who may do what: as the last good declaration says, and nobody but root before there was one.
    pub fn access(&self) -> Access {
        let good = self.last_good();
        good.map_or_else(nobody, |declaration| declaration.access.clone())
    }

    /// Who may speak at the HTTP doors: as the last good declaration says, and nobody before there was one.
    pub fn web(&self) -> Option<Web> {
        self.last_good()?.web.clone()
    }

    /// Where things are.
    pub fn paths(&self) -> Result<Paths, ToolError> {
        // A plugin whose section is bad has to be mended, or enabled, at its place.
        let declaration = match self.declaration_if_any() {
            Err(error @ ToolError::Declaration(_)) => Arc::new(self.read(true).map_err(|_| error)?),
            other => other?,
        };
        let paths = Paths {
            base: declaration.plugins.btrfs.base.path.clone(),
        };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(paths.clone());
        Ok(paths)
    }

    /// Where things are, or were as long as the declaration was good.
    fn last_paths(&self) -> Result<Paths, ToolError> {
        let known = || {
            let known = self.known.lock();
            known.unwrap_or_else(PoisonError::into_inner).clone()
        };
        self.paths().or_else(|error| known().ok_or(error))
    }

    /// The ledger for readers.
    pub fn ledger(&self) -> Result<Ledger, ToolError> {
        let path = self.paths()?.ledger();
        if !path.exists() {
            return Err(ToolError::NotFound(format!(
                "there is no ledger at {}: the first `op-dbus apply` makes it. If the base is elsewhere, \
                 name it with --base",
                path.display()
            )));
        }
        Ok(Ledger::open_read_only(&path)?)
    }

    /// Whether what is changed now can be recorded: no change without a record.
    ///
    /// Where the first apply has still to make the ledger's place, the engine keeps the entries until it is
    /// there; `engine` says that it is what changes something.
    pub(crate) fn can_record(&self, engine: bool) -> Result<(), ToolError> {
        if !rustix::process::geteuid().is_root() {
            return Err(ToolError::Refused(
                "this changes the host and needs root: run it with sudo, or start the daemon, which asks \
                 who you are"
                    .to_owned(),
            ));
        }
        let may = self.with_ledger(|ledger| match ledger {
            Some(_) => Ok(true),
            None => Ok(engine),
        });
        let may = match may {
            // A restore brings the declaration along.
            Err(ToolError::NotFound(_)) if engine => Ok(true),
            may => may,
        };
        may.and_then(|may| match may {
            true => Ok(()),
            false => Err(ToolError::Unavailable(
                "there is no ledger to record this in: `op-dbus apply` makes its place, or mounts it again"
                    .to_owned(),
            )),
        })
    }

    /// Writes an entry. Without a place for the ledger there is nothing to write to, and the log has it.
    pub(crate) fn record(&self, entry: NewEntry) -> Result<Option<i64>, ToolError> {
        let written = self.with_ledger(|ledger| match ledger {
            Some(ledger) => {
                let written = ledger.append_all(std::slice::from_ref(&entry))?;
                Ok(written.first().map(|entry| entry.id))
            }
            None => {
                log::warn!("not in the ledger, which is not there yet: {entry:?}");
                Ok(None)
            }
        });
        // A caller without root cannot write it, and cannot change anything either.
        match written {
            Err(error) if !rustix::process::geteuid().is_root() => {
                log::warn!("not in the ledger: {error}");
                Ok(None)
            }
            // Nobody has ever said where it is.
            Err(error @ ToolError::NotFound(_)) => {
                log::warn!("not in the ledger: {error}");
                Ok(None)
            }
            written => written,
        }
    }

    /// Does something while no call of this process has the ledger open, or opens it to write.
    pub(crate) fn while_unopened<T>(
        &self,
        work: impl FnOnce() -> Result<T, ToolError>,
    ) -> Result<T, ToolError> {
        let mut open = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        *open = None;
        work()
    }

    fn with_ledger<T>(
        &self,
        work: impl FnOnce(Option<&Ledger>) -> ledger::Result<T>,
    ) -> Result<T, ToolError> {
        let paths = self.last_paths()?;
        let path = paths.ledger();
        let mut open = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        // It may have been restored from a snapshot, or lie below another mount since.
        if open
            .as_ref()
            .is_some_and(|(known, _)| Some(known) != identity(&path).as_ref())
        {
            *open = None;
        }
        if open.is_none() && (path.exists() || btrfs::is_subvolume(paths.timing()).unwrap_or(false))
        {
            let ledger = restoring::open_ledger(&paths)?;
            *open = identity(&path).map(|identity| (identity, ledger));
        }
        Ok(work(open.as_ref().map(|(_, ledger)| ledger))?)
    }
}

/// Path, device and number of a file.
type Identity = (PathBuf, u64, u64);

fn identity(path: &Path) -> Option<Identity> {
    let file = fs::metadata(path).ok()?;
    Some((path.to_owned(), file.dev(), file.ino()))
}

/// Access for root alone.
fn nobody() -> Access {
    let mut access = Access::default();
    access.viewer.groups.clear();
    access.files.read.clear();
    access
}
