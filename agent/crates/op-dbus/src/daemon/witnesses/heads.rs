//! Where heads come from, and where what witnesses say of them goes.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use ledger::{Filter, NewEntry};
use serde_json::json;
use tlog::{Hash, Prover, Signature, SignedCheckpoint, Tiles, VerifierKey};
use tools::Registry;

use super::super::Standing;

/// Everybody may read a checkpoint.
const MODE: u32 = 0o644;

/// What the ledger says when an alarm is over.
const OVER: &str = "over";
/// Kinds of alarms; each is told once until all is well again.
const KINDS: usize = 2;

/// What a witness has against the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alarm {
    /// It has cosigned more than there is.
    Rollback {
        /// Entries that it has cosigned.
        cosigned: u64,
    },
    /// It has cosigned something else.
    Fork {
        /// Entries of the head that it has cosigned.
        cosigned: u64,
    },
}

impl Alarm {
    /// The state that it tells of, in a word.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Rollback { .. } => "rollback",
            Self::Fork { .. } => "fork",
        }
    }

    fn cosigned(self) -> u64 {
        match self {
            Self::Rollback { cosigned } | Self::Fork { cosigned } => cosigned,
        }
    }

    fn text(self, witness: &str) -> String {
        match self {
            Self::Rollback { cosigned } => format!(
                "the witness {witness} has cosigned {cosigned} entries, which are more than the ledger has: it was put \
                 back to an older state or cut off. `op-dbus ledger verify` says more"
            ),
            Self::Fork { cosigned } => format!(
                "the witness {witness} has cosigned {cosigned} entries that are not those of this ledger: it was \
                 rewritten, or another host has its key. `op-dbus ledger verify` says more"
            ),
        }
    }
}

/// The heads of a ledger. Everything here may wait for the disk.
pub(super) trait Heads: Send + Sync + 'static {
    /// The newest one.
    fn newest(&self) -> Result<Option<SignedCheckpoint>, String>;
    /// What shows that the tree of one size is the beginning of that of another.
    fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, String>;
    /// Keeps the cosignature of a witness over a head. Nothing is kept that is not one.
    fn keep(
        &self,
        over: &SignedCheckpoint,
        signature: Signature,
        witness: &VerifierKey,
    ) -> Result<bool, String>;
    /// Shows an alarm that stands; it goes into log and ledger if it is news.
    fn alarm(&self, witness: &str, alarm: Alarm, news: bool);
    /// A witness has nothing against the ledger any more.
    fn over(&self, witness: &str);
    /// A witness is no longer asked.
    fn clear(&self, witness: &str);
}

/// The heads of the ledger in the base.
pub(super) struct OnDisk {
    registry: Arc<Registry>,
    standing: Arc<Standing>,
}

impl OnDisk {
    pub(super) fn new(registry: Arc<Registry>, standing: Arc<Standing>) -> Self {
        Self { registry, standing }
    }

    fn timing(&self) -> Result<std::path::PathBuf, String> {
        let paths = self
            .registry
            .site()
            .paths()
            .map_err(|error| error.to_string())?;
        Ok(paths.timing())
    }

    /// Writes the alarm into the ledger, unless this state was told since the last one was over.
    fn record(&self, witness: &str, alarm: Alarm) -> Result<(), tools::ToolError> {
        let told = self.told(witness)?;
        if told.iter().any(|told| told == alarm.kind()) {
            return Ok(());
        }
        let metadata = json!({
            "alarm": alarm.kind(),
            "cosigned": alarm.cosigned(),
            "text": alarm.text(witness),
        });
        self.write(witness, metadata)
    }

    /// The alarms of a witness that are not over, by the ledger.
    fn told(&self, witness: &str) -> Result<Vec<String>, tools::ToolError> {
        let last = self.registry.site().ledger()?.query(&Filter {
            operation: Some("ledger_alarm".to_owned()),
            target: Some(witness.to_owned()),
            limit: Some(KINDS),
            newest_first: true,
            ..Filter::default()
        })?;
        let kinds = last.iter().map(|entry| {
            entry.metadata["alarm"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        });
        Ok(kinds.take_while(|kind| kind != OVER).collect())
    }

    fn write(&self, witness: &str, metadata: serde_json::Value) -> Result<(), tools::ToolError> {
        self.registry.record(NewEntry {
            operation: "ledger_alarm".to_owned(),
            target: witness.to_owned(),
            metadata,
        })
    }
}

impl Heads for OnDisk {
    fn newest(&self) -> Result<Option<SignedCheckpoint>, String> {
        read(&self.timing()?.join("checkpoint"))
    }

    fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, String> {
        let tiles = Tiles::at(self.timing()?.join("tiles"));
        Prover::new(&tiles)
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
            &self.timing()?.join("checkpoint.cosigned"),
            over,
            signature,
            witness,
        )
    }

    fn alarm(&self, witness: &str, alarm: Alarm, news: bool) {
        let text = alarm.text(witness);
        if news {
            log::error!("{text}");
        }
        self.standing.set_alarm(witness, Some(text));
        if news && let Err(error) = self.record(witness, alarm) {
            log::error!("the alarm is not in the ledger: {error}");
        }
    }

    fn over(&self, witness: &str) {
        self.standing.set_alarm(witness, None);
        let told = self.told(witness).and_then(|told| match told.is_empty() {
            true => Ok(()),
            false => self.write(witness, json!({ "alarm": OVER })),
        });
        if let Err(error) = told {
            log::error!("that the alarm is over is not in the ledger: {error}");
        }
    }

    fn clear(&self, witness: &str) {
        self.standing.set_alarm(witness, None);
    }
}

/// Adds a cosignature to the newest cosigned head, or puts a newer head in its place; whether it was kept.
pub(super) fn keep_at(
    path: &Path,
    over: &SignedCheckpoint,
    signature: Signature,
    witness: &VerifierKey,
) -> Result<bool, String> {
    // Witnesses answer at the same time.
    static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one = ONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut cosigned = match read(path)? {
        Some(kept) if kept.note().text() == over.note().text() => kept,
        // A slow witness comes with one that others are past.
        Some(kept) if is_newer(&kept, over) => return Ok(false),
        _ => over.clone(),
    };
    let witnesses = std::slice::from_ref(witness);
    let added = cosigned
        .add(signature, witnesses)
        .map_err(|error| error.to_string())?;
    if added {
        durable::replace(path, cosigned.to_string().as_bytes(), MODE)
            .map_err(|error| failed(path, &error))?;
    }
    Ok(added)
}

fn is_newer(kept: &SignedCheckpoint, over: &SignedCheckpoint) -> bool {
    kept.unverified().origin == over.unverified().origin
        && kept.unverified().size > over.unverified().size
}

fn read(path: &Path) -> Result<Option<SignedCheckpoint>, String> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|error| failed(path, &error))?,
    };
    let read =
        SignedCheckpoint::parse(&bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Some(read))
}

fn failed(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}
