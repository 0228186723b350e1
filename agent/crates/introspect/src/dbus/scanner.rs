//! Looking at a bus from code that waits.

use std::sync::{Arc, Mutex, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zbus::ObjectPath;
use zbus::names::BusName;

use super::cache::{self, Cache, Key};
use super::names::{Names, names};
use super::sessions::{Sessions, sessions};
use super::tree::Tree;
use super::walk::{Limits, WalkError, owner, walk};

/// Which bus.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Which {
    /// The bus of the machine.
    #[default]
    System,
    /// The bus of the user that this process runs as.
    Session,
}

/// A connection to one bus, with what was seen there.
pub struct Scanner {
    /// None only while it is dropped.
    bus: Option<dbus::Bus>,
    cache: Arc<Cache>,
}

impl Scanner {
    /// Connects to a bus.
    pub fn connect(which: Which) -> Result<Self, dbus::Error> {
        let bus = match which {
            Which::System => dbus::Bus::system()?,
            Which::Session => dbus::Bus::session()?,
        };
        let cache = Arc::new(Cache::default());
        bus.wait(cache::invalidate(bus.connection(), Arc::downgrade(&cache)))?;
        Ok(Self {
            bus: Some(bus),
            cache,
        })
    }

    /// The names on the bus.
    pub fn names(&self) -> Result<Names, WalkError> {
        self.wait(async |connection| names(connection).await)
    }

    /// Who is logged in; see [`sessions()`].
    pub fn sessions(&self) -> Result<Sessions, WalkError> {
        self.wait(async |connection| Ok(sessions(connection).await))
    }

    /// The objects of a service; those of a moment ago, unless `anew`. See [`walk`].
    pub fn tree(
        &self,
        service: &BusName<'_>,
        root: &ObjectPath<'_>,
        limits: &Limits,
        anew: bool,
        go_on: &(dyn Fn(usize, usize) -> bool + Sync),
    ) -> Result<Arc<Tree>, WalkError> {
        self.wait(async |connection| {
            let owner = owner(connection, service, limits.call).await?;
            let key = Key::new(&owner, root, limits);
            if !anew && let Some(known) = self.cache.get(&key) {
                let mut tree = (*known).clone();
                // The same connection may have several names.
                tree.service = service.to_string();
                return Ok(Arc::new(tree));
            }
            let tree = Arc::new(walk(connection, service, root, limits, go_on).await?);
            self.cache.put(Key::new(&tree.owner, root, limits), &tree);
            Ok(tree)
        })
    }

    /// What is kept of earlier looks.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    fn is_closed(&self) -> bool {
        let bus = self.bus.as_ref();
        bus.is_none_or(|bus| bus.connection().is_closed())
    }

    fn wait<R>(
        &self,
        look: impl AsyncFnOnce(&zbus::Connection) -> Result<R, WalkError>,
    ) -> Result<R, WalkError> {
        let Some(bus) = &self.bus else {
            return Err(WalkError::Bus("the connection is closed".to_owned()));
        };
        bus.wait(look(bus.connection()))
    }
}

impl Drop for Scanner {
    fn drop(&mut self) {
        // The last one to hold it may be asynchronous code, which must not wait for the connection's thread.
        let bus = self.bus.take();
        let _ = std::thread::Builder::new().spawn(move || drop(bus));
    }
}

/// One scanner a bus, connected when it is first wanted, and again when the bus has been away.
#[derive(Default)]
pub struct Scanners([Mutex<Option<Arc<Scanner>>>; 2]);

impl Scanners {
    /// The scanner of a bus.
    pub fn of(&self, which: Which) -> Result<Arc<Scanner>, dbus::Error> {
        let slot = &self.0[which as usize];
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        match &*slot {
            Some(scanner) if !scanner.is_closed() => Ok(Arc::clone(scanner)),
            _ => Ok(Arc::clone(slot.insert(Arc::new(Scanner::connect(which)?)))),
        }
    }
}
