//! Has the heads of the ledger cosigned by the declared witnesses.
//!
//! Whoever publishes puts a signed head into `@timing/checkpoint`; this waits for the next one to appear there, and
//! nobody waits for this. Cosigned heads go to `@timing/checkpoint.cosigned`, beside it.

mod heads;
mod submit;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use declaration::{DeclaredWitness, WitnessName};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};
use tools::Registry;

use super::Standing;
use super::watch::files;
use heads::{Heads, OnDisk};
use submit::Submission;

/// How long a submission may take.
const LIMIT: Duration = Duration::from_secs(10);
/// The least time between two submissions to the same witness: what is written meanwhile goes with the next.
const GAP: Duration = Duration::from_secs(1);
/// The pause after a failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// What tells of new heads.
type News = watch::Receiver<()>;

/// Begins. Without witnesses in the declaration nothing is loaded, and nothing wakes up but at a new head.
pub(super) fn start(registry: &Arc<Registry>, standing: &Arc<Standing>) -> JoinHandle<()> {
    let (registry, standing) = (Arc::clone(registry), Arc::clone(standing));
    tokio::spawn(async move {
        let mut changes = standing.changes();
        let followers = Followers::new(&registry, &standing);
        loop {
            // The base may come later, or be another one since.
            if let Ok(paths) = registry.site().paths() {
                let directory = paths.timing();
                let watched = identity(&directory);
                followers.tell(&registry);
                if let Some(watched) = watched {
                    let seen =
                        files::replaced(&directory, "checkpoint", || followers.tell(&registry));
                    let gone = async {
                        while changes.changed().await.is_ok() {
                            if identity(&directory) != Some(watched) {
                                return;
                            }
                        }
                    };
                    tokio::select! {
                        ended = seen => {
                            log::warn!("new checkpoints are not seen: {ended:?}");
                            tokio::time::sleep(LONGEST_PAUSE).await;
                        }
                        () = gone => {}
                    }
                    continue;
                }
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    })
}

/// Device and number of a directory.
fn identity(directory: &Path) -> Option<(u64, u64)> {
    let found = directory.metadata().ok()?;
    Some((found.dev(), found.ino()))
}

/// A task for each declared witness.
struct Followers {
    heads: Arc<dyn Heads>,
    news: watch::Sender<()>,
    tasks: std::sync::Mutex<BTreeMap<WitnessName, (DeclaredWitness, AbortHandle)>>,
}

impl Followers {
    fn new(registry: &Arc<Registry>, standing: &Arc<Standing>) -> Self {
        let heads = OnDisk::new(Arc::clone(registry), Arc::clone(standing));
        Self {
            heads: Arc::new(heads),
            news: watch::channel(()).0,
            tasks: std::sync::Mutex::default(),
        }
    }

    /// Tells all of a new head, after those that are no longer declared have ended and new ones have begun.
    fn tell(&self, registry: &Registry) {
        let mut tasks = self
            .tasks
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        // While the declaration is bad, those of the last good one go on.
        if let Ok(declaration) = registry.site().declaration() {
            let declared = &declaration.ledger.witnesses;
            tasks.retain(|name, (witness, task)| {
                let stays = declared.get(name) == Some(witness);
                if !stays {
                    task.abort();
                    self.heads.clear(name.as_str());
                }
                stays
            });
            for (name, witness) in declared {
                tasks.entry(name.clone()).or_insert_with(|| {
                    let submission = Submission::new(name, witness, Arc::clone(&self.heads));
                    let task = tokio::spawn(follow(submission, self.news.subscribe()));
                    (witness.clone(), task.abort_handle())
                });
            }
        }
        self.news.send_replace(());
    }
}

impl Drop for Followers {
    fn drop(&mut self) {
        let tasks = self
            .tasks
            .get_mut()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        tasks.values().for_each(|(_, task)| task.abort());
    }
}

/// Submits each new head that there is time for, until the daemon ends.
async fn follow(mut submission: Submission, mut news: News) {
    let mut pause = FIRST_PAUSE;
    news.mark_changed();
    while news.changed().await.is_ok() {
        loop {
            if submission.run().await {
                pause = FIRST_PAUSE;
                tokio::time::sleep(GAP).await;
                break;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            // Everything that is new by now goes with the next attempt.
            news.mark_unchanged();
        }
    }
}
