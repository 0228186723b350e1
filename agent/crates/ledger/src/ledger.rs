//! The open ledger.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, params_from_iter};

use crate::append::Writer;
use crate::database::Database;
use crate::entry::{self, Entry, Head};
use crate::error::Result;
use crate::filter::Filter;

/// An open ledger. Threads share one; processes open one each.
#[derive(Debug)]
pub struct Ledger {
    pub(crate) database: Database,
    /// Before the writer, which puts the write-ahead log into the file if it is the last to close.
    reader: Mutex<Reader>,
    pub(crate) writer: Option<Writer>,
}

#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) connection: Connection,
    /// The `data_version` at the last call of [`Ledger::changed`].
    seen: Option<i64>,
}

impl Ledger {
    /// Opens the ledger at `path` for reading and appending; makes it, with its genesis row and mode
    /// 0640, if the file is not there or empty.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Foreign`] or [`crate::Error::Corrupt`] if the file is anything else than a sound ledger; it is
    /// not changed then. A file beyond 4 MiB is looked at only in parts: [`Ledger::verify`] reads all.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let (database, writer) = Database::open(path.as_ref())?;
        let reader = database.reader()?;
        Ok(Self {
            database,
            writer: Some(Writer::new(writer)),
            reader: Reader::new(reader),
        })
    }

    /// Opens the ledger at `path` for reading. It may lie in a read-only snapshot.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Missing`] if there is none, [`crate::Error::Foreign`] or [`crate::Error::Corrupt`] if it is none.
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self> {
        let (database, reader) = Database::existing(path.as_ref())?;
        Ok(Self {
            database,
            writer: None,
            reader: Reader::new(reader),
        })
    }

    /// Whether a ledger was made there, or something else is. A crash may leave a file without a table where one was
    /// about to be made.
    ///
    /// # Errors
    ///
    /// Where that cannot be read.
    pub fn is_there(path: impl AsRef<Path>) -> Result<bool> {
        Database::is_there(path.as_ref())
    }

    /// Where the ledger is.
    pub fn path(&self) -> &Path {
        self.database.path()
    }

    /// The entry with that id, if there is one.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unreadable`] if the row was tampered with beyond reading.
    pub fn get(&self, id: i64) -> Result<Option<Entry>> {
        let select = format!("SELECT {} FROM operations WHERE id = ?", Entry::COLUMNS);
        Ok(self.select(&select, [id])?.pop())
    }

    /// The entries that pass a filter, by id.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unreadable`] if one of them was tampered with beyond reading.
    pub fn query(&self, filter: &Filter) -> Result<Vec<Entry>> {
        let (select, values) = filter.select();
        self.select(&select, params_from_iter(values))
    }

    fn select(&self, select: &str, values: impl rusqlite::Params) -> Result<Vec<Entry>> {
        let explain = |error| self.database.explain(error);
        let reader = self.reader()?;
        let mut statement = reader.connection.prepare_cached(select).map_err(explain)?;
        let mut rows = statement.query(values).map_err(explain)?;
        let mut entries = Vec::new();
        while let Some(row) = rows.next().map_err(explain)? {
            let entry = Entry::from_row(row).map_err(|detail| {
                let id = row.get(0).unwrap_or_default();
                self.database.unreadable(id, detail)
            })?;
            entries.push(entry);
        }
        Ok(entries)
    }

    /// The last entry. Keep it where the writer of this ledger cannot change it, and have
    /// [`Ledger::verify`] expect it.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Corrupt`] if there is not even a genesis row.
    pub fn head(&self) -> Result<Head> {
        read_head(&self.database, &self.reader()?.connection)
    }

    /// Whether the file was written to since the last call, by any thread or process; the first call
    /// says yes. Takes microseconds, so that a follower can ask often and query only then.
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub fn changed(&self) -> Result<bool> {
        let mut reader = self.reader()?;
        let version = reader
            .connection
            .pragma_query_value(None, "data_version", |row| row.get(0))
            .map_err(|error| self.database.explain(error))?;
        Ok(reader.seen.replace(version) != Some(version))
    }

    /// Waits until every entry whose bytes are in the files by now can be read: those of a transaction come there
    /// before it is durable. For followers that are told of the bytes by the kernel.
    ///
    /// # Errors
    ///
    /// Those of writing, though nothing is written.
    pub fn wait_for_writers(&self) -> Result<()> {
        self.database.wait_for_writers()
    }

    pub(crate) fn reader(&self) -> Result<MutexGuard<'_, Reader>> {
        self.database.room_to_read()?;
        Ok(lock(&self.reader))
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        if let Some(writer) = &self.writer
            && self.database.room_to_write().is_err()
        {
            writer.leave_the_log();
        }
    }
}

impl Reader {
    fn new(connection: Connection) -> Mutex<Self> {
        Mutex::new(Self {
            connection,
            seen: None,
        })
    }
}

/// Locks; a thread that panicked left nothing half done, since SQLite rolls back.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn read_head(database: &Database, connection: &Connection) -> Result<Head> {
    let explain = |error| database.explain(error);
    let mut select = connection
        .prepare_cached("SELECT id, current_hash FROM operations ORDER BY id DESC LIMIT 1")
        .map_err(explain)?;
    let mut rows = select.query([]).map_err(explain)?;
    let Some(row) = rows.next().map_err(explain)? else {
        return Err(database.corrupt("not even the genesis row is there"));
    };
    let id = row.get(0).map_err(explain)?;
    let value = row.get_ref(1).map_err(explain)?;
    match entry::hash("current_hash", value) {
        Ok(hash) => Ok(Head { id, hash }),
        Err(detail) => Err(database.unreadable(id, detail)),
    }
}
