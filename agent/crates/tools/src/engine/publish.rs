//! The ledger made provable: its key, its checkpoints, and the verification of all of it.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ledger::{Audit, Claim, Expectations, Ledger, ProofError, Published, Publisher};
use tlog::{Algorithm, KeyFile, KeyFileError, KeyName, SignedCheckpoint, SigningKey, VerifierKey};

use super::paths::Paths;
use super::site::Site;
use crate::error::ToolError;

/// The name of the key as a credential of systemd, and of its file.
pub(super) const KEY: &str = "checkpoint.key";
/// How long another process that publishes is waited for, and how often that is looked at.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);

impl Paths {
    /// The host's own keys, outside of every subvolume, so that no snapshot or stream carries them.
    pub fn keys(&self) -> PathBuf {
        self.base.join("keys")
    }
}

impl From<ProofError> for ToolError {
    fn from(error: ProofError) -> Self {
        match error {
            ProofError::Ledger(error) => error.into(),
            ProofError::NoCheckpoint | ProofError::NotCovered { .. } => {
                Self::Unavailable(error.to_string())
            }
            ProofError::Tile(tlog::TileError::Outside { .. }) => Self::Invalid(error.to_string()),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl Site {
    /// Publishes the entries that were recorded since: tiles, then a signed checkpoint. The key is made if there is
    /// none yet. Nothing is done where there is no ledger, or the declaration does not want it. Returns the newest
    /// checkpoint, and whether it is new.
    pub fn publish(&self) -> Result<Option<(SignedCheckpoint, bool)>, ToolError> {
        let Some((ledger, mut publisher)) = self.publisher()? else {
            return Ok(None);
        };
        // Once in a process, since it looks at every tile.
        if !self.looked_through.load(Ordering::Relaxed) {
            if publisher.make_whole(&ledger)? {
                log::warn!("tiles of the ledger were lost or cut off, and are made again");
            }
            self.looked_through.store(true, Ordering::Relaxed);
        }
        ledger.wait_for_writers()?;
        let new = publisher.publish(&ledger)?;
        Ok(publisher.checkpoint().map(|signed| (signed.clone(), new)))
    }

    /// The one who publishes the ledger, and the ledger; none where [`Site::publish`] does nothing.
    pub fn publisher(&self) -> Result<Option<(Ledger, Publisher)>, ToolError> {
        if !self.declared_ledger().checkpoints.enable || !self.paths()?.ledger().exists() {
            return Ok(None);
        }
        let claim = claim(&self.ledger()?)?;
        // Under the claim, since the one from before may have been replaced while it was waited for.
        let ledger = self.ledger()?;
        // Under the claim, so that no two processes make a key.
        let Some(key) = self.log_key(&ledger, true)? else {
            return Ok(None);
        };
        let publisher = Publisher::open_with(&ledger, key, claim)?;
        Ok(Some((ledger, publisher)))
    }

    /// What was published.
    pub fn published(&self) -> Result<Published, ToolError> {
        Ok(Published::of(&self.paths()?.ledger())?)
    }

    /// The section `ledger` of the declaration, or what it is by default.
    pub fn declared_ledger(&self) -> declaration::Ledger {
        self.declaration_if_any()
            .map_or_else(|_| declaration::Ledger::default(), |it| it.ledger.clone())
    }

    /// The public key of the ledger; none where there is no key, or this process may not read it.
    pub fn log_verifier(&self, ledger: &Ledger) -> Result<Option<VerifierKey>, ToolError> {
        let key = match rustix::process::geteuid().is_root() {
            true => self.log_key(ledger, false)?,
            false => None,
        };
        Ok(key.map(|key| key.verifier().clone()))
    }

    /// Verifies the chain and all that was published. Keys that are not given are the host's own, and those of the
    /// declared witnesses.
    pub fn audit(&self, ledger: &Ledger, mut known: Expectations) -> Result<Audit, ToolError> {
        if known.key.is_none() {
            known.key = self.log_verifier(ledger)?;
        }
        let declared = self.declared_ledger().witnesses;
        known
            .witnesses
            .extend(declared.into_values().map(|witness| witness.key));
        Ok(ledger.audit(&known)?)
    }

    /// The key that signs this ledger's checkpoints: a credential of systemd, or a file, which is made if asked for.
    fn log_key(&self, ledger: &Ledger, make: bool) -> Result<Option<SigningKey>, ToolError> {
        let keys = self.paths()?.keys();
        let declared = self.declared_ledger().checkpoints.origin;
        let generation = ledger.generation()?;
        if let Some(key) = credential()? {
            let fits = match (&declared, &generation) {
                (Some(declared), _) => *key.verifier().name() == ledger.origin(declared)?,
                (None, Some(generation)) => named_for(&key, generation),
                (None, None) => true,
            };
            let name = key.verifier().name();
            return match fits {
                true => Ok(Some(key)),
                false => Err(ToolError::Failed(format!(
                    "the credential {KEY} is of the ledger `{name}`, which is not what this one is called: give the daemon \
                     one for it. A chain that was begun anew after damage has a name of its own"
                ))),
            };
        }
        let file = self.key_file(ledger)?;
        let there = file.open(Algorithm::Ed25519).map_err(key_error)?;
        // A key of a process without the daemon's credential would make every later verification one by a wrong key.
        if make && there.is_none() && Published::of(ledger.path())?.checkpoint().is_some() {
            return Err(ToolError::Failed(format!(
                "the ledger was published with a key that is not here: ask the daemon if it has the key as a credential, else \
                 put {} back. If it is lost, `op-dbus ledger checkpoint --new-origin` makes another",
                file.path().display()
            )));
        }
        match (there, declared, make) {
            (None, _, false) => Ok(None),
            (Some(key), None, _) => Ok(Some(key)),
            // Looking is allowed whatever the declaration says by now.
            (Some(key), Some(_), false) => Ok(Some(key)),
            (_, Some(declared), true) => {
                let name = ledger.origin(&declared)?;
                let key = file.open_or_create(&name, Algorithm::Ed25519);
                key.map(Some).map_err(named_otherwise)
            }
            (None, None, true) => {
                let first = KeyFile::at(keys.join(KEY)).open(Algorithm::Ed25519);
                let base = match first.map_err(key_error)? {
                    Some(first) => first.verifier().name().clone(),
                    None => host_name()?,
                };
                let name = ledger.origin(&base)?;
                let key = file.open_or_create(&name, Algorithm::Ed25519);
                key.map(Some).map_err(key_error)
            }
        }
    }
}

/// Takes the right to publish, also to keep all others from it; whoever has it is waited for.
pub(crate) fn claim(ledger: &Ledger) -> Result<Claim, ToolError> {
    let begun = Instant::now();
    loop {
        match Claim::of(ledger) {
            Err(ProofError::Busy) if begun.elapsed() < PATIENCE => std::thread::sleep(LOOK),
            claim => return Ok(claim?),
        }
    }
}

/// Whether a key that this host has signed a checkpoint, whichever chain it is of.
pub fn is_ours(paths: &Paths, signed: &SignedCheckpoint) -> Result<bool, ToolError> {
    let mut keys: Vec<_> = credential()?.into_iter().collect();
    for file in std::fs::read_dir(paths.keys())
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = file.file_name();
        let is_key = |name: &str| name.starts_with("checkpoint") && name.ends_with(".key");
        if name.to_str().is_some_and(is_key) {
            let key = KeyFile::at(file.path()).open(Algorithm::Ed25519);
            keys.extend(key.map_err(key_error)?);
        }
    }
    Ok(keys.iter().any(|key| signed.verify(key.verifier()).is_ok()))
}

pub(super) fn key_error(error: KeyFileError) -> ToolError {
    ToolError::Failed(error.to_string())
}

/// The same where the declaration gives the ledger another name than its key has.
fn named_otherwise(error: KeyFileError) -> ToolError {
    match error {
        KeyFileError::Name {
            found, expected, ..
        } => ToolError::Failed(format!(
            "the ledger is published as `{found}`, and `ledger.checkpoints.origin` of the declaration makes it `{expected}`: \
             declare the old name, or begin the new one with `op-dbus ledger checkpoint --new-origin`"
        )),
        error => key_error(error),
    }
}

/// The key as systemd handed it over, perhaps unsealed by the TPM.
pub(super) fn credential() -> Result<Option<SigningKey>, ToolError> {
    let Some(directory) = std::env::var_os("CREDENTIALS_DIRECTORY") else {
        return Ok(None);
    };
    let file = KeyFile::at(Path::new(&directory).join(KEY));
    file.open(Algorithm::Ed25519).map_err(key_error)
}

fn named_for(key: &SigningKey, generation: &str) -> bool {
    let name = key.verifier().name().as_str();
    name.rsplit_once('/')
        .is_some_and(|(_, last)| last == generation)
}

/// What the ledger of this host is called if nobody says.
pub(super) fn host_name() -> Result<KeyName, ToolError> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = match host.trim() {
        "" | "(none)" => "localhost",
        host => host,
    };
    format!("{name}/ledger")
        .parse()
        .map_err(|error| ToolError::failed("name the ledger after the host", error))
}
