//! task: list, show, cancel, submit; agent: list.

use serde_json::{Value, json};
use tools::Options;

use crate::cli;
use crate::failure::Failure;
use crate::line::Line;
use crate::screen::{Screen, table};

pub(super) fn run(
    line: &mut Line<'_>,
    screen: &Screen,
    command: &cli::Task,
) -> Result<u8, Failure> {
    match command {
        cli::Task::List { state, agent } => list(line, screen, state.as_deref(), agent.as_deref()),
        cli::Task::Show { id } => {
            let task = line.call("task_show", json!({ "id": id }), Options::default())?;
            screen.result(&task, || text(&task));
            Ok(0)
        }
        cli::Task::Cancel { id } => {
            let task = line.call("task_cancel", json!({ "id": id }), Options::default())?;
            screen.result(&task, || match task["state"].as_str() {
                Some("running") => format!("task {id} runs, and was asked to end\n"),
                _ => format!("task {id} is {}\n", word(&task["state"])),
            });
            Ok(0)
        }
        cli::Task::Submit(options) => submit(line, screen, options),
    }
}

pub(super) fn agents(line: &mut Line<'_>, screen: &Screen) -> Result<u8, Failure> {
    let agents = line.read_all("agent_list", "agents", json!({}))?;
    screen.result(&json!({ "agents": agents }), || {
        let rows: Vec<_> = agents.iter().map(agent).collect();
        table(&["AGENT", "ON THE BUS", "OPERATIONS"], &rows)
    });
    Ok(0)
}

fn agent(agent: &Value) -> Vec<String> {
    let operations = agent["operations"].as_array().into_iter().flatten();
    let operations: Vec<_> = operations.filter_map(Value::as_str).collect();
    vec![
        word(&agent["name"]),
        word(&agent["bus_name"]),
        operations.join(" "),
    ]
}

fn list(
    line: &mut Line<'_>,
    screen: &Screen,
    state: Option<&str>,
    agent: Option<&str>,
) -> Result<u8, Failure> {
    let arguments = json!({ "state": state, "agent": agent });
    let tasks = line.read_all("task_list", "tasks", arguments)?;
    screen.result(&json!({ "tasks": tasks }), || {
        let rows: Vec<_> = tasks
            .iter()
            .map(|task| {
                let time = |key: &str| task[key].as_i64().map_or_else(|| "-".to_owned(), moment);
                vec![
                    task["id"].to_string(),
                    word(&task["state"]),
                    word(&task["agent"]),
                    word(&task["tool"]),
                    word(&task["caller"]["name"]),
                    time("accepted"),
                    time("finished"),
                ]
            })
            .collect();
        table(
            &["TASK", "STATE", "AGENT", "TOOL", "FOR", "ACCEPTED", "ENDED"],
            &rows,
        )
    });
    Ok(0)
}

fn submit(line: &mut Line<'_>, screen: &Screen, options: &cli::Submit) -> Result<u8, Failure> {
    let mut submission = json!({
        "operation": options.operation,
        "arguments": super::tool::parse(&options.arguments)?,
        "priority": options.priority,
        "retries": options.retries,
        "idempotent": options.idempotent,
    });
    if let Some(agent) = &options.agent {
        submission["agent"] = json!(agent);
    }
    if let Some(plan) = &options.plan {
        submission["plan"] = json!(plan);
    }
    if let Some(deadline) = options.deadline {
        submission["deadline_s"] = json!(deadline.as_secs());
    }
    let task = line.call("task_submit", submission, Options::default())?;
    screen.result(&task, || {
        let id = &task["id"];
        format!("task {id} is accepted: `op-dbus task show {id}` says what becomes of it\n")
    });
    Ok(0)
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or("-").to_owned()
}

/// A time in milliseconds since 1970-01-01 UTC, in words.
fn moment(milliseconds: i64) -> String {
    jiff::Timestamp::from_millisecond(milliseconds)
        .map_or_else(|_| milliseconds.to_string(), |time| format!("{time:.0}"))
}

/// A task for people.
fn text(task: &Value) -> String {
    let mut text = format!(
        "Task {}: {} of {}, for {}\nState: {}, {} attempts\nArguments: {}\n",
        task["id"],
        word(&task["tool"]),
        word(&task["agent"]),
        word(&task["caller"]["name"]),
        word(&task["state"]),
        task["attempts"],
        task["arguments"],
    );
    for (key, what) in [
        ("accepted", "Accepted"),
        ("deadline", "Deadline"),
        ("started", "Begun"),
        ("finished", "Ended"),
    ] {
        if let Some(time) = task[key].as_i64() {
            text.push_str(&format!("{what}: {}\n", moment(time)));
        }
    }
    if let Some(error) = task["error"]["message"].as_str() {
        text.push_str(&format!("Error: {error}\n"));
    }
    if let Some(result) = task.get("result") {
        text.push_str(&format!("Result:\n{result:#}\n"));
    }
    text
}
