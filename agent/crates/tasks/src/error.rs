//! What can go wrong with the queue.

use std::path::PathBuf;

use crate::task::{State, TaskId};

/// The result of an operation on the queue.
pub type Result<T> = std::result::Result<T, Error>;

/// Why the queue did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no file to read.
    #[error("there is no queue of tasks at {}: the daemon makes it with the first task", .0.display())]
    Missing(PathBuf),
    /// The file is something else, or of another version.
    #[error("{} is no queue of tasks that this version can use: {detail}. Move it away to begin with an empty one", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// There is no such task, or it was pruned.
    #[error("there is no task {0}; finished ones are kept for a while only")]
    NotFound(TaskId),
    /// The task is not running.
    #[error("task {id} is {state} and not running")]
    NotRunning {
        /// The task.
        id: TaskId,
        /// What it is.
        state: State,
    },
    /// No room for one more.
    #[error(
        "{open} tasks{} are open, and there may be {limit}: wait until some have ended",
        whose(owner)
    )]
    Full {
        /// How many there are.
        open: usize,
        /// How many there may be.
        limit: usize,
        /// Whose they are, where the bound is that of one owner.
        owner: Option<String>,
    },
    /// The arguments of the task, or of all open ones together, are too large.
    #[error("{bytes} bytes of arguments are more than the queue takes ({limit})")]
    TooLarge {
        /// How many there would be.
        bytes: usize,
        /// How many there may be.
        limit: usize,
    },
    /// What is in the file cannot be read.
    #[error("task {id} in the queue cannot be read: {detail}")]
    Unreadable {
        /// The task.
        id: TaskId,
        /// Why.
        detail: String,
    },
    /// The file could not be made.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// SQLite's own words.
    #[error("the queue of tasks: {0}")]
    Database(#[from] rusqlite::Error),
}

fn whose(owner: &Option<String>) -> String {
    match owner {
        Some(owner) => format!(" of {owner}"),
        None => String::new(),
    }
}
