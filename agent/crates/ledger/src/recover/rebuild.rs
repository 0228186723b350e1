//! Writing the new file, and the file of what was refused.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use jiff::Timestamp;
use rusqlite::types::Value as Column;
use rusqlite::{Connection, params};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::stage::{Row, Stage, Verdict, record};
use super::{Fault, Findings, OPERATION, Outcome, Refusal, swap};
use crate::append::genesis_hash;
use crate::database::{beside, has_content, make_file};
use crate::entry::{Head, NewEntry};
use crate::error::{Error, Result};
use crate::hash::Hash;
use crate::ledger::Ledger;
use crate::metadata;
use crate::record::Record;
use crate::schema;

/// The file of the rows that were refused, one JSON object a line.
const QUARANTINE: &str = "quarantine.jsonl";

/// What a new ledger is made of.
pub(super) struct Job<'a> {
    pub(super) path: &'a Path,
    pub(super) reach: i64,
    pub(super) findings: &'a Findings,
    pub(super) stage: &'a Stage,
    pub(super) note: &'a Map<String, Value>,
}

impl Job<'_> {
    /// Makes everything in the partial directory; gives the new head.
    pub(super) fn build(&self) -> Result<Head> {
        swap::discard(self.path)?;
        let dir = swap::partial(self.path);
        let fault = |fault: Fault| fault.of(self.path);
        let name = format!("recovered-{}", Timestamp::now().strftime("%Y%m%dT%H%M%SZ"));
        let quarantine = self.quarantine(&dir, &name).map_err(fault)?;
        let entry = self.entry(&name, &quarantine);
        let new = dir.join(swap::NEW);
        make_file(&new)?;
        self.fill(&new, &entry).map_err(fault)?;
        let head = self.conclude(&new, entry)?;
        let report =
            json!({ "findings": self.findings, "quarantine_sha256": quarantine, "head": head });
        let steps = || {
            write(&dir.join(swap::REPORT), format!("{report:#}\n").as_bytes())?;
            File::open(&new)?.sync_all()?;
            File::open(&dir)?.sync_all()
        };
        steps().map_err(|error| fault(error.into()))?;
        Ok(head)
    }

    /// Writes down every row that is refused, and why; gives the file's SHA-256.
    fn quarantine(&self, dir: &Path, name: &str) -> std::result::Result<String, Fault> {
        DirBuilder::new().mode(0o750).create(dir)?;
        write(&dir.join(swap::NAME), name.as_bytes())?;
        let mut out = BufWriter::new(File::create(dir.join(QUARANTINE))?);
        let mut digest = Sha256::new();
        self.stage.judge(self.reach, |verdict| {
            let Some(refusal) = Refusal::of(&verdict) else {
                return Ok(());
            };
            let mut line = json!(refusal);
            if let Verdict::Refused(row, _) = &verdict {
                line["row"] = shown(row);
            }
            let line = format!("{line}\n");
            digest.update(line.as_bytes());
            out.write_all(line.as_bytes()).map_err(Fault::from)
        })?;
        out.into_inner()
            .map_err(io::IntoInnerError::into_error)?
            .sync_all()?;
        Ok(hex::encode(digest.finalize()))
    }

    /// What the ledger itself says of its recovery.
    fn entry(&self, name: &str, quarantine: &str) -> NewEntry {
        let found = self.findings;
        let mut metadata = self.note.clone();
        let told = json!({
            "damage": found.damage,
            "outcome": found.outcome,
            "kept": found.kept,
            "refused": found.refused,
            "missing": found.missing,
            "unbroken": found.unbroken,
            "old_head": found.old_head,
            "archive": name,
            "quarantine_sha256": quarantine,
        });
        metadata.insert("recovery".to_owned(), told);
        NewEntry {
            operation: OPERATION.to_owned(),
            target: name.to_owned(),
            metadata: Value::Object(metadata),
        }
    }

    /// Writes the rows: as they were, or into a new chain behind the entry that tells of it.
    fn fill(&self, new: &Path, entry: &NewEntry) -> std::result::Result<(), Fault> {
        let connection = Connection::open(new)?;
        // Nobody sees the file before it is whole and on the disk.
        connection.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN;")?;
        schema::create(&connection)?;
        match self.findings.outcome {
            Outcome::NewChain => {
                let mut chain = Chain::begin(&connection, entry)?;
                self.stage.judge(self.reach, |verdict| match verdict {
                    Verdict::Kept(row, _) if row.id > 0 => chain.carry(&row),
                    _ => Ok(()),
                })?;
            }
            Outcome::Mended | Outcome::Sound => {
                connection.execute("DELETE FROM operations", [])?;
                self.stage.judge(self.reach, |verdict| match verdict {
                    Verdict::Kept(row, _) => copy(&connection, &row),
                    _ => Ok(()),
                })?;
            }
        }
        connection.execute_batch("COMMIT")?;
        Ok(())
    }

    /// Opens what was made as any ledger, checks it, and closes it without a log beside it.
    fn conclude(&self, new: &Path, entry: NewEntry) -> Result<Head> {
        let ledger = Ledger::open(new)?;
        if self.findings.outcome == Outcome::Mended {
            ledger.append(&entry)?;
        }
        let found = ledger.verify(None)?;
        drop(ledger);
        match found.first_bad {
            None if !has_content(&beside(new, "-wal")) => Ok(found.head),
            None => Err(Error::DiskFull {
                path: self.path.to_owned(),
            }),
            Some(bad) => Err(Error::Failed {
                path: self.path.to_owned(),
                detail: format!(
                    "what was recovered is bad: entry {}: {}",
                    bad.id, bad.reason
                ),
            }),
        }
    }
}

/// A new chain that is written.
struct Chain<'a> {
    connection: &'a Connection,
    head: Head,
    buffer: Vec<u8>,
}

impl<'a> Chain<'a> {
    fn begin(connection: &'a Connection, entry: &NewEntry) -> std::result::Result<Self, Fault> {
        let mut chain = Self {
            connection,
            head: Head {
                id: 0,
                hash: Hash::ZERO,
            },
            buffer: Vec::new(),
        };
        let mut told = entry.metadata.clone();
        told["genesis_hash"] = Value::from(genesis_hash(connection)?.to_string());
        let told = canonical(&told)?;
        let (operation, target) = (entry.operation.as_bytes(), entry.target.as_bytes());
        chain.push(schema::now(), (operation, target), &told, &Column::Null)?;
        Ok(chain)
    }

    /// Carries an entry of the old chain over.
    fn carry(&mut self, row: &Row) -> std::result::Result<(), Fault> {
        let Ok(old) = record(row) else {
            return Ok(());
        };
        let carried = carried(row, &old)?;
        self.push(
            old.timestamp,
            (old.operation, old.target),
            &carried,
            &row.embedding,
        )
    }

    fn push(
        &mut self,
        timestamp: i64,
        (operation, target): (&[u8], &[u8]),
        metadata: &str,
        embedding: &Column,
    ) -> std::result::Result<(), Fault> {
        let id = self.head.id + 1;
        let record = Record {
            id,
            timestamp,
            operation,
            target,
            metadata: metadata.as_bytes(),
            previous_hash: Some(&self.head.hash.hex()),
        };
        let hash = record.hash(&mut self.buffer);
        self.connection
            .prepare_cached("INSERT INTO operations VALUES (?, ?, ?, ?, ?, ?, ?, ?)")?
            .execute(params![
                id,
                timestamp,
                str::from_utf8(operation).unwrap_or_default(),
                str::from_utf8(target).unwrap_or_default(),
                self.head.hash.to_string(),
                hash.to_string(),
                embedding,
                metadata,
            ])?;
        self.head = Head { id, hash };
        Ok(())
    }
}

/// The metadata of an entry in the new chain: what it was, and what its old hash covers beside it.
fn carried(row: &Row, old: &Record<'_>) -> std::result::Result<String, Fault> {
    let text = str::from_utf8(old.metadata).unwrap_or_default();
    let mut recovered = json!({
        "id": row.id,
        "previous_hash": old.previous_hash.and_then(|hash| str::from_utf8(hash).ok()),
        "current_hash": match &row.current_hash { Column::Text(hash) => hash.as_str(), _ => "" },
    });
    // What another program wrote in another spelling is kept to the letter, since the hash covers it so.
    let read = metadata::read(text).ok().filter(Value::is_object);
    let mut new = match read {
        Some(read) if metadata::canonical(&read).is_ok_and(|same| same == text) => read,
        other => {
            recovered["metadata"] = Value::from(text);
            other
                .filter(|read| metadata::canonical(read).is_ok())
                .unwrap_or_else(|| json!({}))
        }
    };
    if let Some(before) = new.get("recovered") {
        recovered["before"] = before.clone();
    }
    new["recovered"] = recovered;
    canonical(&new)
}

fn canonical(value: &Value) -> std::result::Result<String, Fault> {
    // A chain that was recovered a hundred times nests too deep for readers to agree on.
    metadata::canonical(value).map_err(|error| Fault::Io(io::Error::other(error.to_string())))
}

fn copy(connection: &Connection, row: &Row) -> std::result::Result<(), Fault> {
    connection
        .prepare_cached("INSERT INTO operations VALUES (?, ?, ?, ?, ?, ?, ?, ?)")?
        .execute(params![
            row.id,
            row.timestamp,
            row.operation,
            row.target,
            row.previous_hash,
            row.current_hash,
            row.embedding,
            row.metadata,
        ])?;
    Ok(())
}

/// A row as far as it can be read.
fn shown(row: &Row) -> Value {
    let column = |column: &Column| match column {
        Column::Null => Value::Null,
        Column::Integer(number) => json!(number),
        Column::Real(number) => json!(number),
        Column::Text(text) => json!(text),
        Column::Blob(bytes) => json!({ "hex": hex::encode(bytes) }),
    };
    json!({
        "timestamp": column(&row.timestamp),
        "operation": column(&row.operation),
        "target": column(&row.target),
        "previous_hash": column(&row.previous_hash),
        "current_hash": column(&row.current_hash),
        "metadata": column(&row.metadata),
    })
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::write(path, bytes)?;
    File::open(path)?.sync_all()
}
