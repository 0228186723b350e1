//! receive: the far end of `replicate`.

use std::path::Path;

use declaration::Size;
use ledger::Ledger;
use replication::{Check, Name, Terms};

use crate::failure::Failure;

/// The file of the ledger in a subvolume of its own.
const LEDGER: &str = "blockchain.db";

pub(super) fn run(path: &Path, append_only: bool, largest: Option<Size>) -> Result<u8, Failure> {
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
    let (input, output) = (std::io::stdin(), std::io::stdout());
    let served = replication::serve(path, &terms, &Ledgers, input.lock(), output.lock());
    // The other end has been told; this end's log is standard error.
    served
        .map(|()| 0)
        .map_err(|error| anyhow::Error::new(error).into())
}

/// Verifies the ledgers that are received.
struct Ledgers;

impl Check for Ledgers {
    fn knows(&self, subvolume: &Name) -> bool {
        subvolume.as_str() == "@timing"
    }

    fn look(&self, subvolume: &Name, copy: &Path) -> Result<String, String> {
        let file = copy.join(LEDGER);
        if !file.exists() {
            return Ok("no ledger in it".to_owned());
        }
        let verified = Ledger::open_read_only(&file).and_then(|ledger| ledger.verify(None));
        let verified = verified.map_err(|error| format!("the ledger in {subvolume}: {error}"))?;
        match verified.first_bad {
            None => Ok(format!(
                "ledger verified: {} entries, head {} {}",
                verified.entries, verified.head.id, verified.head.hash
            )),
            Some(bad) => Err(format!(
                "the ledger in {subvolume} does not verify: entry {}: {:?}",
                bad.id, bad.reason
            )),
        }
    }
}
