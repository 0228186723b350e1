//! The database: opening it without ever overwriting what is there.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::append::Queue;
use crate::entry::{GENESIS_HASH, GENESIS_METADATA, Head};
use crate::error::Error;

/// How long to wait for another program that is writing.
const PATIENCE: Duration = Duration::from_secs(10);
/// Read and written by the owner, read by the group.
const MODE: u32 = 0o640;

const SCHEMA: &str = "
    CREATE TABLE operations (
        id INTEGER PRIMARY KEY,
        timestamp INTEGER NOT NULL,
        operation TEXT NOT NULL,
        target TEXT NOT NULL,
        previous_hash TEXT,
        current_hash TEXT NOT NULL,
        embedding BLOB,
        metadata JSON
    );
    CREATE INDEX idx_timestamp ON operations(timestamp);
    CREATE INDEX idx_operation ON operations(operation);
    CREATE INDEX idx_target ON operations(target);";

const COLUMNS: [&str; 8] = [
    "id",
    "timestamp",
    "operation",
    "target",
    "previous_hash",
    "current_hash",
    "embedding",
    "metadata",
];

/// An open ledger. Threads may share it; several processes may have it open.
pub struct Ledger {
    pub(crate) path: PathBuf,
    connection: Mutex<Connection>,
    pub(crate) queue: Queue,
}

impl Ledger {
    /// Opens a ledger for writing; makes it, with its genesis entry, where there is no file or an empty one.
    ///
    /// A file that is something else, or damaged, is refused and left as it is.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let io = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(MODE)
            .open(path)
            .map_err(io)?;
        let ledger = Self::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        ledger
            .with(|connection| {
                connection.pragma_update(None, "journal_mode", "WAL")?;
                connection.pragma_update(None, "synchronous", "FULL")?;
                let transaction = connection
                    .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
                let tables: i64 =
                    transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
                if tables == 0 {
                    transaction.execute_batch(SCHEMA)?;
                    transaction.execute(
                        "INSERT INTO operations VALUES (0, ?1, 'genesis', 'system', NULL, ?2, NULL, ?3)",
                        params![now(), GENESIS_HASH, GENESIS_METADATA],
                    )?;
                }
                transaction.commit()
            })?;
        ledger.check()?;
        Ok(ledger)
    }

    /// Opens a ledger that is there, to read it.
    pub fn open_read_only(path: &Path) -> Result<Self, Error> {
        let ledger = Self::connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        ledger.check()?;
        Ok(ledger)
    }

    fn connect(path: &Path, flags: OpenFlags) -> Result<Self, Error> {
        let open = || {
            let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
            connection.busy_timeout(PATIENCE)?;
            Ok(connection)
        };
        let connection = open().map_err(|source| Error::sqlite(path, source))?;
        Ok(Self {
            path: path.to_owned(),
            connection: Mutex::new(connection),
            queue: Queue::default(),
        })
    }

    /// Whether it is a ledger at all: the table, and an end that can be read.
    fn check(&self) -> Result<(), Error> {
        let columns = self.with(|connection| {
            let mut statement = connection.prepare("SELECT name FROM pragma_table_info('operations')")?;
            let names = statement.query_map([], |row| row.get::<_, String>(0))?;
            names.collect::<Result<Vec<_>, _>>()
        })?;
        if columns != COLUMNS {
            return Err(self.corrupt("it has no table `operations` of the right form"));
        }
        self.head().map(|_| ())
    }

    /// The last entry.
    pub fn head(&self) -> Result<Head, Error> {
        let head = self.with(|connection| head(connection))?;
        head.ok_or_else(|| self.corrupt("it has no entry, not even the first"))
    }

    /// Changes whenever another connection has written.
    pub fn version(&self) -> Result<i64, Error> {
        self.with(|connection| connection.pragma_query_value(None, "data_version", |row| row.get(0)))
    }

    pub(crate) fn corrupt(&self, reason: &str) -> Error {
        Error::Corrupt {
            path: self.path.clone(),
            reason: reason.to_owned(),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn with<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        work(&mut self.lock()).map_err(|source| Error::sqlite(&self.path, source))
    }
}

/// The last entry that a connection sees.
pub(crate) fn head(connection: &Connection) -> rusqlite::Result<Option<Head>> {
    connection
        .prepare_cached("SELECT id, current_hash FROM operations ORDER BY id DESC LIMIT 1")?
        .query_row([], |row| {
            Ok(Head {
                id: row.get(0)?,
                hash: row.get(1)?,
            })
        })
        .optional()
}

/// Seconds since 1970-01-01 UTC.
pub(crate) fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}
