//! The file: how it is made, opened and found to be damaged.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use durable::sync_entry;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use rustix::fs::{Access, access};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::recover;
use crate::schema::{self, Contents};
use crate::space::Space;

/// How long to wait for another program's lock.
const PATIENCE: Duration = Duration::from_secs(10);
/// The owner writes, the group reads.
const MODE: u32 = 0o640;
/// The write-ahead log gives back what it has grown to beyond this size in bytes.
const LOG: i64 = 8 << 20;
/// A file up to this size in bytes is checked as a whole before it is written to: some 10 ms.
const SMALL: i64 = 4 << 20;

/// A database file, and what all connections to it have in common.
#[derive(Debug)]
pub(crate) struct Database {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
    /// Nobody can write: SQLite needs neither locks nor files beside it.
    immutable: bool,
    /// Nobody can write, and entries wait in the log, which SQLite then reads by itself.
    alone: bool,
    space: Space,
}

impl Database {
    /// Opens a ledger for writing, and makes it if there is none. A file that is anything else than
    /// a sound ledger is not changed in any way.
    pub(crate) fn open(path: &Path) -> Result<(Self, Connection)> {
        recover::is_over(path)?;
        make_file(path)?;
        let database = Self::new(path)?;
        database.room_to_write()?;
        let writer = database.connect(OpenFlags::SQLITE_OPEN_READ_WRITE, "")?;
        database.prepare(&writer)?;
        Ok((database, writer))
    }

    /// Takes a ledger that is there, for reading.
    pub(crate) fn existing(path: &Path) -> Result<(Self, Connection)> {
        match Self::look(path)? {
            (database, reader, Contents::Ledger) => Ok((database, reader)),
            (database, _, Contents::Empty) => Err(database.foreign("it is empty")),
            (database, _, Contents::Other(detail)) => Err(database.foreign(&detail)),
        }
    }

    /// Whether a ledger was made there, or something else is.
    pub(crate) fn is_there(path: &Path) -> Result<bool> {
        match Self::look(path) {
            Ok((_, _, contents)) => Ok(contents != Contents::Empty),
            Err(Error::Missing { .. }) => Ok(false),
            // Who was killed while the file was begun left a change that has to be taken back before it can be read.
            Err(Error::ReadOnly { .. }) => {
                let database = Self::new(path)?;
                let writer = database.connect(OpenFlags::SQLITE_OPEN_READ_WRITE, "")?;
                let contents = schema::inspect(&writer).map_err(|error| database.explain(error))?;
                Ok(contents != Contents::Empty)
            }
            Err(error) => Err(error),
        }
    }

    fn look(path: &Path) -> Result<(Self, Connection, Contents)> {
        recover::is_over(path)?;
        let mut database = Self::new(path)?;
        // A read-only snapshot says so only when asked for write access. On a full disk no writer can begin.
        let read_only = access(path, Access::WRITE_OK) == Err(Errno::ROFS);
        let unwritable = read_only || database.room_to_read().is_err();
        let waiting = has_content(&beside(path, "-wal"));
        database.immutable = unwritable && !waiting;
        // A snapshot that was made while entries waited in the log: nobody else writes here, or can.
        database.alone = read_only && waiting;
        let reader = database.reader()?;
        let contents = schema::inspect(&reader).map_err(|error| database.explain(error))?;
        Ok((database, reader, contents))
    }

    fn new(path: &Path) -> Result<Self> {
        let meta = fs::metadata(path).map_err(|error| file_error(path, &error))?;
        let database = Self {
            path: path.to_owned(),
            identity: (meta.dev(), meta.ino()),
            immutable: false,
            alone: false,
            space: Space::new(path),
        };
        match meta.is_file() {
            true => Ok(database),
            false => Err(database.foreign("it is not a file")),
        }
    }

    /// A further connection, for reading.
    pub(crate) fn reader(&self) -> Result<Connection> {
        self.room_to_read()?;
        let mode = OpenFlags::SQLITE_OPEN_READ_ONLY;
        match (self.immutable, self.alone) {
            (true, _) => self.connect(mode, "?immutable=1"),
            // Without locks, and with the index of the log in memory: there is no file that could hold either.
            (_, true) => {
                let reader = self.connect(mode, "?vfs=unix-none")?;
                let set = reader.pragma_update(None, "locking_mode", "EXCLUSIVE");
                set.map_err(|error| self.explain(error))?;
                Ok(reader)
            }
            _ => self.connect(mode, ""),
        }
    }

    /// Fails when a read could end the process for want of space.
    pub(crate) fn room_to_read(&self) -> Result<()> {
        if self.immutable || self.alone {
            Ok(())
        } else {
            self.space.to_read()
        }
    }

    /// Fails when a write could end the process for want of space.
    pub(crate) fn room_to_write(&self) -> Result<()> {
        self.space.to_write()
    }

    /// Waits until the transactions that are being written by now are written, by whomever.
    pub(crate) fn wait_for_writers(&self) -> Result<()> {
        if self.immutable {
            return Ok(());
        }
        self.room_to_write()?;
        let connection = self.connect(OpenFlags::SQLITE_OPEN_READ_WRITE, "")?;
        let wait = || {
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK")
        };
        wait().map_err(|error| self.explain(error))
    }

    fn connect(&self, mode: OpenFlags, parameters: &str) -> Result<Connection> {
        let flags = mode | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        let connection = Connection::open_with_flags(uri(&self.path) + parameters, flags)
            .map_err(|error| self.explain(error))?;
        let configure = || {
            connection.busy_timeout(PATIENCE)?;
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
            connection.pragma_update(None, "cell_size_check", true)
        };
        configure().map_err(|error| self.explain(error))?;
        Ok(connection)
    }

    /// Makes sure that a connection for writing has a sound ledger before it.
    fn prepare(&self, writer: &Connection) -> Result<()> {
        let explain = |error| self.explain(error);
        // SQLite opens for reading what it cannot open for writing.
        if writer.is_readonly("main").map_err(explain)? {
            return Err(Error::ReadOnly {
                path: self.path.clone(),
            });
        }
        // Closing a connection would write to a file that is refused.
        let hands_off = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
        writer.set_db_config(hands_off, true).map_err(explain)?;
        match schema::inspect(writer).map_err(explain)? {
            Contents::Ledger => self.check_if_small(writer)?,
            Contents::Empty => self.create(writer)?,
            Contents::Other(detail) => return Err(self.foreign(&detail)),
        }
        writer.set_db_config(hands_off, false).map_err(explain)?;
        self.make_durable(writer)
    }

    fn create(&self, writer: &Connection) -> Result<()> {
        self.make_durable(writer)?;
        let make = || {
            let transaction =
                rusqlite::Transaction::new_unchecked(writer, TransactionBehavior::Immediate)?;
            // Another process may have been faster.
            if schema::inspect(&transaction)? == Contents::Empty {
                schema::create(&transaction)?;
            }
            transaction.commit()
        };
        make().map_err(|error| self.explain(error))
    }

    fn make_durable(&self, writer: &Connection) -> Result<()> {
        let set = || {
            writer.pragma_update(None, "synchronous", "FULL")?;
            writer.pragma_update(None, "journal_size_limit", LOG)?;
            writer
                .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))
        };
        match set().map_err(|error| self.explain(error))?.as_str() {
            "wal" => Ok(()),
            mode => Err(self.failed(format!(
                "a write-ahead log is not possible here, only `{mode}`"
            ))),
        }
    }

    fn check_if_small(&self, writer: &Connection) -> Result<()> {
        let pragma = |name| writer.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let size = || Ok(pragma("page_count")? * pragma("page_size")?);
        if size().map_err(|error| self.explain(error))? > SMALL {
            return Ok(());
        }
        match quick_check(writer).map_err(|error| self.explain(error))? {
            None => Ok(()),
            Some(detail) => Err(self.corrupt(detail)),
        }
    }

    /// Fails when the path leads to another file than at first: what is written now would be lost.
    pub(crate) fn still_there(&self) -> Result<()> {
        match fs::metadata(&self.path) {
            Ok(meta) if (meta.dev(), meta.ino()) == self.identity => Ok(()),
            _ => Err(Error::Replaced {
                path: self.path.clone(),
            }),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn corrupt(&self, detail: impl Into<String>) -> Error {
        Error::Corrupt {
            path: self.path.clone(),
            detail: detail.into(),
        }
    }

    pub(crate) fn failed(&self, detail: impl Into<String>) -> Error {
        Error::Failed {
            path: self.path.clone(),
            detail: detail.into(),
        }
    }

    pub(crate) fn unreadable(&self, id: i64, detail: String) -> Error {
        Error::Unreadable {
            path: self.path.clone(),
            id,
            detail,
        }
    }

    fn foreign(&self, detail: &str) -> Error {
        Error::Foreign {
            path: self.path.clone(),
            detail: detail.into(),
        }
    }

    /// What an error of SQLite means for this file.
    pub(crate) fn explain(&self, error: rusqlite::Error) -> Error {
        let path = self.path.clone();
        let detail = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Error::DiskFull { path },
            Some(ErrorCode::SystemIoFailure) if self.space.is_short() => Error::DiskFull { path },
            Some(
                ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::FileLockingProtocolFailed,
            ) => Error::Locked {
                path,
                seconds: PATIENCE.as_secs(),
            },
            Some(ErrorCode::ReadOnly) => Error::ReadOnly { path },
            Some(ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => Error::Denied { path },
            Some(ErrorCode::DatabaseCorrupt) => Error::Corrupt { path, detail },
            Some(ErrorCode::NotADatabase) => Error::Foreign { path, detail },
            _ => Error::Failed { path, detail },
        }
    }
}

/// What is wrong with the pages of the file, if anything; takes some 1 µs an entry.
pub(crate) fn quick_check(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let said: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok((said != "ok").then_some(said))
}

/// Makes an empty file where there is none.
pub(crate) fn make_file(path: &Path) -> Result<()> {
    if !has_content(path) && has_content(&beside(path, "-wal")) {
        return Err(Error::Corrupt {
            path: path.to_owned(),
            detail: format!(
                "the file is gone, but {} still holds entries",
                beside(path, "-wal").display()
            ),
        });
    }
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(MODE)
        .open(path);
    match made {
        // Whatever the umask is.
        Ok(file) => file
            .set_permissions(Permissions::from_mode(MODE))
            .and_then(|()| sync_entry(path))
            .map_err(|error| file_error(path, &error)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(file_error(path, &error)),
    }
}

pub(crate) fn file_error(path: &Path, error: &io::Error) -> Error {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::NotFound => match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() && !parent.exists() => Error::Missing {
                detail: format!("the directory {} does not exist", parent.display()),
                path,
            },
            _ => Error::Missing {
                path,
                detail: "the file does not exist".into(),
            },
        },
        io::ErrorKind::PermissionDenied => Error::Denied { path },
        io::ErrorKind::ReadOnlyFilesystem => Error::ReadOnly { path },
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::DiskFull { path },
        _ => Error::Failed {
            path,
            detail: error.to_string(),
        },
    }
}

/// A file of SQLite's beside the database: `-wal` is the write-ahead log, `-shm` is shared memory.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

pub(crate) fn has_content(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.len() > 0)
}

/// The path as a URI, to which parameters can be added.
fn uri(path: &Path) -> String {
    // An empty authority, lest a path that begins with two slashes be taken to name one.
    let mut uri = if path.is_absolute() {
        "file://"
    } else {
        "file:"
    }
    .to_owned();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                uri.push(char::from(*byte))
            }
            _ => uri.push_str(&format!("%{byte:02x}")),
        }
    }
    uri
}
