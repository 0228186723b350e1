//! ledger verify, prove, verify-proof, consistency, checkpoint, key.

use std::io::Read;
use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};
use tlog::{Algorithm, MAX_NOTE, MAX_PROOF, Proof, VerifierKey, leaf_hash};

use super::agree;
use crate::cli::{self, Cli};
use crate::failure::Failure;
use crate::line::{Line, site};
use crate::screen::Screen;

pub(super) fn verify(
    line: &mut Line<'_>,
    screen: &Screen,
    options: &cli::Verify,
) -> Result<u8, Failure> {
    let checkpoint = options.checkpoint.as_deref();
    let checkpoint = checkpoint.map(|file| text(file, MAX_NOTE)).transpose()?;
    let arguments = json!({
        "expect_head": options.expect_head,
        "checkpoint": checkpoint,
        "key": options.key,
        "witness_keys": options.witness_key,
    });
    let found: Value = line.read("ledger_verify", arguments)?;
    let valid = found["valid"] == json!(true);
    screen.result(&found, || {
        let lines = |value: &Value| -> Vec<String> {
            let lines = value.as_array().into_iter().flatten();
            lines.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let mut said = match valid {
            true => format!(
                "Valid: {} entries, head {} {}\n",
                found["entries"],
                found["head"]["id"],
                word(&found["head"]["hash"])
            ),
            false => lines(&found["wrong"])
                .iter()
                .map(|wrong| format!("NOT VALID: {wrong}\n"))
                .collect(),
        };
        for note in lines(&found["notes"]) {
            said.push_str(&format!("Note: {note}\n"));
        }
        format!("{said}{}\n", word(&found["holds"]))
    });
    Ok(u8::from(!valid))
}

pub(super) fn prove(
    line: &mut Line<'_>,
    screen: &Screen,
    options: &cli::Prove,
) -> Result<u8, Failure> {
    let mut found: Value = line.read("ledger_prove", json!({ "id": options.id }))?;
    let Some(output) = &options.output else {
        screen.result(&found, || word(&found["proof"]));
        return Ok(0);
    };
    std::fs::write(output, word(&found["proof"]))
        .with_context(|| format!("write {}", output.display()))?;
    if let Value::Object(found) = &mut found {
        found.remove("proof");
    }
    found["output"] = json!(output);
    screen.result(&found, || {
        format!(
            "Entry {} is in the tree of {} entries: {} proves it.\n",
            options.id,
            found["size"],
            output.display()
        )
    });
    Ok(0)
}

/// Needs nothing of this host.
pub(super) fn verify_proof(screen: &Screen, options: &cli::VerifyProof) -> Result<u8, Failure> {
    let log = key(&options.key, Algorithm::Ed25519)?;
    let witnesses = options.witness_key.iter();
    let witnesses = witnesses.map(|text| key(text, Algorithm::Cosignature));
    let witnesses = witnesses.collect::<Result<Vec<_>, _>>()?;
    let bytes = read(&options.proof, MAX_PROOF)?;
    let found = check(&bytes, &log, &witnesses);
    let answer = match &found {
        Ok(proved) => proved.clone(),
        Err(wrong) => json!({ "valid": false, "wrong": wrong }),
    };
    screen.result(&answer, || match &found {
        Err(wrong) => format!("NOT VALID: {wrong}\n"),
        Ok(_) => {
            let by: Vec<String> = answer["cosigned"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|it| format!("Cosigned by {}.\n", word(it)))
                .collect();
            format!(
                "Valid: entry {} of {} ({} entries):\n{:#}\n{}",
                answer["id"],
                word(&answer["origin"]),
                answer["size"],
                answer["entry"],
                by.concat()
            )
        }
    });
    Ok(u8::from(found.is_err()))
}

/// What a proof proves, or why it proves nothing.
fn check(bytes: &[u8], log: &VerifierKey, witnesses: &[VerifierKey]) -> Result<Value, String> {
    let proof = Proof::parse(bytes).map_err(|error| error.to_string())?;
    let entry = proof.extra.as_deref();
    let entry = entry.ok_or("the proof does not have the entry in it (`extra`)")?;
    let head = proof
        .verify(leaf_hash(entry), log)
        .map_err(|error| error.to_string())?;
    let cosigned = proof.checkpoint.cosigned(witnesses);
    let cosigned = cosigned.map_err(|error| error.to_string())?;
    let by = |witness: &&VerifierKey| cosigned.iter().any(|it| &it.name == witness.name());
    if let Some(missing) = witnesses.iter().find(|witness| !by(witness)) {
        return Err(format!("`{}` did not cosign it", missing.name()));
    }
    let said: Value = serde_json::from_slice(entry).map_err(|_| "the entry is no JSON")?;
    if said["id"] != json!(proof.index) {
        return Err(format!(
            "the entry says that it is {}, but is at place {}",
            said["id"], proof.index
        ));
    }
    let names: Vec<_> = cosigned.iter().map(|it| it.name.to_string()).collect();
    Ok(json!({
        "valid": true,
        "id": proof.index,
        "origin": head.origin.to_string(),
        "size": head.size,
        "cosigned": names,
        "entry": said,
    }))
}

pub(super) fn consistency(
    line: &mut Line<'_>,
    screen: &Screen,
    options: &cli::Consistency,
) -> Result<u8, Failure> {
    // A number is a size; anything else is a file.
    let head = |given: &String| match given.parse::<u64>() {
        Ok(_) => Ok(given.clone()),
        Err(_) => text(Path::new(given), MAX_NOTE),
    };
    let arguments = json!({
        "old": head(&options.old)?,
        "new": options.new.as_ref().map(head).transpose()?,
    });
    let found: Value = line.read("ledger_consistency", arguments)?;
    let consistent = found["consistent"] == json!(true);
    screen.result(&found, || {
        let (old, new) = (&found["old_size"], &found["new_size"]);
        match consistent {
            true => format!("Consistent: the first {old} of {new} entries are unchanged.\n"),
            false => format!(
                "NOT CONSISTENT: the head of {old} entries is not the beginning of that of {new}: history was written anew, or forked.\n"
            ),
        }
    });
    Ok(u8::from(!consistent))
}

pub(super) fn checkpoint(cli: &Cli, line: &mut Line<'_>, screen: &Screen) -> Result<u8, Failure> {
    let found = newest(cli, line)?;
    screen.result(&found, || word(&found["checkpoint"]));
    Ok(0)
}

/// Begins a new name or key of the ledger.
pub(super) fn new_origin(line: &mut Line<'_>, screen: &Screen) -> Result<u8, Failure> {
    let begun = agree::destroy(
        line,
        screen,
        "ledger_new_origin",
        json!({}),
        agree::FOR_GOOD,
    )?;
    screen.result(&begun, || match begun["outcome"] == "unchanged" {
        true => "Nothing to do: the ledger is published under the declared name, with its key.\n".to_owned(),
        false => format!(
            "The ledger is published as {}. The old checkpoints are in {}.\nGive the new key to witnesses and to whoever \
             checks this ledger: `op-dbus ledger key`\n",
            word(&begun["origin"]),
            word(&begun["kept_in"])
        ),
    });
    Ok(0)
}

pub(super) fn key_of(cli: &Cli, line: &mut Line<'_>, screen: &Screen) -> Result<u8, Failure> {
    let found = newest(cli, line)?;
    let Some(key) = found["key"].as_str() else {
        return Err(Failure::Refused(
            "the key can be read by root and by the daemon alone: run this as root".to_owned(),
        ));
    };
    let answer = json!({ "origin": found["origin"], "key": key });
    screen.result(&answer, || format!("{key}\n"));
    Ok(0)
}

/// The newest checkpoint, made now where root asks and no daemon runs that does it.
fn newest(cli: &Cli, line: &mut Line<'_>) -> Result<Value, Failure> {
    if line.daemon()?.is_none() && rustix::process::geteuid().is_root() {
        site(cli)?.publish()?;
    }
    line.read("ledger_checkpoint", json!({}))
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn key(text: &str, purpose: Algorithm) -> Result<VerifierKey, Failure> {
    let key = text.trim().parse::<VerifierKey>();
    key.and_then(|key| key.for_purpose(purpose))
        .map_err(|error| Failure::Usage(error.to_string()))
}

fn read(path: &Path, most: usize) -> Result<Vec<u8>, Failure> {
    let doing = || format!("read {}", path.display());
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .with_context(doing)?
        .take(most as u64 + 1)
        .read_to_end(&mut bytes)
        .with_context(doing)?;
    Ok(bytes)
}

fn text(path: &Path, most: usize) -> Result<String, Failure> {
    let bytes = read(path, most)?;
    String::from_utf8(bytes)
        .map_err(|_| Failure::Usage(format!("{} is not plain text", path.display())))
}
