//! The index: what is known, by kind and key, and which file has it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use crate::{Key, Kind, Stock};

/// The form of the table; another one is made anew.
const VERSION: i64 = 2;

/// How long another process may write.
const PATIENCE: Duration = Duration::from_secs(5);

/// The hash of a content, in hexadecimal digits: the name of its file.
pub(crate) type Name = String;

/// An open index.
#[derive(Debug)]
pub(crate) struct Index {
    database: Connection,
    /// Device and number of the file that it is.
    identity: (u64, u64),
}

/// Something known.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) kind: Kind,
    pub(crate) name: Name,
    pub(crate) size: u64,
}

pub(crate) fn identity(path: &Path) -> Option<(u64, u64)> {
    let file = fs::metadata(path).ok()?;
    Some((file.dev(), file.ino()))
}

/// The index's file and those that SQLite keeps beside it.
pub(crate) fn files(path: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        file.into()
    })
}

/// Whether another attempt with the same file is useless.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase, SchemaChanged, Unknown};
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => matches!(
            failure.code,
            // `Unknown` is "no such table" and the like: somebody else's file.
            DatabaseCorrupt | NotADatabase | SchemaChanged | Unknown
        ),
        rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::SqlInputError { .. } => true,
        _ => false,
    }
}

impl Index {
    /// Opens the index, and makes it where there is none.
    pub(crate) fn open(path: &Path) -> rusqlite::Result<Self> {
        let mut database = Connection::open(path)?;
        database.busy_timeout(PATIENCE)?;
        database.pragma_update(None, "journal_mode", "WAL")?;
        // What is lost is made again, so nothing waits for the disk.
        database.pragma_update(None, "synchronous", "OFF")?;
        database.pragma_update(None, "cache_size", -256)?;
        let identity = identity(path).unwrap_or_default();
        let version = |database: &Connection| -> rusqlite::Result<i64> {
            database.query_row("PRAGMA user_version", [], |row| row.get(0))
        };
        if version(&database)? != VERSION {
            let change = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
            if version(&change)? != VERSION {
                change.execute_batch(&format!(
                    "DROP TABLE IF EXISTS entries;
                     CREATE TABLE entries (
                         kind INTEGER NOT NULL,
                         key BLOB NOT NULL,
                         name TEXT NOT NULL,
                         size INTEGER NOT NULL,
                         used INTEGER NOT NULL,
                         PRIMARY KEY (kind, key)
                     ) STRICT, WITHOUT ROWID;
                     CREATE INDEX entries_by_use ON entries (used);
                     CREATE INDEX entries_by_name ON entries (kind, name);
                     DROP TABLE IF EXISTS total;
                     CREATE TABLE total (bytes INTEGER NOT NULL) STRICT;
                     INSERT INTO total VALUES (0);
                     CREATE TRIGGER more AFTER INSERT ON entries
                         BEGIN UPDATE total SET bytes = bytes + new.size; END;
                     CREATE TRIGGER less AFTER DELETE ON entries
                         BEGIN UPDATE total SET bytes = bytes - old.size; END;
                     CREATE TRIGGER other AFTER UPDATE OF size ON entries
                         BEGIN UPDATE total SET bytes = bytes + new.size - old.size; END;
                     PRAGMA user_version = {VERSION};"
                ))?;
            }
            change.commit()?;
        }
        Ok(Self { database, identity })
    }

    /// Whether it is still the file at its place.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        identity(path) == Some(self.identity)
    }

    pub(crate) fn find(&self, kind: Kind, key: Key) -> rusqlite::Result<Option<Known>> {
        let mut find = self
            .database
            .prepare_cached("SELECT name, size FROM entries WHERE kind = ?1 AND key = ?2")?;
        let known = find.query_row(params![kind as i64, key.0], |row| {
            Ok(Known {
                kind,
                name: row.get(0)?,
                size: unsigned(row, 1)?,
            })
        });
        known.optional()
    }

    /// A change that nobody else makes at the same time.
    pub(crate) fn change(&mut self) -> rusqlite::Result<Change<'_>> {
        let change = self
            .database
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        Ok(Change(change))
    }

    pub(crate) fn stock(&self, kind: Kind) -> rusqlite::Result<Stock> {
        self.database.query_row(
            "SELECT count(*), coalesce(sum(size), 0) FROM entries WHERE kind = ?1",
            [kind as i64],
            |row| {
                Ok(Stock {
                    entries: unsigned(row, 0)?,
                    bytes: unsigned(row, 1)?,
                })
            },
        )
    }

    /// Looks through the whole file.
    pub(crate) fn is_sound(&self) -> rusqlite::Result<bool> {
        self.database
            .prepare("SELECT kind, key, name, size, used FROM entries")?;
        let verdict: String = self
            .database
            .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        let fits: bool = self.database.query_row(
            "SELECT (SELECT bytes FROM total) IS (SELECT coalesce(sum(size), 0) FROM entries)
                 AND NOT EXISTS (SELECT 1 FROM entries WHERE kind NOT IN (?1, ?2, ?3))",
            Kind::ALL.map(|kind| kind as i64),
            |row| row.get(0),
        )?;
        Ok(verdict == "ok" && fits)
    }
}

/// A change of the index; without [`Change::commit`] there was none.
pub(crate) struct Change<'a>(Transaction<'a>);

impl Change<'_> {
    pub(crate) fn put(
        &self,
        kind: Kind,
        key: Key,
        name: &str,
        size: u64,
        used: i64,
    ) -> rusqlite::Result<()> {
        self.0
            .prepare_cached(
                "INSERT INTO entries (kind, key, name, size, used) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET name = ?3, size = ?4, used = ?5",
            )?
            .execute(params![kind as i64, key.0, name, size.cast_signed(), used])?;
        Ok(())
    }

    pub(crate) fn touch(&self, kind: Kind, key: Key, used: i64) -> rusqlite::Result<()> {
        self.0
            .prepare_cached("UPDATE entries SET used = max(used, ?3) WHERE kind = ?1 AND key = ?2")?
            .execute(params![kind as i64, key.0, used])?;
        Ok(())
    }

    /// Forgets everything that a file has the content of.
    pub(crate) fn forget(&self, kind: Kind, name: &str) -> rusqlite::Result<u64> {
        let gone = self.0.execute(
            "DELETE FROM entries WHERE kind = ?1 AND name = ?2",
            params![kind as i64, name],
        )?;
        Ok(gone as u64)
    }

    pub(crate) fn forget_all(&self, kind: Kind) -> rusqlite::Result<u64> {
        let gone = self
            .0
            .execute("DELETE FROM entries WHERE kind = ?1", [kind as i64])?;
        Ok(gone as u64)
    }

    /// The bytes of all, kept by triggers: a sum for each put would read the whole index each time.
    pub(crate) fn bytes(&self) -> rusqlite::Result<u64> {
        let mut total = self.0.prepare_cached("SELECT bytes FROM total")?;
        total.query_row([], |row| unsigned(row, 0))
    }

    /// What was used longest ago, if that was before a time.
    pub(crate) fn oldest(&self, before: i64) -> rusqlite::Result<Option<Known>> {
        let mut oldest = self.0.prepare_cached(
            "SELECT kind, name, size FROM entries WHERE used < ?1 ORDER BY used LIMIT 1",
        )?;
        let row = oldest.query_row([before], |row| {
            Ok((row.get::<_, i64>(0)?, row.get(1)?, unsigned(row, 2)?))
        });
        Ok(row.optional()?.map(|(kind, name, size)| Known {
            kind: kind_of(kind),
            name,
            size,
        }))
    }

    pub(crate) fn names(&self, kind: Kind) -> rusqlite::Result<Vec<Name>> {
        let mut names = self
            .0
            .prepare("SELECT DISTINCT name FROM entries WHERE kind = ?1")?;
        let names = names.query_map([kind as i64], |row| row.get(0))?;
        names.collect()
    }

    pub(crate) fn commit(self) -> rusqlite::Result<()> {
        self.0.commit()
    }
}

/// A number that is never negative, unless somebody wrote it there.
fn unsigned(row: &Row<'_>, place: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(place)?;
    Ok(u64::try_from(number).unwrap_or(0))
}

fn kind_of(number: i64) -> Kind {
    let known = Kind::ALL.into_iter().find(|kind| *kind as i64 == number);
    known.unwrap_or(Kind::Blocks)
}
