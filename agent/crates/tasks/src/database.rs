//! The file: how it is made and opened, and its rows.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Row, TransactionBehavior};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::task::{State, Task, TaskId};

/// How long to wait for another program's lock.
const PATIENCE: Duration = Duration::from_secs(10);
/// Arguments and results are for their owners only.
const MODE: u32 = 0o600;
/// No database is shorter: the smallest page, in bytes.
const SHORTEST: u64 = 512;
/// The version of the tables.
const VERSION: i64 = 1;

const TABLES: &str = "\
CREATE TABLE tasks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    agent TEXT NOT NULL,
    tool TEXT NOT NULL,
    arguments TEXT,
    shown TEXT NOT NULL,
    caller TEXT NOT NULL,
    owner TEXT NOT NULL,
    plan TEXT,
    priority INTEGER NOT NULL,
    deadline INTEGER,
    retries_left INTEGER NOT NULL,
    idempotent INTEGER NOT NULL,
    exclusive INTEGER NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    cancel_asked INTEGER NOT NULL DEFAULT 0,
    result TEXT,
    result_bytes INTEGER,
    error TEXT,
    accepted INTEGER NOT NULL,
    not_before INTEGER,
    started INTEGER,
    finished INTEGER
) STRICT;
CREATE INDEX tasks_by_state ON tasks(state, priority, id);
CREATE INDEX tasks_by_owner ON tasks(owner, id);
CREATE TABLE executions (
    task INTEGER NOT NULL REFERENCES tasks(id) ON DELETE CASCADE,
    attempt INTEGER NOT NULL,
    started INTEGER NOT NULL,
    ended INTEGER,
    outcome TEXT,
    error TEXT,
    PRIMARY KEY (task, attempt)
) STRICT, WITHOUT ROWID;
";

/// The columns that [`task`] reads.
pub(crate) const COLUMNS: &str = "id, agent, tool, shown, caller, owner, plan, priority, deadline, retries_left, \
    idempotent, exclusive, state, attempts, cancel_asked, result, result_bytes, error, accepted, not_before, \
    started, finished";

/// Opens the queue for writing, and makes it if there is none.
pub(crate) fn open(path: &Path) -> Result<Connection> {
    make_file(path).map_err(|source| Error::File {
        path: path.to_owned(),
        source,
    })?;
    let mut connection = connect(path)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let tables: i64 =
        transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 {
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()?;
    check(&connection, path)?;
    let said: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    match said.as_str() {
        "ok" => Ok(connection),
        damage => Err(Error::Foreign {
            path: path.to_owned(),
            detail: damage.to_owned(),
        }),
    }
}

/// Opens a queue that is there, to look at it.
pub(crate) fn open_existing(path: &Path) -> Result<Connection> {
    match path.try_exists() {
        Ok(true) => {}
        Ok(false) => return Err(Error::Missing(path.to_owned())),
        Err(source) => {
            return Err(Error::File {
                path: path.to_owned(),
                source,
            });
        }
    }
    let connection = connect(path)?;
    check(&connection, path)?;
    // Not a read-only connection, which could not put in order what a crash left.
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn connect(path: &Path) -> Result<Connection> {
    // SQLite takes so short a file for an empty database, and would write over it.
    let length = std::fs::metadata(path).map_or(0, |meta| meta.len());
    if (1..SHORTEST).contains(&length) {
        return Err(Error::Foreign {
            path: path.to_owned(),
            detail: "it is too short for a database".to_owned(),
        });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    let configure = || {
        // A write-ahead log would map a file, and a full disk would end the process when it is touched.
        connection.pragma_update_and_check(None, "journal_mode", "TRUNCATE", |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "secure_delete", true)
    };
    configure().map_err(|error| explain(path, error))?;
    Ok(connection)
}

fn check(connection: &Connection, path: &Path) -> Result<()> {
    let version: i64 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(|error| explain(path, error))?;
    match version {
        VERSION => Ok(()),
        other => Err(Error::Foreign {
            path: path.to_owned(),
            detail: format!("its version is {other} and not {VERSION}"),
        }),
    }
}

/// A file that is no database is told as such.
fn explain(path: &Path, error: rusqlite::Error) -> Error {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    match error.sqlite_error_code() {
        Some(NotADatabase | DatabaseCorrupt) => Error::Foreign {
            path: path.to_owned(),
            detail: error.to_string(),
        },
        _ => Error::Database(error),
    }
}

fn make_file(path: &Path) -> io::Result<()> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(MODE)
        .open(path);
    match made {
        // Whatever the umask is.
        Ok(file) => {
            file.set_permissions(Permissions::from_mode(MODE))?;
            File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// A row with [`COLUMNS`].
pub(crate) fn task(row: &Row<'_>) -> rusqlite::Result<Task> {
    Ok(Task {
        id: TaskId(row.get("id")?),
        agent: row.get("agent")?,
        tool: row.get("tool")?,
        arguments: json(row, "shown")?.unwrap_or_default(),
        caller: json(row, "caller")?.unwrap_or_default(),
        owner: row.get("owner")?,
        plan: row.get("plan")?,
        priority: row.get("priority")?,
        deadline: row.get("deadline")?,
        retries_left: row.get("retries_left")?,
        idempotent: row.get("idempotent")?,
        exclusive: row.get("exclusive")?,
        state: state(row, "state")?.unwrap_or(State::Failed),
        attempts: row.get("attempts")?,
        cancel_asked: row.get("cancel_asked")?,
        result: json(row, "result")?,
        result_bytes: row.get("result_bytes")?,
        error: json(row, "error")?,
        accepted: row.get("accepted")?,
        not_before: row.get("not_before")?,
        started: row.get("started")?,
        finished: row.get("finished")?,
    })
}

/// A column with JSON in it.
pub(crate) fn json(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Value>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| serde_json::from_str(&text).map_err(|error| bad(row, column, Box::new(error))))
        .transpose()
}

/// A column with a state in it.
pub(crate) fn state(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<State>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| {
        text.parse()
            .map_err(|error: String| bad(row, column, error.into()))
    })
    .transpose()
}

fn bad(
    row: &Row<'_>,
    column: &str,
    error: Box<dyn std::error::Error + Send + Sync>,
) -> rusqlite::Error {
    let index = row.as_ref().column_index(column).unwrap_or_default();
    rusqlite::Error::FromSqlConversionFailure(index, rusqlite::types::Type::Text, error)
}
