//! What was found in a damaged file, put in order: which row is the entry, and which are refused.

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, ToSql, params};
use sha2::{Digest, Sha256};

use super::pages::{Found, Stored};
use crate::entry::Head;
use crate::hash::Hash;
use crate::record::Record;
use crate::verify::{Reason, is_genesis, seals};

/// Rows, in a file of SQLite's own that is gone with the connection, since they need not fit into memory.
pub(super) struct Stage {
    connection: Connection,
}

/// A row as it is staged.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) timestamp: Value,
    pub(super) operation: Value,
    pub(super) target: Value,
    pub(super) previous_hash: Value,
    pub(super) current_hash: Value,
    pub(super) embedding: Value,
    pub(super) metadata: Value,
}

/// What becomes of a row, or of a place where there is none.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    /// It is an entry.
    Kept(Row, Hash),
    /// It is none.
    Refused(Row, Reason),
    /// Nothing is there from the first of these ids to the last.
    Missing(i64, i64),
}

impl ToSql for Stored {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(text) => ValueRef::Text(text),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl Stage {
    pub(super) fn new() -> rusqlite::Result<Self> {
        let connection = Connection::open("")?;
        connection.execute_batch(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -8000;
             CREATE TABLE found(id, digest, timestamp, operation, target, previous_hash, current_hash,
                 embedding, metadata, UNIQUE(id, digest));
             BEGIN;",
        )?;
        Ok(Self { connection })
    }

    /// Takes a row in, once.
    pub(super) fn add(&self, row: &Found) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("INSERT OR IGNORE INTO found VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")?
            .execute(params![
                row.id,
                digest(row),
                row.timestamp,
                row.operation,
                row.target,
                row.previous_hash,
                row.current_hash,
                row.embedding,
                row.metadata,
            ])
            .map(drop)
    }

    /// Tells of each id from 0 to the greatest what there is. `reach` is the number of entries that are known to
    /// have been there.
    pub(super) fn judge<E: From<rusqlite::Error>>(
        &self,
        reach: i64,
        mut each: impl FnMut(Verdict) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut select = self.connection.prepare(
            "SELECT id, timestamp, operation, target, previous_hash, current_hash, embedding, metadata \
             FROM found ORDER BY id, rowid",
        )?;
        let mut rows = select.query([])?;
        let mut judge = Judge::default();
        let mut same: Vec<Row> = Vec::new();
        while let Some(row) = rows.next()? {
            let row = staged(row)?;
            if same.first().is_some_and(|first| first.id != row.id) {
                judge.decide(std::mem::take(&mut same), &mut each)?;
            }
            same.push(row);
        }
        judge.decide(same, &mut each)?;
        judge.genesis(None, &mut each)?;
        match judge.next < reach {
            true => each(Verdict::Missing(judge.next, reach - 1)),
            false => Ok(()),
        }
    }
}

/// The same for rows that differ at most in their embedding, which is no part of what an entry says.
fn digest(row: &Found) -> [u8; 32] {
    let mut digest = Sha256::new();
    for value in [
        &row.timestamp,
        &row.operation,
        &row.target,
        &row.previous_hash,
        &row.current_hash,
        &row.metadata,
    ] {
        let (kind, bytes): (u8, &[u8]) = match value {
            Stored::Null => (0, &[]),
            Stored::Integer(number) => (1, &number.to_be_bytes()),
            Stored::Real(number) => (2, &number.to_be_bytes()),
            Stored::Text(text) => (3, text),
            Stored::Blob(bytes) => (4, bytes),
        };
        digest.update([kind]);
        digest.update((bytes.len() as u64).to_be_bytes());
        digest.update(bytes);
    }
    digest.finalize().into()
}

fn staged(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    // Text that is not UTF-8 was never written, and is shown as its bytes.
    let value = |index: usize| {
        Ok::<_, rusqlite::Error>(match row.get_ref(index)? {
            ValueRef::Text(text) => match str::from_utf8(text) {
                Ok(text) => Value::Text(text.to_owned()),
                Err(_) => Value::Blob(text.to_vec()),
            },
            ValueRef::Null => Value::Null,
            ValueRef::Integer(number) => Value::Integer(number),
            ValueRef::Real(number) => Value::Real(number),
            ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
        })
    };
    Ok(Row {
        id: row.get(0)?,
        timestamp: value(1)?,
        operation: value(2)?,
        target: value(3)?,
        previous_hash: value(4)?,
        current_hash: value(5)?,
        embedding: value(6)?,
        metadata: value(7)?,
    })
}

/// Walks along the ids.
#[derive(Default)]
struct Judge {
    /// The id that is due.
    next: i64,
    /// The entry before, if it was kept.
    before: Option<Head>,
    /// The genesis row, until the entry after it has vouched for it: with what its hash would be.
    genesis: Option<(Row, Hash)>,
    buffer: Vec<u8>,
}

impl Judge {
    /// Decides between rows of one id.
    fn decide<E>(
        &mut self,
        rows: Vec<Row>,
        each: &mut impl FnMut(Verdict) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(id) = rows.first().map(|row| row.id) else {
            return Ok(());
        };
        if id > self.next {
            each(Verdict::Missing(self.next, id - 1))?;
        }
        let mut kept = None;
        for row in rows {
            match self.weigh(&row) {
                Ok(hash) if kept.is_none() => kept = Some((row, hash)),
                Ok(_) => each(Verdict::Refused(row, Reason::Inserted))?,
                Err(reason) => each(Verdict::Refused(row, reason))?,
            }
        }
        self.before = kept.as_ref().map(|(_, hash)| Head { id, hash: *hash });
        self.next = self.next.max(id.saturating_add(1));
        match kept {
            Some((row, _)) if id == 0 => {
                let sealed = record(&row).map(|record| record.hash(&mut self.buffer));
                self.genesis = Some((row, sealed.unwrap_or(Hash::ZERO)));
                Ok(())
            }
            Some((row, hash)) => {
                self.genesis(Some(&row).filter(|row| row.id == 1), each)?;
                each(Verdict::Kept(row, hash))
            }
            None => Ok(()),
        }
    }

    /// Tells of the genesis row, now that the first entry is known or known to be lost.
    fn genesis<E>(
        &mut self,
        first: Option<&Row>,
        each: &mut impl FnMut(Verdict) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some((row, sealed)) = self.genesis.take() else {
            return Ok(());
        };
        let vouches = first.is_none_or(|first| match &first.metadata {
            Value::Text(metadata) => seals(metadata.as_bytes(), &sealed),
            _ => false,
        });
        each(match vouches {
            true => Verdict::Kept(row, Hash::ZERO),
            false => Verdict::Refused(row, Reason::Genesis),
        })
    }

    /// The hash of a row that is an entry, in its place as far as that can be told.
    fn weigh(&mut self, row: &Row) -> Result<Hash, Reason> {
        if row.id < 0 {
            return Err(Reason::Inserted);
        }
        let record = record(row)?;
        let Value::Text(current) = &row.current_hash else {
            return Err(not_text("current_hash"));
        };
        if row.id == 0 {
            return match is_genesis(&record, current.as_bytes()) {
                true => Ok(Hash::ZERO),
                false => Err(Reason::Genesis),
            };
        }
        let hash = record.hash(&mut self.buffer);
        if current.as_bytes() != hash.hex() {
            return Err(Reason::Edited);
        }
        let before = self.before.filter(|head| head.id == row.id - 1);
        let follows = before.is_none_or(|head| record.previous_hash == Some(&head.hash.hex()[..]));
        match follows {
            true => Ok(hash),
            false => Err(Reason::Inserted),
        }
    }
}

/// What the hash of a row covers.
pub(super) fn record(row: &Row) -> Result<Record<'_>, Reason> {
    Ok(Record {
        id: row.id,
        timestamp: match row.timestamp {
            Value::Integer(time) => time,
            _ => return Err(Reason::Unreadable("its timestamp is no number".into())),
        },
        operation: bytes("operation", &row.operation)?,
        target: bytes("target", &row.target)?,
        metadata: bytes("metadata", &row.metadata)?,
        previous_hash: match &row.previous_hash {
            Value::Null => None,
            value => Some(bytes("previous_hash", value)?),
        },
    })
}

fn bytes<'a>(column: &str, value: &'a Value) -> Result<&'a [u8], Reason> {
    match value {
        Value::Text(text) => Ok(text.as_bytes()),
        _ => Err(not_text(column)),
    }
}

fn not_text(column: &str) -> Reason {
    Reason::Unreadable(format!("its {column} is no text"))
}
