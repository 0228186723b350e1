//! Appending, with group commit: writers that come while one is being synced share the next sync.

use std::sync::{Condvar, Mutex, PoisonError};

use rusqlite::{TransactionBehavior, params};

use crate::entry::{Entry, Hashed, NewEntry, canonical};
use crate::error::Error;
use crate::store::{Ledger, head, now};

/// An entry that waits to be written, its metadata canonical.
struct Waiting {
    ticket: u64,
    entries: Vec<(NewEntry, String)>,
}

/// Writers line up here; the first one writes for all.
#[derive(Default)]
pub(crate) struct Queue {
    line: Mutex<Line>,
    served: Condvar,
}

#[derive(Default)]
struct Line {
    next: u64,
    waiting: Vec<Waiting>,
    /// Somebody is writing.
    busy: bool,
    done: Vec<(u64, Result<Vec<Entry>, Error>)>,
}

impl Ledger {
    /// Records one entry; once this returns it is on disk.
    pub fn append(&self, entry: &NewEntry) -> Result<Entry, Error> {
        let mut entries = self.append_all(std::slice::from_ref(entry))?;
        entries.pop().ok_or_else(|| self.corrupt("an entry was lost on the way"))
    }

    /// Records entries, all or none; once this returns they are on disk.
    pub fn append_all(&self, entries: &[NewEntry]) -> Result<Vec<Entry>, Error> {
        let entries = entries
            .iter()
            .map(|entry| Ok((entry.clone(), canonical(&entry.metadata)?)))
            .collect::<Result<Vec<_>, Error>>()?;
        let mut line = self.queue.line.lock().unwrap_or_else(PoisonError::into_inner);
        let ticket = line.next;
        line.next += 1;
        line.waiting.push(Waiting { ticket, entries });
        loop {
            if let Some(place) = line.done.iter().position(|(done, _)| *done == ticket) {
                return line.done.swap_remove(place).1;
            }
            if line.busy {
                line = self.queue.served.wait(line).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            line.busy = true;
            let group = std::mem::take(&mut line.waiting);
            drop(line);
            let results = self.write(group);
            line = self.queue.line.lock().unwrap_or_else(PoisonError::into_inner);
            line.busy = false;
            line.done.extend(results);
            self.queue.served.notify_all();
        }
    }

    /// Writes a group in one transaction. If that fails each of it is tried alone, so that nobody fails for
    /// another's fault.
    fn write(&self, group: Vec<Waiting>) -> Vec<(u64, Result<Vec<Entry>, Error>)> {
        match self.transaction(&group) {
            Ok(written) => group.iter().map(|one| one.ticket).zip(written.into_iter().map(Ok)).collect(),
            Err(error) if group.len() == 1 => vec![(group[0].ticket, Err(error))],
            Err(_) => group
                .into_iter()
                .map(|one| {
                    let ticket = one.ticket;
                    let written = self.transaction(&[one]);
                    (ticket, written.map(|mut lists| lists.pop().unwrap_or_default()))
                })
                .collect(),
        }
    }

    fn transaction(&self, group: &[Waiting]) -> Result<Vec<Vec<Entry>>, Error> {
        let written = self.with(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let Some(mut last) = head(&transaction)? else {
                return Ok(None);
            };
            let mut buffer = Vec::new();
            let mut lists = Vec::with_capacity(group.len());
            {
                let mut insert = transaction.prepare_cached(
                    "INSERT INTO operations (id, timestamp, operation, target, previous_hash, current_hash, metadata)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?;
                for one in group {
                    let mut list = Vec::with_capacity(one.entries.len());
                    for (new, metadata) in &one.entries {
                        let hashed = Hashed {
                            id: last.id + 1,
                            timestamp: now(),
                            operation: &new.operation,
                            target: &new.target,
                            metadata,
                            previous_hash: &last.hash,
                        };
                        let hash = String::from_utf8_lossy(&hashed.hash(&mut buffer)).into_owned();
                        insert.execute(params![
                            hashed.id,
                            hashed.timestamp,
                            new.operation,
                            new.target,
                            last.hash,
                            hash,
                            metadata
                        ])?;
                        list.push(Entry {
                            id: hashed.id,
                            timestamp: hashed.timestamp,
                            operation: new.operation.clone(),
                            target: new.target.clone(),
                            previous_hash: Some(last.hash.clone()),
                            current_hash: hash.clone(),
                            metadata: new.metadata.clone(),
                        });
                        last.id = hashed.id;
                        last.hash = hash;
                    }
                    lists.push(list);
                }
            }
            transaction.commit()?;
            Ok(Some(lists))
        })?;
        written.ok_or_else(|| self.corrupt("it has no entry, not even the first"))
    }
}
