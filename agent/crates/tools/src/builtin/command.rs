//! The commands that the declaration allows, and nothing else.

use std::process::Command;
use std::time::Duration;

use reconcile::{Change, Plan, Verb};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::program::{self, Finished};
use crate::call::Call;
use crate::caller::Role;
use crate::error::ToolError;
use crate::page::{Page, page};
use crate::tool::{Domain, Tool};

/// How long a command may run where the caller does not say.
const LIMIT: u64 = 60;
/// Where commands find other programs.
const SEARCH: &str =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin";

#[derive(Deserialize, JsonSchema)]
struct Run {
    /// The command's name in the declaration.
    name: String,
    /// How many seconds it may run, 1 to 600; 60 if not given. After that it is killed.
    #[serde(default)]
    #[schemars(range(min = 1, max = 600))]
    timeout_seconds: Option<u64>,
}

#[derive(Serialize, JsonSchema)]
struct Listed {
    /// The commands, by name.
    commands: Vec<Declared>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A declared command.
#[derive(Serialize, JsonSchema)]
struct Declared {
    /// Its name.
    name: String,
    /// The program and its arguments.
    arguments: Vec<String>,
}

pub(super) fn tools() -> Vec<Tool> {
    let domain = Domain::Commands;
    vec![
        Tool::read(
            domain,
            "command_list",
            "List commands",
            "Lists the commands that the declaration allows command_run to run.",
            list,
        )
.says(&["list commands", "which commands may I run?"])
        .example(json!({})),
        Tool::write(
            domain,
            "command_run",
            "Run a command",
            "Runs one of the declared commands exactly as it is declared: no shell, no further arguments, \
             an empty environment but for PATH and LANG, in the directory /. Gives its exit status and what \
             it wrote.",
            |call, input: Run| preview(call, &input),
            |call, input: Run| run(call, &input),
        )
.says(&["run the command rotate-logs", "run command rotate-logs"])
        .for_role(Role::Admin)
        .example(json!({ "name": "rotate-logs" })),
    ]
}

fn list(call: &Call<'_>, cut: Page) -> Result<Listed, ToolError> {
    let items = call.site.access().commands.into_iter();
    let items = items.map(|(name, arguments)| Declared {
        name: name.to_string(),
        arguments,
    });
    let (commands, next_cursor) = page(items.collect(), &cut)?;
    Ok(Listed {
        commands,
        next_cursor,
    })
}

/// The program and the arguments of a declared command.
fn declared(call: &Call<'_>, name: &str) -> Result<(String, Vec<String>), ToolError> {
    let commands = call.site.access().commands;
    if commands.is_empty() {
        return Err(ToolError::NotFound(
            "no commands may be run on this host: declare them under `access.commands`, each a name with \
             the absolute path of a program and its arguments"
                .to_owned(),
        ));
    }
    let found = commands.iter().find(|(known, _)| known.as_str() == name);
    match found.and_then(|(_, arguments)| arguments.split_first()) {
        Some((program, arguments)) => Ok((program.clone(), arguments.to_vec())),
        None => {
            let known: Vec<_> = commands.keys().map(|name| name.as_str()).collect();
            Err(ToolError::NotFound(format!(
                "there is no command `{name}` under `access.commands` of the declaration; it has {}",
                known.join(", ")
            )))
        }
    }
}

fn preview(call: &Call<'_>, input: &Run) -> Result<Plan, ToolError> {
    let (program, arguments) = declared(call, &input.name)?;
    let mut vector = vec![program];
    vector.extend(arguments);
    Ok(Plan {
        changes: vec![Change::new(
            "command",
            input.name.clone(),
            Verb::Update,
            Value::Null,
            json!({ "arguments": vector }),
        )],
        notes: Vec::new(),
    })
}

fn run(call: &Call<'_>, input: &Run) -> Result<Finished, ToolError> {
    let (program, arguments) = declared(call, &input.name)?;
    let limit = Duration::from_secs(input.timeout_seconds.unwrap_or(LIMIT));
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", SEARCH)
        .env("LANG", "C.UTF-8")
        .current_dir("/");
    program::run(call, &input.name, command, limit)
}
