//! One head to one witness.

use std::sync::Arc;

use declaration::{DeclaredWitness, WitnessName};
use mcp::upstream::{Guard, post};
use tlog::{AddCheckpoint, Answer, MAX_NOTE, SignedCheckpoint};

use super::LIMIT;
use super::heads::{Alarm, Heads};

/// A witness, and what is known of it.
pub(super) struct Submission {
    name: String,
    witness: DeclaredWitness,
    heads: Arc<dyn Heads>,
    /// Entries that it has cosigned, as far as is known.
    cosigned: u64,
    /// The text of the last head that it cosigned, which need not be cosigned again.
    done: Option<String>,
    /// What was said last, so that it is said once.
    said: Option<String>,
    /// What stands, and which kinds of it were told since all was well: an alarm once a state, however sizes change.
    alarm: Option<Alarm>,
    told: Vec<&'static str>,
    /// Whether it was seen to be well in this process.
    well: bool,
}

/// How a submission ended.
enum Ended {
    Cosigned,
    /// It knows another size than was believed.
    Believes(u64),
    Alarm(Alarm),
    Trouble(String),
}

impl Submission {
    pub(super) fn new(
        name: &WitnessName,
        witness: &DeclaredWitness,
        heads: Arc<dyn Heads>,
    ) -> Self {
        Self {
            name: name.to_string(),
            witness: witness.clone(),
            heads,
            cosigned: 0,
            done: None,
            said: None,
            alarm: None,
            told: Vec::new(),
            well: false,
        }
    }

    /// Submits the newest head, if it is not cosigned yet; whether there is nothing left to do.
    pub(super) async fn run(&mut self) -> bool {
        let ended = match self.newest().await {
            Ok(None) => return true,
            Ok(Some(head)) if self.done.as_deref() == Some(head.note().text()) => return true,
            Ok(Some(head)) => self.submit(head).await,
            Err(trouble) => Ended::Trouble(trouble),
        };
        match ended {
            Ended::Cosigned => {
                if self.said.take().is_some() {
                    log::info!("the witness {} cosigns again", self.name);
                }
                // An alarm of the time before this process is over, too.
                if self.alarm.take().is_some() || !self.well {
                    self.told.clear();
                    let (heads, name) = (Arc::clone(&self.heads), self.name.clone());
                    let over = tokio::task::spawn_blocking(move || heads.over(&name));
                    self.well = over.await.is_ok();
                }
                true
            }
            Ended::Alarm(alarm) => {
                self.done = None;
                self.well = false;
                if self.alarm.replace(alarm) != Some(alarm) {
                    let news = !self.told.contains(&alarm.kind());
                    if news {
                        self.told.push(alarm.kind());
                    }
                    let (heads, name) = (Arc::clone(&self.heads), self.name.clone());
                    let raise = move || heads.alarm(&name, alarm, news);
                    let _ = tokio::task::spawn_blocking(raise).await;
                }
                false
            }
            Ended::Believes(_) => false,
            Ended::Trouble(trouble) => {
                if self.said.as_ref() != Some(&trouble) {
                    log::warn!("the witness {} does not cosign: {trouble}", self.name);
                    self.said = Some(trouble);
                }
                false
            }
        }
    }

    async fn newest(&self) -> Result<Option<SignedCheckpoint>, String> {
        let heads = Arc::clone(&self.heads);
        wait(move || heads.newest()).await
    }

    async fn submit(&mut self, head: SignedCheckpoint) -> Ended {
        // Of a witness that was not asked before only itself knows how far it is.
        for _ in 0..3 {
            match self.once(&head).await {
                Ended::Believes(size) if size > head.unverified().size => {
                    self.cosigned = size;
                    return Ended::Alarm(Alarm::Rollback { cosigned: size });
                }
                Ended::Believes(size) => self.cosigned = size,
                ended => return ended,
            }
        }
        Ended::Trouble("it says another size each time".to_owned())
    }

    async fn once(&mut self, head: &SignedCheckpoint) -> Ended {
        let (old, new) = (
            self.cosigned.min(head.unverified().size),
            head.unverified().size,
        );
        let heads = Arc::clone(&self.heads);
        let proof = match wait(move || heads.consistency(old, new)).await {
            Ok(proof) => proof,
            Err(trouble) => return Ended::Trouble(trouble),
        };
        let request = AddCheckpoint {
            old_size: old,
            proof,
            checkpoint: head.clone(),
        };
        let url = format!("{}/add-checkpoint", self.witness.url);
        let guard = Guard::Only(self.witness.addresses.clone());
        let posted = match post(&url, &guard, LIMIT, request.to_string(), MAX_NOTE).await {
            Ok(posted) => posted,
            Err(error) => return Ended::Trouble(error.to_string()),
        };
        match Answer::read(posted.status, posted.content_type.as_deref(), &posted.body) {
            Answer::Cosigned(signatures) => self.keep(head, signatures).await,
            Answer::Conflict(size) if size == old => Ended::Alarm(Alarm::Fork { cosigned: size }),
            Answer::Conflict(size) => Ended::Believes(size),
            Answer::Unproven => Ended::Alarm(Alarm::Fork { cosigned: old }),
            Answer::Bad(why) => Ended::Trouble(format!("it cannot read the request: {why}")),
            Answer::Forbidden => Ended::Trouble(
                "it has another key for this ledger: declare there what `op-dbus ledger key` prints here".to_owned(),
            ),
            Answer::Unknown => Ended::Trouble(
                "it does not know this ledger: declare there, in `ledger.witness.origins`, what `op-dbus ledger key` \
                 prints here"
                    .to_owned(),
            ),
            Answer::Other(status) => Ended::Trouble(format!("it answers with status {status}, which means nothing here")),
        }
    }

    async fn keep(&mut self, head: &SignedCheckpoint, signatures: Vec<tlog::Signature>) -> Ended {
        let key = self.witness.key.clone();
        let Some(signature) = signatures
            .into_iter()
            .find(|signature| signature.names(&key))
        else {
            return Ended::Trouble(format!(
                "it signs with another key than `{}`: declare here what `op-dbus witness key` prints there",
                key.name()
            ));
        };
        let (heads, over) = (Arc::clone(&self.heads), head.clone());
        match wait(move || heads.keep(&over, signature, &key)).await {
            Ok(_) => {
                self.cosigned = head.unverified().size;
                self.done = Some(head.note().text().to_owned());
                Ended::Cosigned
            }
            Err(trouble) => Ended::Trouble(trouble),
        }
    }
}

/// Does what waits for the disk where it holds nobody up.
async fn wait<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering};

    use tlog::{
        Algorithm, Checkpoint, Hash, Prover, Signature, SigningKey, Tiles, Tree, VerifierKey,
        Witness, leaf_hash,
    };
    use tokio::net::TcpListener;
    use tokio_util::sync::CancellationToken;
    use web::WitnessDoor;

    use super::super::heads::keep_at;
    use super::*;

    /// A ledger whose entries are numbers, and from `fork` on other ones.
    struct Numbers {
        key: SigningKey,
        directory: tempfile::TempDir,
        size: AtomicU64,
        fork: AtomicU64,
        alarms: Mutex<Vec<Alarm>>,
    }

    impl Numbers {
        fn tree(&self, size: u64) -> Tree {
            let fork = self.fork.load(Ordering::SeqCst);
            let mut tree = Tree::new();
            for number in 0..size {
                tree.append(leaf_hash(format!("{number} {}", number >= fork).as_bytes()));
            }
            tree
        }

        fn cosigned(&self) -> Option<SignedCheckpoint> {
            let bytes = std::fs::read(self.directory.path().join("cosigned")).ok()?;
            Some(SignedCheckpoint::parse(&bytes).unwrap())
        }
    }

    impl Heads for Numbers {
        fn newest(&self) -> Result<Option<SignedCheckpoint>, String> {
            let size = self.size.load(Ordering::SeqCst);
            let name = self.key.verifier().name().clone();
            let head = Checkpoint::new(name, size, self.tree(size).root());
            head.sign(&self.key)
                .map(Some)
                .map_err(|error| error.to_string())
        }

        fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, String> {
            let (tiles, tree) = (Tiles::at("/nonexistent"), self.tree(new));
            let prover = Prover::with_recent(&tiles, &tree);
            prover
                .consistency(old, new)
                .map_err(|error| error.to_string())
        }

        fn keep(
            &self,
            over: &SignedCheckpoint,
            signature: Signature,
            witness: &VerifierKey,
        ) -> Result<bool, String> {
            keep_at(
                &self.directory.path().join("cosigned"),
                over,
                signature,
                witness,
            )
        }

        fn alarm(&self, _: &str, alarm: Alarm, news: bool) {
            if news {
                self.alarms.lock().unwrap().push(alarm);
            }
        }

        fn over(&self, _: &str) {
            self.alarms.lock().unwrap().clear();
        }

        fn clear(&self, _: &str) {}
    }

    fn key(name: &str, algorithm: Algorithm) -> SigningKey {
        SigningKey::generate(&name.parse().unwrap(), algorithm)
            .unwrap()
            .parse()
            .unwrap()
    }

    fn numbers(size: u64) -> Arc<Numbers> {
        Arc::new(Numbers {
            key: key("example.org/log", Algorithm::Ed25519),
            directory: tempfile::tempdir().unwrap(),
            size: size.into(),
            fork: u64::MAX.into(),
            alarms: Mutex::default(),
        })
    }

    /// A real witness behind its door, for these ledgers.
    async fn witness(directory: &std::path::Path, logs: &[&Numbers]) -> DeclaredWitness {
        let key = key("example.org/witness", Algorithm::Cosignature);
        let verifier = key.verifier().clone();
        let logs = logs.iter().map(|log| log.key.verifier().clone());
        let witness = Witness::open(key, directory, logs).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let door = Arc::new(WitnessDoor::new(witness));
        tokio::spawn(web::serve(
            listener,
            None,
            door,
            WitnessDoor::limits(),
            CancellationToken::new(),
        ));
        DeclaredWitness {
            url,
            key: verifier,
            addresses: Vec::new(),
        }
    }

    fn to(witness: &DeclaredWitness, log: &Arc<Numbers>) -> Submission {
        Submission::new(
            &"attic".parse().unwrap(),
            witness,
            Arc::clone(log) as Arc<dyn Heads>,
        )
    }

    #[tokio::test]
    async fn heads_are_cosigned_one_after_the_other() {
        let (directory, log) = (tempfile::tempdir().unwrap(), numbers(3));
        let witness = witness(directory.path(), &[&log]).await;
        let mut submission = to(&witness, &log);
        for size in [3, 3, 300, 1000] {
            log.size.store(size, Ordering::SeqCst);
            assert!(submission.run().await, "{:?}", submission.said);
            let cosigned = log.cosigned().unwrap();
            assert_eq!(cosigned.verify(log.key.verifier()).unwrap().size, size);
            assert_eq!(
                cosigned
                    .cosigned(std::slice::from_ref(&witness.key))
                    .unwrap()
                    .len(),
                1
            );
        }
        // A daemon that was started anew does not know how far the witness is.
        log.size.store(1001, Ordering::SeqCst);
        assert!(to(&witness, &log).run().await);
        assert!(log.alarms.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_rollback_is_an_alarm_until_it_is_mended() {
        let (directory, log) = (tempfile::tempdir().unwrap(), numbers(300));
        let witness = witness(directory.path(), &[&log]).await;
        assert!(to(&witness, &log).run().await);
        log.size.store(200, Ordering::SeqCst);
        let mut submission = to(&witness, &log);
        assert!(!submission.run().await);
        // It grows, and so does not look like a new trouble.
        log.size.store(201, Ordering::SeqCst);
        assert!(!submission.run().await);
        assert_eq!(
            *log.alarms.lock().unwrap(),
            [Alarm::Rollback { cosigned: 300 }]
        );
        log.size.store(300, Ordering::SeqCst);
        assert!(submission.run().await);
        assert!(log.alarms.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_state_is_told_once_however_far_the_witness_and_the_ledger_are() {
        let (directory, log) = (tempfile::tempdir().unwrap(), numbers(300));
        let witness = witness(directory.path(), &[&log]).await;
        // Another host with the same key goes on.
        let mut other = to(&witness, &log);
        assert!(other.run().await);
        let mut submission = to(&witness, &log);
        for round in 0..4 {
            log.fork.store(u64::MAX, Ordering::SeqCst);
            log.size.store(400 + 100 * round, Ordering::SeqCst);
            assert!(other.run().await, "{:?}", other.said);
            // This one is behind it, and then ahead of it with something else.
            let alarms = std::mem::take(&mut *log.alarms.lock().unwrap());
            log.fork.store(250, Ordering::SeqCst);
            for size in [310 + round, 450 + 100 * round] {
                log.size.store(size, Ordering::SeqCst);
                assert!(!submission.run().await);
            }
            let told = log.alarms.lock().unwrap().len();
            assert_eq!(told, if round == 0 { 2 } else { 0 }, "{round}: {alarms:?}");
        }
    }

    #[tokio::test]
    async fn a_fork_is_an_alarm() {
        let (directory, log) = (tempfile::tempdir().unwrap(), numbers(300));
        let witness = witness(directory.path(), &[&log]).await;
        assert!(to(&witness, &log).run().await);
        log.fork.store(250, Ordering::SeqCst);
        for size in [300, 400] {
            log.size.store(size, Ordering::SeqCst);
            log.alarms.lock().unwrap().clear();
            assert!(!to(&witness, &log).run().await);
            assert_eq!(
                *log.alarms.lock().unwrap(),
                [Alarm::Fork { cosigned: 300 }],
                "{size}"
            );
        }
    }

    #[tokio::test]
    async fn witnesses_that_are_away_or_strange_are_trouble_and_no_alarm() {
        let (directory, log) = (tempfile::tempdir().unwrap(), numbers(3));
        let mut stranger = witness(directory.path(), &[]).await;
        let mut submission = to(&stranger, &log);
        assert!(!submission.run().await);
        assert!(submission.said.unwrap().contains("ledger.witness.origins"));
        let other = tempfile::tempdir().unwrap();
        let mut known = witness(other.path(), &[&log]).await;
        std::mem::swap(&mut known.key, &mut stranger.key);
        let mut submission = to(&known, &log);
        assert!(!submission.run().await);
        assert!(submission.said.unwrap().contains("sign"));
        assert!(log.cosigned().is_none());
        let nobody = DeclaredWitness {
            url: "http://127.0.0.1:9".to_owned(),
            ..known
        };
        assert!(!to(&nobody, &log).run().await);
        assert!(log.alarms.lock().unwrap().is_empty());
    }
}
