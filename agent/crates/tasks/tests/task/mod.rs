//! A task to begin with.

use serde_json::json;
use tasks::NewTask;

/// One with a secret, that may be done again, alone, and that is not retried.
pub(crate) fn task() -> NewTask {
    NewTask {
        agent: "executor".to_owned(),
        tool: "command_run".to_owned(),
        arguments: json!({ "password": "hunter2" }),
        shown: json!({ "password": "redacted" }),
        caller: json!({}),
        owner: "0".to_owned(),
        plan: None,
        priority: 0,
        deadline: None,
        retries: 0,
        idempotent: true,
        exclusive: true,
    }
}
