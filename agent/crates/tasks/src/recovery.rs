//! What becomes of tasks that ran when the program ended.

use rusqlite::Transaction;
use serde_json::{Value, json};

use crate::database::{self, COLUMNS};
use crate::error::Result;
use crate::queue::{again, close_execution, end};
use crate::task::{Millis, State, Task, TaskId};

/// An idempotent task is begun at least so often before it is blamed for the end of the program.
const ATTEMPTS: u32 = 3;

/// What was found running, and what became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Idempotent ones, which are run again.
    pub queued: Vec<TaskId>,
    /// Those that may have been done in part, and are not run again.
    pub interrupted: Vec<TaskId>,
    /// Idempotent ones that were to be taken back, or during which the program ended again and again.
    pub ended: Vec<TaskId>,
}

/// Settles all tasks that ran.
pub(crate) fn all(transaction: &Transaction<'_>, now: Millis) -> Result<Recovered> {
    let running = in_state(transaction, &[State::Running])?;
    let mut recovered = Recovered::default();
    for task in running {
        let list = match settle(
            transaction,
            &task,
            false,
            "the daemon died while it ran",
            now,
        )? {
            State::Queued => &mut recovered.queued,
            State::Interrupted => &mut recovered.interrupted,
            _ => &mut recovered.ended,
        };
        list.push(task.id);
    }
    Ok(recovered)
}

/// The tasks in one of these states, the oldest first.
pub(crate) fn in_state(transaction: &Transaction<'_>, states: &[State]) -> Result<Vec<Task>> {
    let words: Vec<_> = states
        .iter()
        .map(|state| format!("'{}'", state.word()))
        .collect();
    let words = words.join(", ");
    let sql = format!("SELECT {COLUMNS} FROM tasks WHERE state IN ({words}) ORDER BY id");
    let mut select = transaction.prepare(&sql)?;
    let tasks = select.query_map([], database::task)?;
    Ok(tasks.collect::<rusqlite::Result<_>>()?)
}

/// Decides about one task that ran; what it is then.
pub(crate) fn settle(
    transaction: &Transaction<'_>,
    task: &Task,
    did_nothing: bool,
    why: &str,
    now: Millis,
) -> Result<State> {
    let error = |text: String| -> Value { json!({ "code": "interrupted", "message": text }) };
    let interrupted = error(why.to_owned());
    close_execution(
        transaction,
        task,
        State::Interrupted,
        Some(&interrupted),
        now,
    )?;
    if !task.idempotent && !did_nothing {
        let error = error(format!(
            "{why}: nobody knows how far it got, and it is not run again. Look what there is, then submit it anew"
        ));
        end(transaction, task.id, State::Interrupted, Some(&error), now)?;
        return Ok(State::Interrupted);
    }
    if task.cancel_asked {
        let error = json!({ "code": "cancelled", "message": "it was taken back" });
        end(transaction, task.id, State::Cancelled, Some(&error), now)?;
        return Ok(State::Cancelled);
    }
    if task.attempts >= ATTEMPTS && task.retries_left == 0 {
        let error = error(format!("{why}, and that {} times", task.attempts));
        end(transaction, task.id, State::Failed, Some(&error), now)?;
        return Ok(State::Failed);
    }
    again(transaction, task.id, None, Some(&interrupted))?;
    Ok(State::Queued)
}
