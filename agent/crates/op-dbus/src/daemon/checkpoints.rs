//! Publishes the ledger as it grows: asleep until the kernel tells that its files were written to.

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
use tokio::sync::{Mutex, watch};
use tools::{Registry, ToolError};

/// How long writes are gathered: a checkpoint comes well within a second of the first of them.
const GATHER: Duration = Duration::from_millis(300);
/// How long to wait after a failure; a finding stays one until a person looks at it.
const PAUSE: Duration = Duration::from_secs(30);

/// What an attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// All is published, or nothing is to be.
    Done,
    /// There is no ledger yet.
    NoLedger,
    /// It was not published; the log says why.
    Failed,
}

/// The one who publishes this host's ledger.
#[derive(Clone)]
pub(super) struct Checkpoints {
    registry: Arc<Registry>,
    /// Held while tiles and checkpoint are written: that is not given up halfway.
    busy: Arc<Mutex<Option<String>>>,
}

impl Checkpoints {
    pub(super) fn new(registry: &Arc<Registry>) -> Self {
        Self {
            registry: Arc::clone(registry),
            busy: Arc::default(),
        }
    }

    /// Publishes what is left at the daemon's end.
    pub(super) async fn last(&self) {
        self.publish().await;
    }

    /// Publishes until it is aborted. `changes` rings when the base may have come.
    pub(super) async fn run(self, mut changes: watch::Receiver<u64>) {
        loop {
            let ended = self.publish().await;
            let timing = self.registry.site().paths().map(|paths| paths.timing());
            let followed = match (ended, timing) {
                (Ended::Done, Ok(timing)) if timing.is_dir() => self.follow(&timing).await,
                (Ended::Failed, _) => {
                    let _ = tokio::time::timeout(PAUSE, changes.changed()).await;
                    Ok(())
                }
                _ => changes.changed().await.map_err(io::Error::other),
            };
            if let Err(error) = followed {
                log::warn!("the ledger's files are not watched for a while: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Publishes whenever the ledger was written to, until its directory is replaced or something fails.
    async fn follow(&self, timing: &Path) -> io::Result<()> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let flags = WatchFlags::MODIFY
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVE_SELF
            | WatchFlags::DELETE_SELF
            | WatchFlags::ONLYDIR;
        inotify::add_watch(&inotify, timing, flags)?;
        let readable = super::watch::readiness(&inotify)?;
        // Between the last look and the watch something may have been written.
        let mut news = true;
        loop {
            if news {
                tokio::time::sleep(GATHER).await;
                // What comes from here on is told anew.
                if drain(&inotify)?.gone || self.publish().await != Ended::Done {
                    return Ok(());
                }
            }
            let mut ready = readable.readable().await?;
            let told = drain(&inotify)?;
            ready.clear_ready();
            if told.gone {
                return Ok(());
            }
            news = told.written;
        }
    }

    /// Publishes what there is, once whoever is at it has ended, and says what is wrong once.
    async fn publish(&self) -> Ended {
        let mut said = Arc::clone(&self.busy).lock_owned().await;
        let registry = Arc::clone(&self.registry);
        let work = move || {
            let published = registry.site().publish();
            let error = match published {
                Ok(published) => {
                    if let Some((checkpoint, true)) = published {
                        log::debug!("checkpoint of {} entries", checkpoint.unverified().size);
                    }
                    *said = None;
                    return Ended::Done;
                }
                Err(ToolError::NotFound(_) | ToolError::Declaration(_)) => return Ended::NoLedger,
                Err(error) => error.to_string(),
            };
            if said.as_ref() != Some(&error) {
                log::error!("the ledger is not published: {error}");
                *said = Some(error);
            }
            Ended::Failed
        };
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or(Ended::Failed)
    }
}

#[derive(Default)]
struct Told {
    written: bool,
    /// The directory is another one now, such as after a snapshot was put back.
    gone: bool,
}

fn drain(inotify: &impl std::os::fd::AsFd) -> io::Result<Told> {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut reader = Reader::new(inotify, &mut buffer);
    let mut told = Told::default();
    loop {
        match reader.next() {
            Ok(event) => match event.file_name().map(CStr::to_bytes) {
                // Tiles and checkpoints are our own doing, and so is shared memory.
                Some(name) => {
                    told.written |= matches!(name, b"blockchain.db" | b"blockchain.db-wal")
                }
                None => told.gone = true,
            },
            Err(rustix::io::Errno::AGAIN) => return Ok(told),
            Err(error) => return Err(error.into()),
        }
    }
}
