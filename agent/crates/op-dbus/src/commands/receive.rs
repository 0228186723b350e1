//! receive: the far end of `replicate`.

use std::path::Path;

use declaration::Size;
use ledger::{Expectations, Ledger};
use replication::{Check, Name, Terms};
use tlog::{Algorithm, VerifierKey};

use crate::failure::Failure;

/// The file of the ledger in a subvolume of its own.
const LEDGER: &str = "blockchain.db";

pub(super) fn run(
    path: &Path,
    append_only: bool,
    largest: Option<Size>,
    key: Option<&str>,
) -> Result<u8, Failure> {
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::Refused(
            "snapshots are received with root's rights: let the sending end log in as root, or by way of sudo"
                .to_owned(),
        ));
    }
    let mut terms = Terms {
        append_only,
        ..Terms::default()
    };
    if let Some(largest) = largest {
        terms.largest = largest.bytes();
    }
    let key = key.map(|text| {
        let key = text.trim().parse::<VerifierKey>();
        key.and_then(|key| key.for_purpose(Algorithm::Ed25519))
    });
    let known = Expectations {
        key: key
            .transpose()
            .map_err(|error| Failure::Usage(error.to_string()))?,
        ..Expectations::default()
    };
    let (input, output) = (std::io::stdin(), std::io::stdout());
    let served = replication::serve(path, &terms, &Ledgers(known), input.lock(), output.lock());
    // The other end has been told; this end's log is standard error.
    served
        .map(|()| 0)
        .map_err(|error| anyhow::Error::new(error).into())
}

/// Verifies the ledgers that are received: chain, tree, and what was published of them.
struct Ledgers(Expectations);

impl Check for Ledgers {
    fn knows(&self, subvolume: &Name) -> bool {
        subvolume.as_str() == "@timing"
    }

    fn look(&self, subvolume: &Name, copy: &Path) -> Result<String, String> {
        let file = copy.join(LEDGER);
        if !file.exists() {
            return Ok("no ledger in it".to_owned());
        }
        let ledger = Ledger::open_read_only(&file).map_err(ledger::ProofError::from);
        let audit = ledger.and_then(|ledger| ledger.audit(&self.0));
        let audit = audit.map_err(|error| format!("the ledger in {subvolume}: {error}"))?;
        match audit.valid {
            true => Ok(format!(
                "ledger verified: {} entries, head {} {}",
                audit.entries(),
                audit.head().id,
                audit.head().hash
            )),
            false => Err(format!(
                "the ledger in {subvolume} does not verify: {}",
                audit.wrong().join("; ")
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use ledger::{NewEntry, Publisher};
    use serde_json::json;
    use tlog::SigningKey;

    use super::*;

    fn key() -> SigningKey {
        let text = SigningKey::generate(&"host/ledger".parse().unwrap(), Algorithm::Ed25519);
        text.unwrap().parse().unwrap()
    }

    fn record(ledger: &Ledger, operation: &str) {
        let entry = NewEntry {
            operation: operation.to_owned(),
            target: "host".to_owned(),
            metadata: json!({}),
        };
        ledger.append(&entry).unwrap();
    }

    fn look(known: Expectations, copy: &Path) -> Result<String, String> {
        Ledgers(known).look(&"@timing".parse().unwrap(), copy)
    }

    #[test]
    fn what_was_published_has_to_fit_what_is_received() {
        let dir = tempfile::tempdir().unwrap();
        let (signing, other) = (key(), key());
        let with = |key: &SigningKey| Expectations {
            key: Some(key.verifier().clone()),
            ..Expectations::default()
        };
        let (own, strange) = (with(&signing), with(&other));
        let ledger = Ledger::open(dir.path().join(LEDGER)).unwrap();
        record(&ledger, "one");
        record(&ledger, "two");
        let mut publisher = Publisher::open(&ledger, signing).unwrap();
        publisher.publish(&ledger).unwrap();
        drop(publisher);
        assert!(
            look(Expectations::default(), dir.path())
                .unwrap()
                .contains("3 entries")
        );
        assert!(look(own, dir.path()).is_ok());
        assert!(look(strange, dir.path()).unwrap_err().contains("key"));
        drop(ledger);

        // Another history, whose chain is sound by itself.
        for name in [LEDGER, "blockchain.db-wal", "blockchain.db-shm"] {
            let _ = std::fs::remove_file(dir.path().join(name));
        }
        let ledger = Ledger::open(dir.path().join(LEDGER)).unwrap();
        record(&ledger, "one");
        assert!(ledger.verify(None).unwrap().valid);
        let wrong = look(Expectations::default(), dir.path()).unwrap_err();
        assert!(wrong.contains("there are 2"), "{wrong}");
    }
}
