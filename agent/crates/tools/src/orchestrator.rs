//! What tools ask of the one who distributes tasks; the daemon has it, a single command does not.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use tasks::{Task, TaskId};

use crate::caller::{Caller, Role, token_of};
use crate::error::ToolError;

/// The bounds of a priority, both included.
pub const PRIORITIES: std::ops::RangeInclusive<i8> = -10..=10;

/// A task that somebody submits.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// The agent, such as `systemd`; the one that has the operation if not given.
    #[serde(default)]
    pub agent: Option<String>,
    /// What is to be done: the name of one of the agent's tools, or its short name if the agent is named.
    #[schemars(length(min = 1, max = 64))]
    pub operation: String,
    /// The tool's arguments.
    #[serde(default)]
    // The entry of the submission would have them without the tool's own marks; that of the run has them with it.
    #[schemars(extend("writeOnly" = true))]
    pub arguments: Map<String, Value>,
    /// The hash of the plan that was shown: what destroys needs it, and what writes is bound by it.
    #[serde(default)]
    #[schemars(length(max = 128))]
    pub plan: Option<String>,
    /// The higher the sooner, -10 to 10; 0 if not given. More than 0 takes the role operator.
    #[serde(default)]
    #[schemars(range(min = -10, max = 10))]
    pub priority: i8,
    /// It has to begin, and to end, within so many seconds.
    #[serde(default)]
    #[schemars(range(min = 1, max = 604_800))]
    pub deadline_s: Option<u32>,
    /// How often it may be tried again after a failure that may pass, 0 to 10: if it is idempotent, or if it is
    /// known that nothing was done.
    #[serde(default)]
    #[schemars(range(max = 10))]
    pub retries: u8,
    /// Doing it twice is as good as doing it once, so that it may be run again after a crash. What only reads is
    /// always idempotent.
    #[serde(default)]
    pub idempotent: bool,
}

/// Who distributes tasks to agents.
pub trait Orchestrator: Send + Sync {
    /// Takes a task in: it is on disk when this returns.
    fn submit(&self, caller: &Caller, submission: Submission) -> Result<Task, ToolError>;

    /// Takes a task back; gives it as it is then. Only its owner and an admin may.
    fn cancel(&self, caller: &Caller, id: TaskId) -> Result<Task, ToolError>;
}

/// Whose tasks a caller's are. All tokens come by way of one user, and each is an owner of its own.
pub fn owner(caller: &Caller) -> String {
    let uid = caller.uid.to_string();
    let token = token_of(&caller.name).map(|_| caller.name.clone());
    let parts = [Some(uid), token, caller.on_behalf_of.clone()];
    parts.into_iter().flatten().collect::<Vec<_>>().join(":")
}

/// Whether a caller may see a task and take it back.
pub fn may_see(caller: &Caller, task: &Task) -> bool {
    caller.role == Some(Role::Admin) || caller.role.is_some() && owner(caller) == task.owner
}

/// What the queue says, in the words of a tool.
pub fn of_queue(error: tasks::Error) -> ToolError {
    use tasks::Error as Queue;
    let text = error.to_string();
    match error {
        Queue::NotFound(_) | Queue::Missing(_) => ToolError::NotFound(text),
        Queue::Full { .. } => ToolError::Refused(text),
        Queue::TooLarge { .. } => ToolError::Invalid(text),
        Queue::NotRunning { .. } | Queue::Unreadable { .. } => ToolError::Failed(text),
        Queue::Foreign { .. } | Queue::File { .. } | Queue::Database(_) => {
            ToolError::Unavailable(text)
        }
    }
}
