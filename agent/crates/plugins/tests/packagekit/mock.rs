//! A PackageKit that does what a test tells it to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use zbus::object_server::SignalEmitter;
use zbus::{Connection, ObjectPath, OwnedObjectPath, interface};

/// How it behaves.
#[derive(Debug, Clone, Default)]
pub(crate) enum Manner {
    /// As it should.
    #[default]
    Good,
    /// Changes end with an error.
    Error(u32, &'static str),
    /// Changes never end, but can be taken back.
    Never,
    /// Changes never end, whatever one does.
    Deaf,
    /// It leaves the bus in the middle of a change.
    Dies,
    /// It gives out ids that are none, and those of packages that nobody asked for.
    Hostile,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) manner: Manner,
    pub(crate) installed: BTreeMap<String, String>,
    /// Versions that could be installed; the last is the newest.
    pub(crate) available: BTreeMap<String, Vec<String>>,
    /// What needs a package.
    pub(crate) needed_by: BTreeMap<String, Vec<String>>,
    /// Methods that were called on transactions.
    pub(crate) log: Vec<String>,
    count: u32,
}

pub(crate) struct Mock {
    pub(crate) state: Arc<Mutex<State>>,
    // The connection goes before its threads.
    _connection: Connection,
    _runtime: Runtime,
}

impl Mock {
    pub(crate) fn start() -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let service = Service(state.clone());
        let connect = async {
            zbus::connection::Builder::system()
                .serve_at("/org/freedesktop/PackageKit", service)
                .name("org.freedesktop.PackageKit")
                .build()
                .await
        };
        let connection = runtime.block_on(connect).unwrap();
        Self {
            state,
            _connection: connection,
            _runtime: runtime,
        }
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    pub(crate) fn installed(&self, name: &str) -> Option<String> {
        self.state.lock().unwrap().installed.get(name).cloned()
    }

    pub(crate) fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().log)
    }
}

struct Service(Arc<Mutex<State>>);

#[interface(name = "org.freedesktop.PackageKit")]
impl Service {
    async fn create_transaction(
        &self,
        #[zbus(connection)] connection: &Connection,
    ) -> zbus::fdo::Result<OwnedObjectPath> {
        let path = {
            let mut state = self.0.lock().unwrap();
            state.count += 1;
            format!("/{}_transaction", state.count)
        };
        let path = ObjectPath::try_from(path).unwrap();
        let transaction = Transaction(self.0.clone());
        connection
            .object_server()
            .at(path.clone(), transaction)
            .await?;
        Ok(path.into())
    }
}

struct Transaction(Arc<Mutex<State>>);

const SIMULATE: u64 = 1 << 2;

impl Transaction {
    fn note(&self, text: &str) -> Manner {
        let mut state = self.0.lock().unwrap();
        state.log.push(text.to_owned());
        state.manner.clone()
    }

    /// Ends a change as the manner asks for; whether it is to be made.
    async fn change(
        &self,
        flags: u64,
        connection: &Connection,
        emitter: &SignalEmitter<'_>,
    ) -> bool {
        if flags & SIMULATE != 0 {
            return true;
        }
        let manner = self.0.lock().unwrap().manner.clone();
        match manner {
            Manner::Good | Manner::Hostile => return true,
            Manner::Error(code, text) => {
                Self::error_code(emitter, code, text).await.unwrap();
                Self::finished(emitter, 2, 5).await.unwrap();
            }
            Manner::Never | Manner::Deaf => {}
            Manner::Dies => {
                let connection = connection.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    connection.close().await.unwrap();
                });
            }
        }
        false
    }

    async fn hostile(&self, emitter: &SignalEmitter<'_>) {
        if !matches!(self.0.lock().unwrap().manner, Manner::Hostile) {
            return;
        }
        for id in [
            "",
            ";;;",
            "--all;1;amd64;x",
            "a\nb;1;c;d",
            "op-other;9;amd64;installed",
            "one;two",
        ] {
            Self::package(emitter, 1, id, "hostile").await.unwrap();
        }
    }
}

fn id(name: &str, version: &str, data: &str) -> String {
    format!("{name};{version};amd64;{data}")
}

fn parts(id: &str) -> (String, String) {
    let mut parts = id.split(';').map(str::to_owned);
    (parts.next().unwrap(), parts.next().unwrap())
}

#[interface(name = "org.freedesktop.PackageKit.Transaction")]
impl Transaction {
    async fn set_hints(&self, _hints: Vec<String>) {}

    async fn cancel(
        &self,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> zbus::fdo::Result<()> {
        match self.note("Cancel") {
            Manner::Deaf => Err(zbus::fdo::Error::Failed(
                "it cannot be cancelled".to_owned(),
            )),
            _ => {
                Self::finished(&emitter, 3, 5).await?;
                Ok(())
            }
        }
    }

    async fn resolve(
        &self,
        filter: u64,
        names: Vec<String>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) {
        self.note("Resolve");
        self.hostile(&emitter).await;
        let ids: Vec<_> = {
            let state = self.0.lock().unwrap();
            let there =
                |name: &String| Some((1, id(name, state.installed.get(name)?, "installed")));
            let mut ids: Vec<_> = names.iter().filter_map(there).collect();
            if filter & (1 << 3) != 0 {
                ids.clear();
                let newest = filter & (1 << 16) != 0;
                for name in &names {
                    let versions = state.available.get(name).into_iter().flatten();
                    let versions =
                        versions.filter(|version| state.installed.get(name) != Some(*version));
                    let all: Vec<_> = versions
                        .map(|version| (2, id(name, version, "repo")))
                        .collect();
                    let skipped = if newest {
                        all.len().saturating_sub(1)
                    } else {
                        0
                    };
                    ids.extend(all.into_iter().skip(skipped));
                }
            }
            ids
        };
        for (info, id) in ids {
            Self::package(&emitter, info, &id, "a package")
                .await
                .unwrap();
        }
        Self::finished(&emitter, 1, 5).await.unwrap();
    }

    async fn get_updates(&self, _filter: u64, #[zbus(signal_emitter)] emitter: SignalEmitter<'_>) {
        self.note("GetUpdates");
        self.hostile(&emitter).await;
        let ids: Vec<_> = {
            let state = self.0.lock().unwrap();
            let newer = |(name, there): (&String, &String)| {
                let newest = state.available.get(name)?.last()?;
                (newest != there).then(|| id(name, newest, "repo"))
            };
            state.installed.iter().filter_map(newer).collect()
        };
        for id in ids {
            Self::package(&emitter, 5, &id, "an update").await.unwrap();
        }
        Self::finished(&emitter, 1, 5).await.unwrap();
    }

    async fn install_packages(
        &self,
        flags: u64,
        ids: Vec<String>,
        #[zbus(connection)] connection: &Connection,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) {
        self.note(if flags & SIMULATE != 0 {
            "SimulateInstall"
        } else {
            "InstallPackages"
        });
        if !self.change(flags, connection, &emitter).await {
            return;
        }
        for id in &ids {
            Self::package(&emitter, 12, id, "installing").await.unwrap();
            if flags & SIMULATE == 0 {
                Self::item_progress(&emitter, id, 9, 50).await.unwrap();
                let (name, version) = parts(id);
                self.0.lock().unwrap().installed.insert(name, version);
            }
        }
        Self::finished(&emitter, 1, 5).await.unwrap();
    }

    async fn update_packages(
        &self,
        flags: u64,
        ids: Vec<String>,
        #[zbus(connection)] connection: &Connection,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) {
        self.install_packages(flags, ids, connection, emitter).await;
    }

    async fn remove_packages(
        &self,
        flags: u64,
        ids: Vec<String>,
        _allow_deps: bool,
        _autoremove: bool,
        #[zbus(connection)] connection: &Connection,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) {
        self.note(if flags & SIMULATE != 0 {
            "SimulateRemove"
        } else {
            "RemovePackages"
        });
        if !self.change(flags, connection, &emitter).await {
            return;
        }
        let mut names: Vec<_> = ids.iter().map(|id| parts(id).0).collect();
        {
            let state = self.0.lock().unwrap();
            let others: Vec<_> = names
                .iter()
                .filter_map(|name| state.needed_by.get(name))
                .flatten()
                .cloned()
                .collect();
            names.extend(
                others
                    .into_iter()
                    .filter(|name| state.installed.contains_key(name)),
            );
        }
        for name in names {
            Self::package(&emitter, 13, &id(&name, "1", "installed"), "removing")
                .await
                .unwrap();
            if flags & SIMULATE == 0 {
                self.0.lock().unwrap().installed.remove(&name);
            }
        }
        Self::finished(&emitter, 1, 5).await.unwrap();
    }

    #[zbus(signal)]
    async fn package(
        emitter: &SignalEmitter<'_>,
        info: u32,
        id: &str,
        summary: &str,
    ) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn error_code(emitter: &SignalEmitter<'_>, code: u32, details: &str) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn item_progress(
        emitter: &SignalEmitter<'_>,
        id: &str,
        status: u32,
        percentage: u32,
    ) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn finished(emitter: &SignalEmitter<'_>, exit: u32, runtime: u32) -> zbus::Result<()>;
}
