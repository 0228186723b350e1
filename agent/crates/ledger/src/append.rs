//! Appending: threads that append at the same time share a commit, and so one wait for the disk.

use std::sync::{Arc, Mutex};
use std::thread::{self, Thread};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use serde_json::Value;

use crate::database::Database;
use crate::entry::{Entry, Head, NewEntry};
use crate::error::{Error, Result};
use crate::hash::Hash;
use crate::ledger::{Ledger, lock, read_head};
use crate::metadata;
use crate::record::Record;
use crate::schema;

/// Largest entry, all its columns together, in bytes.
const LARGEST: usize = 16 << 20;

/// The connection that writes, and who waits for it.
#[derive(Debug)]
pub(crate) struct Writer {
    connection: Mutex<Connection>,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<Arc<Job>>,
    /// One of the callers is writing for a group of them.
    led: bool,
}

/// Entries of one caller, and what became of them.
#[derive(Debug)]
struct Job {
    entries: Vec<Checked>,
    caller: Thread,
    done: Mutex<Option<Result<Vec<Entry>>>>,
}

/// An entry that can be stored: as it will read back, and its metadata as it will be written.
#[derive(Debug)]
struct Checked {
    entry: NewEntry,
    metadata: String,
}

impl Ledger {
    /// Records one entry; it is on the disk when this returns.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if the entry cannot be stored, [`Error::DiskFull`], [`Error::Locked`],
    /// [`Error::ReadOnly`] and others; nothing was recorded then.
    pub fn append(&self, entry: &NewEntry) -> Result<Entry> {
        let mut recorded = self.append_all(std::slice::from_ref(entry))?;
        recorded
            .pop()
            .ok_or_else(|| self.database.failed("an entry was lost"))
    }

    /// Records several entries in their order, side by side, all or none.
    ///
    /// # Errors
    ///
    /// Those of [`Ledger::append`].
    pub fn append_all(&self, entries: &[NewEntry]) -> Result<Vec<Entry>> {
        let Some(writer) = &self.writer else {
            return Err(Error::ReadOnly {
                path: self.path().to_owned(),
            });
        };
        let entries = entries
            .iter()
            .map(Checked::new)
            .collect::<Result<Vec<_>>>()?;
        match entries.is_empty() {
            true => Ok(Vec::new()),
            false => writer.append(&self.database, entries),
        }
    }
}

impl Writer {
    pub(crate) fn new(connection: Connection) -> Self {
        Self {
            connection: Mutex::new(connection),
            queue: Mutex::default(),
        }
    }

    /// Lets the write-ahead log stand when the connection is closed, for the next one to read.
    pub(crate) fn leave_the_log(&self) {
        let option = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
        // Without it, closing tries to write and fails: no harm to what is stored.
        let _ = lock(&self.connection).set_db_config(option, true);
    }

    /// The first caller to come writes for all that wait by then; who comes meanwhile waits for the
    /// next time, so that a single caller never waits for anybody.
    fn append(&self, database: &Database, entries: Vec<Checked>) -> Result<Vec<Entry>> {
        let own = Arc::new(Job {
            entries,
            caller: thread::current(),
            done: Mutex::default(),
        });
        lock(&self.queue).waiting.push(Arc::clone(&own));
        loop {
            if let Some(done) = lock(&own.done).take() {
                return done;
            }
            match self.lead() {
                Some(lead) => lead.write(database),
                None => thread::park(),
            }
        }
    }

    /// Leads the group of all that wait, unless somebody leads already.
    fn lead(&self) -> Option<Lead<'_>> {
        let mut queue = lock(&self.queue);
        if queue.led {
            return None;
        }
        queue.led = true;
        Some(Lead {
            writer: self,
            group: std::mem::take(&mut queue.waiting),
        })
    }
}

/// The group that one caller writes for.
struct Lead<'a> {
    writer: &'a Writer,
    group: Vec<Arc<Job>>,
}

impl Lead<'_> {
    fn write(self, database: &Database) {
        let mut connection = lock(&self.writer.connection);
        match write(database, &mut connection, &self.group) {
            Ok(recorded) => self
                .group
                .iter()
                .zip(recorded)
                .for_each(|(job, own)| job.finish(Ok(own))),
            Err(error) => self
                .group
                .iter()
                .for_each(|job| job.finish(Err(error.clone()))),
        }
    }
}

impl Drop for Lead<'_> {
    /// Lets the next one lead.
    fn drop(&mut self) {
        let mut queue = lock(&self.writer.queue);
        queue.led = false;
        if let Some(next) = queue.waiting.first() {
            next.caller.unpark();
        }
    }
}

impl Job {
    fn finish(&self, result: Result<Vec<Entry>>) {
        *lock(&self.done) = Some(result);
        self.caller.unpark();
    }
}

/// Records the entries of all jobs in one transaction.
fn write(
    database: &Database,
    connection: &mut Connection,
    jobs: &[Arc<Job>],
) -> Result<Vec<Vec<Entry>>> {
    let explain = |error| database.explain(error);
    database.still_there()?;
    database.room_to_write()?;
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(explain)?;
    let mut head = read_head(database, &transaction)?;
    let mut recorded = Vec::with_capacity(jobs.len());
    for job in jobs {
        let mut entries = Vec::with_capacity(job.entries.len());
        for checked in &job.entries {
            let entry = insert(database, &transaction, head, checked)?;
            head = Head {
                id: entry.id,
                hash: entry.current_hash,
            };
            entries.push(entry);
        }
        recorded.push(entries);
    }
    transaction.commit().map_err(explain)?;
    Ok(recorded)
}

fn insert(
    database: &Database,
    transaction: &Transaction<'_>,
    head: Head,
    new: &Checked,
) -> Result<Entry> {
    let explain = |error| database.explain(error);
    let sealed;
    let new = match head.id {
        0 => {
            sealed = new.sealing(&genesis_hash(transaction).map_err(explain)?)?;
            &sealed
        }
        _ => new,
    };
    let id = head.id + 1;
    let timestamp = schema::now();
    let record = Record {
        id,
        timestamp,
        operation: new.entry.operation.as_bytes(),
        target: new.entry.target.as_bytes(),
        metadata: new.metadata.as_bytes(),
        previous_hash: Some(&head.hash.hex()),
    };
    let current_hash = record.hash(&mut Vec::with_capacity(512));
    let mut insert = transaction
        .prepare_cached("INSERT INTO operations VALUES (?, ?, ?, ?, ?, ?, NULL, ?)")
        .map_err(explain)?;
    let row = params![
        id,
        timestamp,
        new.entry.operation,
        new.entry.target,
        head.hash.to_string(),
        current_hash.to_string(),
        new.metadata,
    ];
    insert.execute(row).map_err(explain)?;
    Ok(Entry {
        id,
        timestamp,
        operation: new.entry.operation.clone(),
        target: new.entry.target.clone(),
        previous_hash: Some(head.hash),
        current_hash,
        metadata: new.entry.metadata.clone(),
    })
}

/// What the hash of the genesis row would be if it were not fixed.
pub(crate) fn genesis_hash(transaction: &Connection) -> rusqlite::Result<Hash> {
    let select = "SELECT timestamp, operation, target, metadata FROM operations WHERE id = 0";
    transaction.query_row(select, [], |row| {
        let record = Record {
            id: 0,
            timestamp: row.get(0)?,
            operation: row.get_ref(1)?.as_bytes()?,
            target: row.get_ref(2)?.as_bytes()?,
            metadata: row.get_ref(3)?.as_bytes()?,
            previous_hash: None,
        };
        Ok(record.hash(&mut Vec::new()))
    })
}

impl Checked {
    fn new(entry: &NewEntry) -> Result<Self> {
        let refused = |detail| Error::Refused {
            operation: entry.operation.clone(),
            detail,
        };
        let unfit = |error| refused(format!("its metadata does not fit: {error}"));
        let metadata = metadata::canonical(&entry.metadata).map_err(unfit)?;
        let length = metadata.len() + entry.operation.len() + entry.target.len();
        if length > LARGEST {
            return Err(refused(format!(
                "it is {length} bytes long, more than {LARGEST}"
            )));
        }
        let entry = NewEntry {
            operation: entry.operation.clone(),
            target: entry.target.clone(),
            metadata: metadata::read(&metadata).map_err(unfit)?,
        };
        Ok(Self { entry, metadata })
    }

    /// The same with the hash of the genesis row in its metadata, as the first entry carries it.
    fn sealing(&self, genesis: &Hash) -> Result<Self> {
        let mut entry = self.entry.clone();
        entry.metadata["genesis_hash"] = Value::from(genesis.to_string());
        Self::new(&entry)
    }
}
