//! The ledger's proofs: of an entry, of the newest head, of one head being the beginning of another.

use ledger::Consistency;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tlog::{Algorithm, SignedCheckpoint, VerifierKey};

use crate::call::Call;
use crate::error::ToolError;
use crate::tool::{Domain, Tool};

#[derive(Deserialize, JsonSchema)]
struct Prove {
    /// The entry's id.
    id: i64,
}

/// A proof that an entry is in the ledger.
#[derive(Serialize, JsonSchema)]
struct Proved {
    /// The entry's id, which is its place in the tree.
    id: i64,
    /// Entries in the tree that was signed.
    size: u64,
    /// Who cosigned it, of the declared witnesses.
    cosigned: Vec<String>,
    /// The proof file (C2SP tlog-proof): whoever has the ledger's public key can check it alone.
    proof: String,
}

#[derive(Deserialize, JsonSchema)]
struct Newest {}

/// The newest signed head of the ledger.
#[derive(Serialize, JsonSchema)]
struct Head {
    /// What the ledger is called.
    origin: String,
    /// Entries in the tree that was signed.
    size: u64,
    /// Entries that were recorded since.
    behind: u64,
    /// The root of the tree, in Base64.
    root: String,
    /// Who cosigned it, of the declared witnesses.
    cosigned: Vec<String>,
    /// The checkpoint (C2SP tlog-checkpoint).
    checkpoint: String,
    /// The ledger's public key, where this process may know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct Two {
    /// The older head: how many entries it has, or the text of its checkpoint.
    old: String,
    /// The newer one; the newest without it.
    #[serde(default)]
    new: Option<String>,
}

/// Whether one head is the beginning of another.
#[derive(Serialize, JsonSchema)]
struct Compared {
    /// It is: nothing up to the old head was changed, removed or inserted.
    consistent: bool,
    /// Entries of the old tree.
    old_size: u64,
    /// The root of the old tree, in Base64, as the ledger has it.
    old_root: String,
    /// Entries of the new tree.
    new_size: u64,
    /// The root of the new tree, in Base64, as the ledger has it.
    new_root: String,
    /// The proof (RFC 6962 §2.1.2), in Base64.
    proof: Vec<String>,
}

pub(super) fn tools() -> Vec<Tool> {
    let domain = Domain::Ledger;
    vec![
        Tool::read(
            domain,
            "ledger_prove",
            "Prove a ledger entry",
            "Gives a proof that an entry is in the ledger, which anybody can check with the ledger's public key alone.",
            prove,
        )
.says(&["prove ledger entry 17", "give me a proof of entry 17"])
        .example(json!({ "id": 1 })),
        Tool::read(
            domain,
            "ledger_checkpoint",
            "Show the ledger's signed head",
            "Gives the newest checkpoint: the signed head of the ledger. Kept elsewhere, it shows later that nothing \
             up to it was changed.",
            newest,
        )
.says(&["show the checkpoint", "give me the signed head"])
        .example(json!({})),
        Tool::read(
            domain,
            "ledger_consistency",
            "Compare two heads of the ledger",
            "Says, with a proof, whether one head of the ledger is the beginning of another.",
            compare,
        )
.says(&["verify the head 120 of the ledger", "is head 120 consistent with the ledger?"])
        .example(json!({ "old": "2" }))
        .example(json!({ "old": "2", "new": "3" })),
    ]
}

fn prove(call: &Call<'_>, input: Prove) -> Result<Proved, ToolError> {
    let ledger = call.site.ledger()?;
    let last = ledger.head()?.id;
    if !(0..=last).contains(&input.id) {
        return Err(ToolError::NotFound(format!(
            "the ledger has no entry {}; its last one is {last}",
            input.id
        )));
    }
    let proof = call.site.published()?.prove(&ledger, input.id)?;
    Ok(Proved {
        id: input.id,
        size: proof.checkpoint.unverified().size,
        cosigned: cosigned(call, &proof.checkpoint),
        proof: proof.to_string(),
    })
}

fn newest(call: &Call<'_>, Newest {}: Newest) -> Result<Head, ToolError> {
    let ledger = call.site.ledger()?;
    let published = call.site.published()?;
    let Some(signed) = published.checkpoint() else {
        return Err(ledger::ProofError::NoCheckpoint.into());
    };
    let head = signed.unverified();
    let entries = ledger.head()?.id.unsigned_abs() + 1;
    Ok(Head {
        origin: head.origin.to_string(),
        size: head.size,
        behind: entries.saturating_sub(head.size),
        root: head.root.to_string(),
        cosigned: cosigned(call, signed),
        checkpoint: signed.to_string(),
        key: call.site.log_verifier(&ledger)?.map(|key| key.to_string()),
    })
}

fn compare(call: &Call<'_>, input: Two) -> Result<Compared, ToolError> {
    let published = call.site.published()?;
    let ledger = call.site.ledger()?;
    let own = call.site.log_verifier(&ledger)?;
    let read = |text: &str| -> Result<(u64, Option<tlog::Hash>), ToolError> {
        if let Ok(size) = text.trim().parse() {
            return Ok((size, None));
        }
        let signed = checkpoint(text)?;
        if let Some(key) = &own {
            let forged = |error| ToolError::Invalid(format!("the checkpoint: {error}"));
            signed.verify(key).map_err(forged)?;
        }
        let head = signed.unverified();
        Ok((head.size, Some(head.root)))
    };
    let (old, old_root) = read(&input.old)?;
    let (new, new_root) = match (&input.new, published.checkpoint()) {
        (Some(new), _) => read(new)?,
        (None, Some(newest)) => (newest.unverified().size, None),
        (None, None) => return Err(ledger::ProofError::NoCheckpoint.into()),
    };
    let found: Consistency = published.consistency(old, new)?;
    let same = |given: Option<tlog::Hash>, own: &str| given.is_none_or(|it| it.to_string() == own);
    Ok(Compared {
        consistent: same(old_root, &found.old_root) && same(new_root, &found.new_root),
        old_size: found.old_size,
        old_root: found.old_root,
        new_size: found.new_size,
        new_root: found.new_root,
        proof: found.proof,
    })
}

/// Which of the declared witnesses cosigned a checkpoint.
fn cosigned(call: &Call<'_>, checkpoint: &SignedCheckpoint) -> Vec<String> {
    let witnesses = call.site.declared_ledger().witnesses;
    let keys: Vec<_> = witnesses.into_values().map(|witness| witness.key).collect();
    let cosigned = checkpoint.cosigned(&keys).unwrap_or_default();
    cosigned.iter().map(|it| it.name.to_string()).collect()
}

/// Reads a checkpoint that a caller gives.
pub(super) fn checkpoint(text: &str) -> Result<SignedCheckpoint, ToolError> {
    SignedCheckpoint::parse(text.as_bytes())
        .map_err(|error| ToolError::Invalid(format!("the checkpoint: {error}")))
}

/// Reads the public key of a ledger.
pub(super) fn key(text: &str) -> Result<VerifierKey, ToolError> {
    read_key(text, Algorithm::Ed25519)
}

/// Reads the public keys of witnesses.
pub(super) fn keys(texts: &[String]) -> Result<Vec<VerifierKey>, ToolError> {
    let read = |text: &String| read_key(text, Algorithm::Cosignature);
    texts.iter().map(read).collect()
}

fn read_key(text: &str, purpose: Algorithm) -> Result<VerifierKey, ToolError> {
    let key = text.trim().parse::<VerifierKey>();
    key.and_then(|key| key.for_purpose(purpose))
        .map_err(|error| ToolError::Invalid(error.to_string()))
}
