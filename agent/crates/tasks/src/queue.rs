//! The queue: accept, take, finish, cancel, expire, prune.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use serde_json::{Value, json};

use crate::database::{self, COLUMNS};
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::recovery::{self, Recovered};
use crate::task::{Execution, Millis, NewTask, Outcome, State, Task, TaskId};

/// The pause before the second attempt; it doubles with each further one.
const FIRST_PAUSE: Millis = 1_000;
const LONGEST_PAUSE: Millis = 300_000;

/// What the queue holds at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Tasks that have not ended.
    pub open: usize,
    /// Those of one owner.
    pub open_of_one: usize,
    /// Bytes of arguments of all that have not ended.
    pub arguments: usize,
    /// Bytes of a result; a larger one is not kept.
    pub result: usize,
    /// Tasks of one owner that have ended; those that ended last are kept.
    pub finished: usize,
    /// How long those are kept, in milliseconds.
    pub age: Millis,
}

impl Default for Limits {
    /// 1024 open tasks, 128 of one owner, 64 MiB of arguments, results of 256 KiB, 1000 ended tasks of one
    /// owner, a week.
    fn default() -> Self {
        Self {
            open: 1024,
            open_of_one: 128,
            arguments: 64 << 20,
            result: 256 << 10,
            finished: 1000,
            age: 7 * 24 * 3600 * 1000,
        }
    }
}

/// Which tasks somebody has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Those that may run beside each other.
    Shared,
    /// Those of which one runs at a time.
    Exclusive,
}

/// A task to be worked on now.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    /// The task, which is `running` on disk.
    pub task: Task,
    /// Its arguments, whole.
    pub arguments: Value,
}

/// What came of taking a task back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// It waited, and is not begun any more.
    AtOnce,
    /// It runs: whoever works on it has to be told.
    Asked,
    /// It had ended already, so.
    TooLate(State),
}

/// A queue in a file. All threads of a process share one.
#[derive(Debug)]
pub struct Queue {
    connection: Mutex<Connection>,
    limits: Limits,
}

impl Queue {
    /// Opens the queue, and makes it if there is none. One process at a time works on a queue; [`Queue::recover`]
    /// comes before the first task is taken.
    pub fn open(path: &Path, limits: Limits) -> Result<Self> {
        Ok(Self {
            connection: Mutex::new(database::open(path)?),
            limits,
        })
    }

    /// Opens a queue that is there to look at it, which may be done beside the process that works on it.
    pub fn open_to_read(path: &Path) -> Result<Self> {
        Ok(Self {
            connection: Mutex::new(database::open_existing(path)?),
            limits: Limits::default(),
        })
    }

    pub(crate) fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }

    /// Takes a task in. When this returns its number, the task is on disk.
    pub fn accept(&self, new: &NewTask, now: Millis) -> Result<TaskId> {
        let arguments = new.arguments.to_string();
        let id = self.write(|transaction| {
            self.make_room(transaction, &new.owner, arguments.len())?;
            transaction.execute(
                "INSERT INTO tasks (agent, tool, arguments, shown, caller, owner, plan, priority, deadline, \
                 retries_left, idempotent, exclusive, state, accepted) \
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'queued', ?)",
                params![
                    new.agent,
                    new.tool,
                    arguments,
                    new.shown.to_string(),
                    new.caller.to_string(),
                    new.owner,
                    new.plan,
                    new.priority,
                    new.deadline,
                    new.retries,
                    new.idempotent,
                    new.exclusive,
                    now
                ],
            )?;
            Ok(TaskId(transaction.last_insert_rowid()))
        })?;
        Ok(id)
    }

    fn make_room(&self, transaction: &Transaction<'_>, owner: &str, bytes: usize) -> Result<()> {
        let (open, of_owner, held): (u32, u32, i64) = transaction.query_row(
            "SELECT count(*), coalesce(sum(owner = ?), 0), coalesce(sum(length(CAST(arguments AS BLOB))), 0) \
             FROM tasks WHERE state IN ('queued', 'running')",
            [owner],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        let (open, of_owner) = (open as usize, of_owner as usize);
        let held = usize::try_from(held).unwrap_or_default();
        if of_owner >= self.limits.open_of_one {
            return Err(Error::Full {
                open: of_owner,
                limit: self.limits.open_of_one,
                owner: Some(owner.to_owned()),
            });
        }
        if open >= self.limits.open {
            return Err(Error::Full {
                open,
                limit: self.limits.open,
                owner: None,
            });
        }
        match held.saturating_add(bytes) {
            bytes if bytes > self.limits.arguments => Err(Error::TooLarge {
                bytes,
                limit: self.limits.arguments,
            }),
            _ => Ok(()),
        }
    }

    /// Gives out the task whose turn it is: the highest priority first, then the oldest. It is `running` on disk
    /// when this returns.
    pub fn take(&self, lane: Lane, now: Millis) -> Result<Option<Taken>> {
        self.write(|transaction| {
            let found = transaction
                .query_row(
                    &format!(
                        "SELECT {COLUMNS}, arguments FROM tasks WHERE state = 'queued' AND exclusive = ?1 \
                         AND coalesce(not_before, ?2) <= ?2 AND coalesce(deadline, ?2 + 1) > ?2 \
                         ORDER BY priority DESC, id LIMIT 1"
                    ),
                    params![lane == Lane::Exclusive, now],
                    |row| Ok((database::task(row)?, database::json(row, "arguments")?)),
                )
                .optional()?;
            let Some((mut task, arguments)) = found else {
                return Ok(None);
            };
            task.state = State::Running;
            task.attempts += 1;
            task.started = Some(now);
            task.not_before = None;
            transaction.execute(
                "UPDATE tasks SET state = 'running', attempts = ?, started = ?, not_before = NULL WHERE id = ?",
                params![task.attempts, now, task.id.0],
            )?;
            transaction.execute(
                "INSERT INTO executions (task, attempt, started) VALUES (?, ?, ?)",
                params![task.id.0, task.attempts, now],
            )?;
            Ok(Some(Taken {
                task,
                arguments: arguments.unwrap_or_default(),
            }))
        })
    }

    /// Says how the running attempt at a task ended; gives the task as it is then. A failure that may pass is
    /// `queued` again as long as there are retries, if the task is idempotent or nothing was done.
    pub fn finish(&self, id: TaskId, outcome: &Outcome, now: Millis) -> Result<Task> {
        self.write(|transaction| {
            let task = running(transaction, id)?;
            match outcome {
                Outcome::Done(result) => {
                    close_execution(transaction, &task, State::Done, None, now)?;
                    self.keep_result(transaction, id, result)?;
                    end(transaction, id, State::Done, None, now)?;
                }
                Outcome::Failed {
                    error,
                    transient,
                    did_nothing,
                } => {
                    close_execution(transaction, &task, State::Failed, Some(error), now)?;
                    let may = *transient && (task.idempotent || *did_nothing);
                    match may.then(|| next_attempt(&task, now)).flatten() {
                        Some(at) => again(transaction, id, Some(at), Some(error))?,
                        None => end(transaction, id, State::Failed, Some(error), now)?,
                    }
                }
                Outcome::Cancelled(error) => {
                    close_execution(transaction, &task, State::Cancelled, Some(error), now)?;
                    end(transaction, id, State::Cancelled, Some(error), now)?;
                }
                Outcome::Stopped { did_nothing } => {
                    let why = "the daemon ended while it ran";
                    recovery::settle(transaction, &task, *did_nothing, why, now)?;
                }
            }
            fetch(transaction, id)
        })
    }

    fn keep_result(&self, transaction: &Transaction<'_>, id: TaskId, result: &Value) -> Result<()> {
        let text = result.to_string();
        let (kept, bytes) = match text.len() > self.limits.result {
            true => (None, Some(u32::try_from(text.len()).unwrap_or(u32::MAX))),
            false => (Some(text), None),
        };
        transaction.execute(
            "UPDATE tasks SET result = ?, result_bytes = ? WHERE id = ?",
            params![kept, bytes, id.0],
        )?;
        Ok(())
    }

    /// Takes a task back.
    pub fn cancel(&self, id: TaskId, reason: &Value, now: Millis) -> Result<Cancelled> {
        self.write(|transaction| match fetch(transaction, id)?.state {
            State::Queued => {
                end(transaction, id, State::Cancelled, Some(reason), now)?;
                Ok(Cancelled::AtOnce)
            }
            State::Running => {
                transaction.execute("UPDATE tasks SET cancel_asked = 1 WHERE id = ?", [id.0])?;
                Ok(Cancelled::Asked)
            }
            ended => Ok(Cancelled::TooLate(ended)),
        })
    }

    /// Ends the tasks whose deadline came before their turn; gives them.
    pub fn expire(&self, now: Millis) -> Result<Vec<Task>> {
        let due = {
            let connection = self.connection();
            let mut select = connection
                .prepare_cached("SELECT id FROM tasks WHERE state = 'queued' AND deadline <= ?")?;
            let ids = select.query_map([now], |row| row.get(0).map(TaskId))?;
            ids.collect::<rusqlite::Result<Vec<_>>>()?
        };
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let error = json!({ "code": "timed-out", "message": "its deadline came before its turn" });
        self.write(|transaction| {
            let mut expired = Vec::new();
            for id in due {
                if fetch(transaction, id)?.state == State::Queued {
                    end(transaction, id, State::Expired, Some(&error), now)?;
                    expired.push(fetch(transaction, id)?);
                }
            }
            Ok(expired)
        })
    }

    /// When something falls due without anybody's doing: a deadline, or the end of a pause.
    pub fn next_due(&self, now: Millis) -> Result<Option<Millis>> {
        let due = "SELECT min(at) FROM (\
            SELECT deadline AS at FROM tasks WHERE state = 'queued' AND deadline IS NOT NULL \
            UNION ALL SELECT not_before FROM tasks WHERE state = 'queued' AND not_before > ?1)";
        Ok(self.connection().query_row(due, [now], |row| row.get(0))?)
    }

    /// Puts in order what a crash left: see [`Recovered`].
    pub fn recover(&self, now: Millis) -> Result<Recovered> {
        self.write(|transaction| recovery::all(transaction, now))
    }

    /// Forgets tasks that ended long ago, or of which their owner has too many; says how many.
    pub fn prune(&self, now: Millis) -> Result<usize> {
        let keep = i64::try_from(self.limits.finished).unwrap_or(i64::MAX);
        self.write(|transaction| {
            Ok(transaction.execute(
                "DELETE FROM tasks WHERE id IN (SELECT id FROM (SELECT id, finished, row_number() OVER \
                 (PARTITION BY owner ORDER BY finished DESC, id DESC) AS nth \
                 FROM tasks WHERE state NOT IN ('queued', 'running')) WHERE finished < ?1 OR nth > ?2)",
                params![now.saturating_sub(self.limits.age), keep],
            )?)
        })
    }

    /// One task.
    pub fn get(&self, id: TaskId) -> Result<Task> {
        fetch(&self.connection(), id)
    }

    /// The tasks that a filter lets through, the newest first.
    pub fn list(&self, filter: &Filter) -> Result<Vec<Task>> {
        let (condition, values) = filter.sql();
        let connection = self.connection();
        let mut select = connection.prepare(&format!("SELECT {COLUMNS} FROM tasks {condition}"))?;
        let tasks = select.query_map(rusqlite::params_from_iter(values), database::task)?;
        Ok(tasks.collect::<rusqlite::Result<_>>()?)
    }

    /// The attempts at a task, the first one first.
    pub fn executions(&self, id: TaskId) -> Result<Vec<Execution>> {
        let connection = self.connection();
        let mut select = connection.prepare(
            "SELECT attempt, started, ended, outcome, error FROM executions WHERE task = ? ORDER BY attempt",
        )?;
        let executions = select.query_map([id.0], |row| {
            Ok(Execution {
                attempt: row.get("attempt")?,
                started: row.get("started")?,
                ended: row.get("ended")?,
                outcome: database::state(row, "outcome")?,
                error: database::json(row, "error")?,
            })
        })?;
        Ok(executions.collect::<rusqlite::Result<_>>()?)
    }
}

/// When the next attempt may begin, if there is one left and time for it.
fn next_attempt(task: &Task, now: Millis) -> Option<Millis> {
    if task.retries_left == 0 || task.cancel_asked {
        return None;
    }
    let doubled = FIRST_PAUSE << task.attempts.saturating_sub(1).min(16);
    let at = now + doubled.min(LONGEST_PAUSE);
    task.deadline
        .is_none_or(|deadline| at < deadline)
        .then_some(at)
}

fn fetch(connection: &Connection, id: TaskId) -> Result<Task> {
    let sql = format!("SELECT {COLUMNS} FROM tasks WHERE id = ?");
    let found = connection.query_row(&sql, [id.0], database::task);
    match found.optional() {
        Ok(Some(task)) => Ok(task),
        Ok(None) => Err(Error::NotFound(id)),
        Err(rusqlite::Error::FromSqlConversionFailure(_, _, error)) => Err(Error::Unreadable {
            id,
            detail: error.to_string(),
        }),
        Err(error) => Err(error.into()),
    }
}

fn running(transaction: &Transaction<'_>, id: TaskId) -> Result<Task> {
    let task = fetch(transaction, id)?;
    match task.state {
        State::Running => Ok(task),
        state => Err(Error::NotRunning { id, state }),
    }
}

/// Ends a task. Nobody needs its arguments any more.
pub(crate) fn end(
    transaction: &Transaction<'_>,
    id: TaskId,
    state: State,
    error: Option<&Value>,
    now: Millis,
) -> Result<()> {
    transaction.execute(
        "UPDATE tasks SET state = ?, error = ?, finished = ?, not_before = NULL, arguments = NULL WHERE id = ?",
        params![state.word(), error.map(Value::to_string), now, id.0],
    )?;
    Ok(())
}

/// Puts a task back into the queue.
pub(crate) fn again(
    transaction: &Transaction<'_>,
    id: TaskId,
    not_before: Option<Millis>,
    error: Option<&Value>,
) -> Result<()> {
    transaction.execute(
        "UPDATE tasks SET state = 'queued', not_before = ?, error = ?, retries_left = max(retries_left - 1, 0) \
         WHERE id = ?",
        params![not_before, error.map(Value::to_string), id.0],
    )?;
    Ok(())
}

/// Says how an attempt ended.
pub(crate) fn close_execution(
    transaction: &Transaction<'_>,
    task: &Task,
    outcome: State,
    error: Option<&Value>,
    now: Millis,
) -> Result<()> {
    transaction.execute(
        "UPDATE executions SET ended = ?, outcome = ?, error = ? WHERE task = ? AND attempt = ?",
        params![
            now,
            outcome.word(),
            error.map(Value::to_string),
            task.id.0,
            task.attempts
        ],
    )?;
    Ok(())
}
