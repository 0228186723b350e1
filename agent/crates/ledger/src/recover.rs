//! Bringing a damaged ledger back: what proves to be an entry is kept, all else is quarantined.
//!
//! A chain whose rows are all there is written into a new file as it was. Where rows are refused or missing, a
//! new chain begins: its first entry after genesis says so and names the last entry of the old one, and the
//! entries that were kept follow it, each with `recovered` in its metadata, which is what it takes to compute its
//! old hash again. The damaged file, the rows that were refused and a report stay in a directory beside the
//! ledger.

mod pages;
mod rebuild;
mod stage;
mod swap;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::database::{beside, file_error, has_content};
use crate::entry::Head;
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::verify::Reason;
use stage::{Stage, Verdict};
pub(crate) use swap::is_over;

/// The operation of the entry that tells of a recovery.
pub(crate) const OPERATION: &str = "ledger_recover";

/// How many refusals are told one by one; the quarantine file has all.
const TOLD: usize = 20;

/// A ledger that was looked at to be recovered.
pub struct Recovery {
    path: PathBuf,
    reach: i64,
    stage: Option<Stage>,
    findings: Findings,
    stamp: swap::Stamp,
}

/// What is to be done about a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Nothing: it is sound.
    Sound,
    /// Every entry is there: they are written into a new file, and the chain goes on.
    Mended,
    /// Entries are damaged or missing: a new chain begins with those that are kept.
    NewChain,
}

/// What was found in a damaged ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// What is to be done.
    pub outcome: Outcome,
    /// What is wrong, in words; none if it is sound.
    pub damage: Option<String>,
    /// How many entries verify, the genesis row among them.
    pub kept: u64,
    /// How many rows are no entries.
    pub refused: u64,
    /// How many entries are known to have been there, and are not.
    pub missing: u64,
    /// The last entry of the beginning without a break.
    pub unbroken: Option<Head>,
    /// The last entry that verifies: the head of the old chain.
    pub old_head: Option<Head>,
    /// The first rows that are refused or missing.
    pub refusals: Vec<Refusal>,
}

/// Why a row was not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The id of the row; the first one where several are missing.
    pub id: i64,
    /// The last one where several are missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<i64>,
    /// One word, as [`Reason::code`] gives it.
    pub reason: &'static str,
    /// A sentence.
    pub detail: String,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recovered {
    /// Where the damaged file, the refused rows and the report are.
    pub archive: PathBuf,
    /// The last entry of the ledger as it is now.
    pub head: Head,
}

/// What goes wrong while rows are read and staged.
#[derive(Debug)]
enum Fault {
    Io(io::Error),
    Sql(rusqlite::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl Fault {
    fn of(self, path: &Path) -> Error {
        match self {
            Self::Io(error) => file_error(path, &error),
            Self::Sql(error) => match error.sqlite_error_code() {
                Some(rusqlite::ErrorCode::DiskFull) => Error::DiskFull { path: path.into() },
                _ => Error::Failed {
                    path: path.into(),
                    detail: error.to_string(),
                },
            },
        }
    }
}

impl Recovery {
    /// Looks at the ledger at `path` and changes nothing. `reach` is how many entries a checkpoint of it speaks
    /// of, 0 where there is none: fewer are then missing ones.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`], [`Error::Denied`], [`Error::Locked`]; [`Error::Foreign`] if not one row of it is an entry
    /// and nothing says that there ever was one.
    pub fn examine(path: &Path, reach: u64) -> Result<Self> {
        let reach = i64::try_from(reach).unwrap_or(i64::MAX);
        if !path.exists() && !has_content(&beside(path, "-wal")) && reach == 0 {
            return Err(file_error(path, &io::ErrorKind::NotFound.into()));
        }
        let damage = damage(path, reach)?;
        let stamp = swap::Stamp::of(path);
        let mut recovery = Self {
            path: path.to_owned(),
            reach,
            stage: None,
            findings: Findings::sound(),
            stamp,
        };
        let Some((damage, error)) = damage else {
            return Ok(recovery);
        };
        let stage = Stage::new().map_err(|error| Fault::from(error).of(path))?;
        let wal = beside(path, "-wal");
        pages::scan(path, &wal, |row| stage.add(&row).map_err(Fault::from))
            .map_err(|fault| fault.of(path))?;
        let mut findings = Findings {
            damage: Some(damage),
            ..Findings::sound()
        };
        stage
            .judge(reach, |verdict| {
                findings.count(&verdict);
                Ok::<_, Fault>(())
            })
            .map_err(|fault| fault.of(path))?;
        findings.conclude();
        match error {
            Some(foreign @ Error::Foreign { .. }) if findings.kept == 0 && reach == 0 => {
                return Err(foreign);
            }
            _ => {}
        }
        recovery.findings = findings;
        recovery.stage = Some(stage);
        Ok(recovery)
    }

    /// What was found, and what would be done about it.
    pub fn findings(&self) -> &Findings {
        &self.findings
    }

    /// Does it. `note` goes into the metadata of the entry `ledger_recover`, such as who asked. If this is
    /// killed, [`Recovery::resume`] or another examination goes on from there.
    ///
    /// # Errors
    ///
    /// [`Error::Replaced`] if the file was written to since it was looked at, [`Error::DiskFull`] and others; the
    /// ledger is as it was then.
    pub fn carry_out(&self, note: &Map<String, Value>) -> Result<Option<Recovered>> {
        let Some(stage) = &self.stage else {
            return Ok(None);
        };
        let job = rebuild::Job {
            path: &self.path,
            reach: self.reach,
            findings: &self.findings,
            stage,
            note,
        };
        let head = job.build()?;
        if swap::Stamp::of(&self.path) != self.stamp {
            swap::discard(&self.path)?;
            return Err(Error::Replaced {
                path: self.path.clone(),
            });
        }
        swap::decide(&self.path)?;
        let archive = swap::finish(&self.path)?;
        Ok(Some(Recovered { archive, head }))
    }

    /// Finishes a recovery that was killed after it was decided; what was killed before that is discarded.
    /// Gives where the damaged file is, if there was one to finish.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn resume(path: &Path) -> Result<Option<PathBuf>> {
        swap::discard(path)?;
        match swap::is_over(path) {
            Ok(()) => Ok(None),
            Err(_) => swap::finish(path).map(Some),
        }
    }
}

/// What is wrong with a ledger, if anything, and the error if it cannot even be opened.
fn damage(path: &Path, reach: i64) -> Result<Option<(String, Option<Error>)>> {
    let verified = Ledger::open_read_only(path).and_then(|ledger| ledger.verify(None));
    match verified {
        Ok(found) => Ok(match found.first_bad {
            Some(bad) => Some((format!("entry {}: {}", bad.id, bad.reason), None)),
            None if found.head.id + 1 < reach => {
                let text = format!(
                    "it has {} entries, but a checkpoint speaks of {reach}",
                    found.entries
                );
                Some((text, None))
            }
            None => None,
        }),
        Err(
            error @ (Error::Corrupt { .. }
            | Error::Foreign { .. }
            | Error::Unreadable { .. }
            | Error::Failed { .. }
            | Error::Missing { .. }),
        ) => Ok(Some((error.to_string(), Some(error)))),
        Err(error) => Err(error),
    }
}

impl Findings {
    fn sound() -> Self {
        Self {
            outcome: Outcome::Sound,
            damage: None,
            kept: 0,
            refused: 0,
            missing: 0,
            unbroken: None,
            old_head: None,
            refusals: Vec::new(),
        }
    }

    fn count(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Kept(row, hash) => {
                let head = Some(Head {
                    id: row.id,
                    hash: *hash,
                });
                // The ids are told in order.
                if self.refused + self.missing == 0 {
                    self.unbroken = head;
                }
                self.old_head = head;
                self.kept += 1;
            }
            Verdict::Refused(..) => self.refused += 1,
            Verdict::Missing(first, last) => self.missing += last.abs_diff(*first) + 1,
        }
        if self.refusals.len() < TOLD
            && let Some(refusal) = Refusal::of(verdict)
        {
            self.refusals.push(refusal);
        }
    }

    fn conclude(&mut self) {
        self.outcome = match self.refused + self.missing == 0 && self.kept > 0 {
            true => Outcome::Mended,
            false => Outcome::NewChain,
        };
    }
}

impl Refusal {
    /// Why a row is refused, or that it is missing.
    fn of(verdict: &Verdict) -> Option<Self> {
        match verdict {
            Verdict::Kept(..) => None,
            Verdict::Refused(row, reason) => Some(Self {
                id: row.id,
                last: None,
                reason: reason.code(),
                detail: reason.to_string(),
            }),
            Verdict::Missing(first, last) => Some(Self {
                id: *first,
                last: (first != last).then_some(*last),
                reason: Reason::Deleted.code(),
                detail: "nothing of it was found in the file".to_owned(),
            }),
        }
    }
}

impl fmt::Debug for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recovery")
            .field("path", &self.path)
            .field("findings", &self.findings)
            .finish_non_exhaustive()
    }
}
