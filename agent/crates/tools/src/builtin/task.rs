//! Tasks and the agents that do them: list, submit, show, cancel.

use reconcile::{Change, Plan, Verb};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tasks::{Execution, Filter, Queue, State, Task, TaskId};

use crate::agent::{AGENTS, Agent};
use crate::call::Call;
use crate::caller::Role;
use crate::error::ToolError;
use crate::orchestrator::{Submission, may_see, of_queue, owner};
use crate::page::{Page, page};
use crate::tool::{Domain, Tool};

#[derive(Serialize, JsonSchema)]
struct Agents {
    /// The agents.
    agents: Vec<Described>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Described {
    /// Its name.
    name: &'static str,
    /// What it is for.
    description: &'static str,
    /// Its name on the system bus.
    bus_name: String,
    /// Where it is there.
    object_path: String,
    /// The names of its operations: short ones where there are, else those of the tools.
    operations: Vec<&'static str>,
}

#[derive(Deserialize, JsonSchema)]
struct List {
    /// Only tasks of this agent.
    #[serde(default)]
    agent: Option<String>,
    /// Only tasks in this state.
    #[serde(default)]
    state: Option<State>,
    /// Only tasks before this one: `next_cursor` of the page before.
    #[serde(default)]
    cursor: Option<String>,
    /// How many tasks at most.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
}

#[derive(Serialize, JsonSchema)]
struct Listed {
    /// The tasks, the newest first, without their results.
    tasks: Vec<Task>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct One {
    /// The task's number.
    id: TaskId,
}

/// A task, whole.
#[derive(Serialize, JsonSchema)]
struct Shown {
    #[serde(flatten)]
    task: Task,
    /// The attempts at it.
    executions: Vec<Execution>,
}

pub(super) fn tools() -> Vec<Tool> {
    let domain = Domain::Tasks;
    vec![
        Tool::read(
            domain,
            "agent_list",
            "List agents",
            "Lists the agents: what each is for, its name on the system bus, and its operations.",
            agents,
        )
.says(&["list agents", "which agents are there?"])
        .example(json!({})),
        Tool::write(
            domain,
            "task_submit",
            "Submit a task",
            "Gives an agent a task: one operation with its arguments, which is carried out with the caller's rights \
             as they are then. It is on disk when this answers with its number, and a crash does not lose it. \
             task_show tells what became of it.",
            |_, input: Submission| Ok(preview(Verb::Create, &input.operation, json!(input.arguments))),
            submit,
        )
.says(&["submit the task package_refresh", "queue package_refresh as a task"])
        .example(json!({ "operation": "systemd_restart_unit", "arguments": { "unit": "nginx.service" } }))
        .example(json!({ "agent": "packagekit", "operation": "refresh", "deadline_s": 600, "retries": 2,
                         "idempotent": true })),
        Tool::read(
            domain,
            "task_list",
            "List tasks",
            "Lists the tasks that the caller submitted, the newest first; those of everybody for an admin.",
            list,
        )
.says(&["list tasks", "which tasks are running?", "show failed tasks"])
        .example(json!({ "state": "running" })),
        Tool::read(
            domain,
            "task_show",
            "Show a task",
            "Shows one task: where it is in its life, its result or why there is none, and each attempt at it. Only \
             for its owner and an admin.",
            show,
        )
.says(&["show task 12", "details of task 12"])
        .example(json!({ "id": 1 })),
        Tool::write(
            domain,
            "task_cancel",
            "Cancel a task",
            "Takes a task back: one that waits is not begun, one that runs is asked to end as soon as it can without \
             leaving half of something behind. Only for its owner and an admin.",
            |_, input: One| Ok(preview(Verb::Delete, &input.id.to_string(), Value::Null)),
            cancel,
        )
.says(&["cancel task 12", "abort task 12"])
        .example(json!({ "id": 1 })),
    ]
}

fn agents(_: &Call<'_>, cut: Page) -> Result<Agents, ToolError> {
    let tools = super::all();
    let described = |agent: &Agent| Described {
        name: agent.name,
        description: agent.description,
        bus_name: format!("org.dbusmcp.Agent.{}", agent.bus),
        object_path: format!("/org/dbusmcp/Agent/{}", agent.bus),
        operations: agent
            .operations(tools.iter())
            .iter()
            .map(|operation| operation.short.unwrap_or(operation.tool))
            .collect(),
    };
    let (agents, next_cursor) = page(AGENTS.iter().map(described).collect(), &cut)?;
    Ok(Agents {
        agents,
        next_cursor,
    })
}

fn preview(verb: Verb, resource: &str, after: Value) -> Plan {
    Plan {
        changes: vec![Change::new("tasks", resource, verb, Value::Null, after)],
        notes: Vec::new(),
    }
}

fn submit(call: &Call<'_>, input: Submission) -> Result<Task, ToolError> {
    call.site.orchestrator()?.submit(call.caller, input)
}

fn cancel(call: &Call<'_>, input: One) -> Result<Task, ToolError> {
    call.site.orchestrator()?.cancel(call.caller, input.id)
}

/// The queue for readers; `None` where there was no task yet.
fn queue(call: &Call<'_>) -> Result<Option<Queue>, ToolError> {
    match Queue::open_to_read(&call.site.paths()?.tasks()) {
        Ok(queue) => Ok(Some(queue)),
        Err(tasks::Error::Missing(_)) => Ok(None),
        Err(error) => Err(of_queue(error)),
    }
}

fn list(call: &Call<'_>, input: List) -> Result<Listed, ToolError> {
    let before = match &input.cursor {
        None => None,
        Some(cursor) => Some(cursor.parse().map_err(|_| {
            ToolError::Invalid(format!(
                "`{cursor}` is no cursor: take `next_cursor` from the page before"
            ))
        })?),
    };
    let limit = input.limit.unwrap_or(100).clamp(1, 1000);
    let everybody = call.caller.role == Some(Role::Admin);
    let filter = Filter {
        owner: (!everybody).then(|| owner(call.caller)),
        agent: input.agent,
        state: input.state,
        before,
        limit: limit + 1,
    };
    let queue = queue(call)?;
    let found = queue.map(|queue| queue.list(&filter)).transpose();
    let mut tasks = found.map_err(of_queue)?.unwrap_or_default();
    let more = tasks.len() > limit;
    tasks.truncate(limit);
    for task in &mut tasks {
        task.result = None;
    }
    Ok(Listed {
        next_cursor: tasks
            .last()
            .filter(|_| more)
            .map(|task| task.id.to_string()),
        tasks,
    })
}

fn show(call: &Call<'_>, input: One) -> Result<Shown, ToolError> {
    let missing = || of_queue(tasks::Error::NotFound(input.id));
    let queue = queue(call)?.ok_or_else(missing)?;
    let task = queue.get(input.id).map_err(of_queue)?;
    // Whose it is not learns no more than that.
    if !may_see(call.caller, &task) {
        return Err(missing());
    }
    let executions = queue.executions(input.id).map_err(of_queue)?;
    Ok(Shown { task, executions })
}
