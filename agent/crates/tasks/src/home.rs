//! A queue that was brought back: what waited or ran when it was copied may have been done since.

use rusqlite::{OptionalExtension, Transaction, params};
use serde_json::json;

use crate::error::Result;
use crate::queue::{Queue, close_execution, end};
use crate::recovery;
use crate::task::{Millis, State, TaskId};

/// Beside the tables of version 1, which know nothing of it.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS home (place TEXT NOT NULL) STRICT";
const WHY: &str = "the tasks were brought back from a copy: nobody knows whether this one was done since, and it is not \
                   run again. Look what there is, then submit it anew";

impl Queue {
    /// Says which file this queue is, in words that a copy of it does not share. Where they are other ones than the
    /// last time, it was brought back: what had not ended is interrupted then, and its ids are given.
    ///
    /// To be called before [`Queue::recover`].
    pub fn at_home(&self, place: &str, now: Millis) -> Result<Vec<TaskId>> {
        self.write(|transaction| {
            transaction.execute_batch(TABLE)?;
            let known: Option<String> = transaction
                .query_row("SELECT place FROM home", [], |row| row.get(0))
                .optional()?;
            let interrupted = match &known {
                Some(known) if known == place => return Ok(Vec::new()),
                Some(_) => interrupt(transaction, now)?,
                // From before there was this word.
                None => Vec::new(),
            };
            transaction.execute("DELETE FROM home", [])?;
            transaction.execute("INSERT INTO home (place) VALUES (?)", [place])?;
            Ok(interrupted)
        })
    }

    /// The highest id that was given out; 0 before there was one.
    pub fn last_id(&self) -> Result<TaskId> {
        let last = "SELECT seq FROM sqlite_sequence WHERE name = 'tasks'";
        let last = self
            .connection()
            .query_row(last, [], |row| row.get(0))
            .optional()?;
        Ok(TaskId(last.unwrap_or_default()))
    }

    /// Gives out no id up to this one any more.
    pub fn continue_after(&self, id: TaskId) -> Result<()> {
        self.write(|transaction| {
            let raise = "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'tasks'";
            if transaction.execute(raise, [id.0])? == 0 {
                let begin = "INSERT INTO sqlite_sequence (name, seq) VALUES ('tasks', ?)";
                transaction.execute(begin, params![id.0])?;
            }
            Ok(())
        })
    }
}

fn interrupt(transaction: &Transaction<'_>, now: Millis) -> Result<Vec<TaskId>> {
    let error = json!({ "code": "interrupted", "message": WHY });
    let mut interrupted = Vec::new();
    for task in recovery::in_state(transaction, &[State::Queued, State::Running])? {
        if task.state == State::Running {
            close_execution(transaction, &task, State::Interrupted, Some(&error), now)?;
        }
        end(transaction, task.id, State::Interrupted, Some(&error), now)?;
        interrupted.push(task.id);
    }
    Ok(interrupted)
}
