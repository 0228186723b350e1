//! Whether a ledger is the one that an export tells of.

use std::fmt;

use ledger::{Expectations, Ledger, Published};
use tlog::SignedCheckpoint;

use super::paths::Paths;
use super::publish::is_ours;
use crate::error::ToolError;
use crate::export::Head;

/// What a ledger is to an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kin {
    /// It has the entry that was the last one when the export was made.
    Whole,
    /// It ends before that, and this shows that it is of the same host.
    Older(String),
    /// It is another one, or nothing shows that it is not.
    Other(String),
}

impl fmt::Display for Kin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("it has the last entry of the export"),
            Self::Older(why) | Self::Other(why) => f.write_str(why),
        }
    }
}

/// Compares a ledger, whose chain is verified elsewhere, with what an export says of it. A shorter chain proves nothing
/// by itself: any host has one. So its entries have to make the root that the exported checkpoint has; or, where they
/// are too few for that, a checkpoint beside it has to be of the same log and key.
pub(crate) fn kin(ledger: &Ledger, head: &Head, paths: &Paths) -> Result<Kin, ToolError> {
    let entries = ledger.head()?.id.unsigned_abs() + 1;
    if let Some(entry) = ledger.get(head.id)? {
        return Ok(match entry.current_hash.to_string() == head.hash {
            true => Kin::Whole,
            false => Kin::Other(format!(
                "its entry {} is another one than that of the export",
                head.id
            )),
        });
    }
    let exported = head.checkpoint.as_ref();
    let exported = exported.and_then(|text| SignedCheckpoint::parse(text.as_bytes()).ok());
    let Some(exported) = exported else {
        return Ok(Kin::Other(format!(
            "it ends with entry {}, before the export's {}, which has no checkpoint to compare it with",
            entries - 1,
            head.id
        )));
    };
    let size = exported.unverified().size;
    if size <= entries {
        let known = Expectations {
            checkpoint: Some(exported),
            ..Expectations::default()
        };
        let audit = ledger.audit(&known)?;
        return Ok(match audit.valid {
            true => Kin::Older(format!(
                "it has the {size} entries of the export's checkpoint"
            )),
            false => Kin::Other(audit.wrong().join("; ")),
        });
    }
    let published = Published::of(ledger.path());
    let own = match &published {
        Ok(published) => published.checkpoint(),
        Err(error) => return Ok(Kin::Other(error.to_string())),
    };
    let Some(own) = own else {
        return Ok(Kin::Other(format!(
            "it has {entries} entries and no checkpoint beside it, and the export's is of {size}: nothing shows that it is \
             of the same host"
        )));
    };
    let audit = ledger.audit(&Expectations::default())?;
    match audit.valid {
        true => by_signer(own, &exported, paths),
        false => Ok(Kin::Other(audit.wrong().join("; "))),
    }
}

/// Compares who signed.
fn by_signer(
    own: &SignedCheckpoint,
    exported: &SignedCheckpoint,
    paths: &Paths,
) -> Result<Kin, ToolError> {
    let (name, expected) = (&own.unverified().origin, &exported.unverified().origin);
    if name != expected {
        return Ok(Kin::Other(format!(
            "its checkpoint is of `{name}`, and that of the export of `{expected}`"
        )));
    }
    let same_id = signer(own).is_some() && signer(own) == signer(exported);
    Ok(match (is_ours(paths, own)?, is_ours(paths, exported)?) {
        (true, true) => {
            Kin::Older("the key that is here signed its checkpoint and the export's".to_owned())
        }
        (false, false) if same_id => Kin::Older(format!(
            "its checkpoint says that it is of `{name}` and by the same key as the export's; that signature could not be \
             checked, since the key is not on this host"
        )),
        _ => Kin::Other(format!(
            "its checkpoint says that it is of `{name}`, but another key signed it than the export's"
        )),
    })
}

/// The id of the key that signed for the log.
fn signer(signed: &SignedCheckpoint) -> Option<u32> {
    let origin = &signed.unverified().origin;
    let mut signatures = signed.note().signatures().iter();
    signatures
        .find(|signature| signature.name() == origin)
        .map(tlog::Signature::id)
}
