//! A new name or key for a ledger that was published under another: the way out where a key is lost, or the declared
//! origin changed. What was published before stays as evidence; for witnesses it is another log from then on.

use std::fs;
use std::path::PathBuf;

use durable::sync_directory;
use jiff::Timestamp;
use ledger::{Ledger, NewEntry, Published};
use serde_json::{Value, json};
use tlog::{Algorithm, KeyFile, KeyName, SignedCheckpoint};

use super::publish::{claim, credential, host_name, key_error};
use super::site::Site;
use crate::error::ToolError;

/// What is to be put aside so that the ledger is published under another name or key.
pub(crate) struct NewOrigin {
    /// The name that it is published under from then on.
    pub(crate) name: KeyName,
    /// The newest head that was published before.
    before: Option<SignedCheckpoint>,
    /// The key of the time before, if it has another name.
    key: Option<PathBuf>,
    heads: Vec<PathBuf>,
}

impl NewOrigin {
    /// What was published before, for plans and records.
    pub(crate) fn before(&self) -> Value {
        let head = self.before.as_ref().map(|signed| {
            let head = signed.unverified();
            json!({ "origin": head.origin.to_string(), "size": head.size, "root": head.root.to_string() })
        });
        head.unwrap_or_else(|| json!({}))
    }
}

impl Site {
    /// What stands in the way of publishing under the name and key that are declared now; none if nothing does.
    pub(crate) fn new_origin(&self) -> Result<Option<NewOrigin>, ToolError> {
        if !self.declared_ledger().checkpoints.enable {
            return Err(ToolError::Refused(
                "this ledger is not published: the declaration says `ledger.checkpoints.enable: false`"
                    .to_owned(),
            ));
        }
        if !rustix::process::geteuid().is_root() {
            return Err(ToolError::Refused(
                "the ledger's key can be read by root and by the daemon alone: run this as root"
                    .to_owned(),
            ));
        }
        let ledger = self.ledger()?;
        let file = self.key_file(&ledger)?;
        let there = file.open(Algorithm::Ed25519).map_err(key_error)?;
        let name = self.name_to_come(&ledger, there.as_ref().map(|key| key.verifier().name()))?;
        let other = there
            .as_ref()
            .is_some_and(|key| *key.verifier().name() != name);
        let given = credential()?;
        let key = given.as_ref().or(there.as_ref().filter(|_| !other));
        let published = Published::of(ledger.path())?;
        let heads = [published.checkpoint(), published.cosigned()];
        let strange = |signed: &&SignedCheckpoint| {
            key.is_none_or(|key| signed.verify(key.verifier()).is_err())
        };
        let in_the_way = heads.iter().flatten().any(strange);
        let moves_key = other && given.is_none();
        if !in_the_way && !moves_key {
            return Ok(None);
        }
        let timing = self.paths()?.timing();
        let heads = ["checkpoint", "checkpoint.cosigned", "tiles"].map(|head| timing.join(head));
        Ok(Some(NewOrigin {
            name,
            before: published.checkpoint().or(published.cosigned()).cloned(),
            key: moves_key.then(|| file.path().to_owned()),
            heads: heads.into_iter().filter(|head| head.exists()).collect(),
        }))
    }

    /// What the ledger is to be called: as is declared, else as its key or its host says.
    fn name_to_come(&self, ledger: &Ledger, key: Option<&KeyName>) -> Result<KeyName, ToolError> {
        if let Some(given) = credential()? {
            return Ok(given.verifier().name().clone());
        }
        match (self.declared_ledger().checkpoints.origin, key) {
            (Some(declared), _) => Ok(ledger.origin(&declared)?),
            (None, Some(key)) => Ok(key.clone()),
            (None, None) => Ok(ledger.origin(&host_name()?)?),
        }
    }

    /// Puts aside what was published before, and publishes anew. Killed at any point it can be asked for again.
    pub(crate) fn take_new_origin(
        &self,
        new: &NewOrigin,
        actor: &Value,
    ) -> Result<PathBuf, ToolError> {
        let failed = |error| ToolError::failed("put the old checkpoints aside", error);
        let paths = self.paths()?;
        let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%S.%3fZ").to_string();
        let archive = paths.timing().join(format!("published-before-{stamp}"));
        {
            let _claim = claim(&self.ledger()?)?;
            fs::create_dir(&archive).map_err(failed)?;
            for head in &new.heads {
                let to = archive.join(head.file_name().unwrap_or_default());
                fs::rename(head, to).map_err(failed)?;
            }
            if let Some(key) = &new.key {
                let to = paths.keys().join(format!("checkpoint-before-{stamp}.key"));
                fs::rename(key, to).map_err(failed)?;
                sync_directory(&paths.keys()).map_err(failed)?;
            }
            sync_directory(&archive)
                .and_then(|()| sync_directory(&paths.timing()))
                .map_err(failed)?;
        }
        // The first head under the new name has this entry in it.
        self.record(NewEntry {
            operation: "ledger_published_anew".to_owned(),
            target: new.name.to_string(),
            metadata: json!({ "actor": actor, "before": new.before(), "kept_in": archive }),
        })?;
        self.publish()?;
        Ok(archive)
    }

    /// The file of the key of this chain.
    pub(super) fn key_file(&self, ledger: &Ledger) -> Result<KeyFile, ToolError> {
        let keys = self.paths()?.keys();
        Ok(KeyFile::at(match ledger.generation()? {
            None => keys.join(super::publish::KEY),
            Some(generation) => keys.join(format!("checkpoint-{generation}.key")),
        }))
    }
}
