//! Verifying all of it: chain against tree against checkpoints against cosignatures.

use std::fmt;

use serde::Serialize;
use tlog::{Cosigned, Found, SignedCheckpoint, TileId, Tree, VerifierKey};

use super::published::read_checkpoint;
use super::publisher::{entries, id};
use super::{Files, ProofError};
use crate::error::Error;
use crate::ledger::Ledger;
use crate::verify::Verification;

/// Leaves after which tiles are compared on the way.
const BATCH: u64 = 4096;

/// What is known from elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Expectations {
    /// The hash of an entry that must be in the chain, or `ID:HASH`.
    pub head: Option<String>,
    /// The public key of the ledger.
    pub key: Option<VerifierKey>,
    /// The public keys of witnesses that are trusted.
    pub witnesses: Vec<VerifierKey>,
    /// A checkpoint that was kept where the writer of this ledger cannot change it, or that a witness has.
    pub checkpoint: Option<SignedCheckpoint>,
}

/// What the verification of everything found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Audit {
    /// Nothing bad was found, neither in the chain nor beside it.
    pub valid: bool,
    /// The chain.
    #[serde(flatten)]
    pub chain: Chain,
    /// What contradicts the chain, or is forged.
    pub findings: Vec<Finding>,
    /// What is missing and can be made again, or could not be checked.
    pub notes: Vec<String>,
    /// What holds.
    pub guarantee: Guarantee,
}

/// What was found of the chain, as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Chain {
    entries: u64,
    head: crate::Head,
    first_bad: Option<crate::Bad>,
}

/// Something that is not as it was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// One word for programs: `rolled-back`, `rewritten`, `root`, `tile`, `checkpoint`, `cosignature`.
    pub code: &'static str,
    /// The entry that it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<i64>,
    /// A sentence.
    pub detail: String,
}

/// How far a ledger can be relied on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Guarantee {
    /// By its chain alone.
    Chain,
    /// By the host's signature.
    Signed {
        /// The entries below this id.
        entries: u64,
    },
    /// By others.
    Witnessed {
        /// The entries below this id.
        entries: u64,
        /// Who cosigned.
        by: Vec<String>,
        /// When the last of them did, in seconds since 1970-01-01 UTC.
        time: u64,
    },
    /// By a checkpoint that was kept elsewhere.
    Kept {
        /// The entries below this id.
        entries: u64,
    },
    /// Not at all: something was found.
    None,
}

impl Ledger {
    /// Verifies the chain and everything that was published of it.
    ///
    /// # Errors
    ///
    /// Those of [`Ledger::verify`], and of reading files. What is found to be bad is no error but the result.
    pub fn audit(&self, known: &Expectations) -> std::result::Result<Audit, ProofError> {
        let chain = self.verify(known.head.as_deref())?;
        let mut auditor = Auditor {
            ledger: self,
            files: Files::beside(self.path()),
            known,
            findings: Vec::new(),
            notes: Vec::new(),
            heads: Vec::new(),
        };
        auditor.collect()?;
        auditor.walk(&chain)?;
        Ok(auditor.conclude(chain))
    }
}

/// A checkpoint that the entries have to agree with.
struct Head {
    what: &'static str,
    /// The host signed it, as far as that could be checked.
    signed: Option<bool>,
    cosigned: Vec<Cosigned>,
    size: u64,
    root: tlog::Hash,
    /// The entries make this root.
    agrees: bool,
}

struct Auditor<'a> {
    ledger: &'a Ledger,
    files: Files,
    known: &'a Expectations,
    findings: Vec<Finding>,
    notes: Vec<String>,
    heads: Vec<Head>,
}

const NEWEST: &str = "the newest checkpoint";
const COSIGNED: &str = "the newest cosigned checkpoint";
const KEPT: &str = "the checkpoint that was kept elsewhere";

impl Auditor<'_> {
    fn found(&mut self, code: &'static str, id: Option<i64>, detail: impl Into<String>) {
        let detail = detail.into();
        self.findings.push(Finding { code, id, detail });
    }

    /// Reads the checkpoints, and checks who signed them.
    fn collect(&mut self) -> std::result::Result<(), ProofError> {
        for (what, path) in [
            (NEWEST, self.files.checkpoint()),
            (COSIGNED, self.files.cosigned()),
        ] {
            match read_checkpoint(&path) {
                Ok(Some(signed)) => self.head(what, &signed),
                Ok(None) => {}
                Err(ProofError::Checkpoint { source, .. }) => {
                    self.found("checkpoint", None, format!("{what}: {source}"));
                }
                Err(error) => return Err(error),
            }
        }
        if let Some(kept) = &self.known.checkpoint {
            self.head(KEPT, kept);
        }
        if !self.heads.iter().any(|head| head.what == NEWEST) && self.findings.is_empty() {
            self.notes
                .push("there is no checkpoint: nothing of this ledger was signed yet".to_owned());
        }
        Ok(())
    }

    fn head(&mut self, what: &'static str, checkpoint: &SignedCheckpoint) {
        let signed = match &self.known.key {
            None => {
                let text =
                    "the signature was not checked: the ledger's public key is not known here";
                if !self.notes.iter().any(|note| note == text) {
                    self.notes.push(text.to_owned());
                }
                None
            }
            Some(key) => match checkpoint.verify(key) {
                Ok(_) => Some(true),
                Err(error) => {
                    let text = format!("{what} is not signed by this ledger's key: {error}");
                    self.found("checkpoint", None, text);
                    Some(false)
                }
            },
        };
        let cosigned = match checkpoint.cosigned(&self.known.witnesses) {
            Ok(cosigned) => cosigned,
            Err(error) => {
                self.found("cosignature", None, format!("{what}: {error}"));
                Vec::new()
            }
        };
        let head = checkpoint.unverified();
        self.heads.push(Head {
            what,
            signed,
            cosigned,
            size: head.size,
            root: head.root,
            agrees: false,
        });
    }

    /// Makes the tree of all entries anew, and compares it with tiles and checkpoints.
    fn walk(&mut self, chain: &Verification) -> std::result::Result<(), ProofError> {
        // A broken chain is told by itself; the tree can say where it differs as far as entries can be read.
        let entries = match entries(self.ledger) {
            Ok(entries) => entries,
            Err(_) => return Ok(()),
        };
        let mut stops: Vec<u64> = self.heads.iter().map(|head| head.size).collect();
        stops.push(entries);
        stops.sort_unstable();
        stops.dedup();
        let mut tree = Tree::new();
        let mut missing = 0;
        for stop in stops.into_iter().filter(|stop| *stop <= entries) {
            if !self.grow(&mut tree, stop, &mut missing)? {
                break;
            }
            let root = tree.root();
            for head in self.heads.iter_mut().filter(|head| head.size == stop) {
                head.agrees = head.root == root;
            }
            let published = self
                .heads
                .iter()
                .any(|head| head.size == stop && head.what == NEWEST);
            if published || stop == entries {
                let differences = self.files.tiles().edge_differences(&tree)?;
                // Past the checkpoint nothing has to be there yet.
                missing += self.compare(
                    differences
                        .into_iter()
                        .filter(|it| published || it.found == Found::Other),
                )?;
            }
        }
        if missing > 0 {
            self.notes.push(format!(
                "{missing} tiles are missing or cut off: the daemon makes them again when it starts"
            ));
        }
        self.judge(entries, chain);
        Ok(())
    }

    /// Takes entries in up to a size; no if one cannot be read.
    fn grow(
        &mut self,
        tree: &mut Tree,
        size: u64,
        missing: &mut usize,
    ) -> std::result::Result<bool, ProofError> {
        while tree.size() < size {
            let end = (tree.size() + BATCH).min(size);
            let read = self.ledger.leaves(id(tree.size()), id(end), |leaf| {
                match leaf.id == id(tree.size()) {
                    true => tree.append(leaf.hash),
                    false => return Err(ProofError::Broken { id: leaf.id }),
                }
                Ok(())
            });
            match read {
                Ok(()) if tree.size() == end => {}
                Ok(())
                | Err(
                    ProofError::Broken { .. }
                    | ProofError::Ledger(Error::Unreadable { .. } | Error::Corrupt { .. }),
                ) => return Ok(false),
                Err(error) => return Err(error),
            }
            let differences = self.files.tiles().differences(tree)?;
            *missing += self.compare(differences.into_iter())?;
        }
        Ok(true)
    }

    /// Takes in how tiles differ; how many are missing.
    fn compare(
        &mut self,
        differences: impl Iterator<Item = tlog::Difference>,
    ) -> std::result::Result<usize, ProofError> {
        let mut missing = 0;
        for difference in differences {
            match difference.found {
                Found::Nothing => missing += 1,
                Found::Other => self.differs(difference.tile)?,
            }
        }
        Ok(missing)
    }

    /// Names the first entry that a tile has otherwise.
    fn differs(&mut self, tile: TileId) -> std::result::Result<(), ProofError> {
        if self
            .findings
            .iter()
            .any(|finding| finding.code == "rewritten")
        {
            return Ok(());
        }
        let mut first = None;
        if tile.level == 0
            && let Ok(published) = self.files.tiles().read(tile)
        {
            let begin = id(tile.index * 256);
            let end = begin + id(tile.width as u64);
            let mut published = published.into_iter();
            self.ledger.leaves(begin, end, |leaf| {
                if published.next() != Some(leaf.hash) {
                    first = first.or(Some(leaf.id));
                }
                Ok::<_, ProofError>(())
            })?;
        }
        match first {
            Some(id) => self.found(
                "rewritten",
                Some(id),
                format!("entry {id} is not the one that was published: it was written anew since"),
            ),
            None => self.found(
                "tile",
                None,
                format!(
                    "the tile {tile} is not what the entries make: it, or an entry, was changed"
                ),
            ),
        }
        Ok(())
    }

    /// Says which checkpoints the entries do not agree with.
    fn judge(&mut self, entries: u64, chain: &Verification) {
        for head in std::mem::take(&mut self.heads) {
            let (what, size) = (head.what, head.size);
            if size > entries {
                self.found(
                    "rolled-back",
                    Some(id(entries)),
                    format!("{what} is of {size} entries, but there are {entries}: the ledger was cut off or put back to an older state"),
                );
            } else if !head.agrees && (chain.valid || chain.entries >= size) {
                self.found(
                    "root",
                    None,
                    format!("the first {size} entries are not those of {what}: history was written anew, or forked"),
                );
            }
            self.heads.push(head);
        }
        // Where the entries make what was signed, it is the tile that was changed.
        if !self.heads.is_empty() && self.heads.iter().all(|head| head.agrees) {
            for finding in &mut self.findings {
                if let ("rewritten", Some(id)) = (finding.code, finding.id) {
                    (finding.code, finding.id) = ("tile", None);
                    finding.detail = format!(
                        "the tile with entry {id} was changed; the entries are those that were signed"
                    );
                }
            }
        }
    }

    fn conclude(self, chain: Verification) -> Audit {
        let valid = chain.valid && self.findings.is_empty();
        let guarantee = match valid {
            true => self.guarantee(),
            false => Guarantee::None,
        };
        Audit {
            valid,
            chain: Chain {
                entries: chain.entries,
                head: chain.head,
                first_bad: chain.first_bad,
            },
            findings: self.findings,
            notes: self.notes,
            guarantee,
        }
    }

    fn guarantee(&self) -> Guarantee {
        let largest = |heads: &mut dyn Iterator<Item = &Head>| -> Option<u64> {
            heads.map(|head| head.size).max()
        };
        let cosigned = self
            .heads
            .iter()
            .filter(|head| !head.cosigned.is_empty())
            // A witness cosigns other logs too: without the log's own signature this may be one of those.
            .filter(|head| head.signed == Some(true) || head.what == KEPT)
            .max_by_key(|head| head.size);
        let kept = largest(&mut self.heads.iter().filter(|head| head.what == KEPT));
        if let Some(head) = cosigned {
            return Guarantee::Witnessed {
                entries: head.size,
                by: head.cosigned.iter().map(|it| it.name.to_string()).collect(),
                time: head
                    .cosigned
                    .iter()
                    .map(|it| it.time)
                    .max()
                    .unwrap_or_default(),
            };
        }
        if let Some(entries) = kept {
            return Guarantee::Kept { entries };
        }
        match largest(&mut self.heads.iter().filter(|head| head.signed == Some(true))) {
            Some(entries) => Guarantee::Signed { entries },
            None => Guarantee::Chain,
        }
    }
}

impl Audit {
    /// What is wrong, in sentences; empty if nothing is.
    pub fn wrong(&self) -> Vec<String> {
        let chain = self.chain.first_bad.iter();
        let chain = chain.map(|bad| format!("entry {}: {}", bad.id, bad.reason));
        let beside = self.findings.iter().map(|finding| finding.detail.clone());
        chain.chain(beside).collect()
    }

    /// How many entries are good, from the genesis row on.
    pub fn entries(&self) -> u64 {
        self.chain.entries
    }

    /// The last good entry.
    pub fn head(&self) -> crate::Head {
        self.chain.head
    }
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("Nothing can be relied on until this is explained."),
            Self::Chain => f.write_str(
                "By the chain alone: damage and edits that do not write all later entries anew are found. Whoever may write the database can write it anew as a whole, or put an older one in its place.",
            ),
            Self::Signed { entries } => write!(
                f,
                "By this host's signature: entries below {entries} are those that it signed. Without its key nobody can change them unseen. Whoever is root here has the key, and can sign another history or put an older state of everything back: only a witness, or a checkpoint kept elsewhere, shows that."
            ),
            Self::Witnessed { entries, by, time } => write!(
                f,
                "By witnesses: entries below {entries} are those that {} saw at {}. Nobody can change, cut off or fork them unseen, root of this host included. Later ones are by this host's word until they are cosigned.",
                by.join(", "),
                time_of(*time)
            ),
            Self::Kept { entries } => write!(
                f,
                "By the checkpoint that was kept elsewhere: entries below {entries} are those that it speaks of, whoever is root here. Later ones are by this host's word."
            ),
        }
    }
}

fn time_of(seconds: u64) -> String {
    let time = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(|| format!("{seconds} s"), |time| time.to_string())
}
