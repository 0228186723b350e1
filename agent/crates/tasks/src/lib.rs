//! A queue of tasks that a crash does not lose, in one SQLite file.
//!
//! A [`Queue`] gives out a task's id once the task is on disk, and says `running` on disk before anybody works on
//! it. So after a crash each task is where it was: one that waited waits, and one that ran is run again only if
//! it was said to be idempotent. What a task does is for others to know; the queue keeps a name and its
//! arguments.
//!
//! A queue that was brought back from a copy ([`Queue::at_home`]) runs nothing of what was open in it: it may have been done
//! since.

mod database;
mod error;
mod filter;
mod home;
mod queue;
mod recovery;
mod task;

pub use error::{Error, Result};
pub use filter::Filter;
pub use queue::{Cancelled, Lane, Limits, Queue, Taken};
pub use recovery::Recovered;
pub use task::{Execution, Millis, NewTask, Outcome, State, Task, TaskId};
