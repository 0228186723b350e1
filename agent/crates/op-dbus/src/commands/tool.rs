//! tool: list, show, call.

use std::time::Instant;

use serde_json::{Map, Value, json};
use tools::Options;
use tools::engine;

use crate::cli;
use crate::failure::Failure;
use crate::line::Line;
use crate::screen::{Screen, table};

pub(super) fn run(
    line: &mut Line<'_>,
    screen: &Screen,
    command: &cli::Tool,
) -> Result<u8, Failure> {
    match command {
        cli::Tool::List { domain } => list(line, screen, domain.as_deref()),
        cli::Tool::Show { name } => show(line, screen, name),
        cli::Tool::Call {
            name,
            arguments,
            dry_run,
            plan,
            timeout,
        } => {
            let options = Options {
                dry_run: *dry_run,
                plan: plan.clone(),
                deadline: timeout.map(|timeout| Instant::now() + timeout),
                ssh_client: engine::ssh_client(),
            };
            let answer = line.call(name, parse(arguments)?, options)?;
            screen.result(&answer, || format!("{answer:#}\n"));
            Ok(0)
        }
    }
}

fn list(line: &mut Line<'_>, screen: &Screen, domain: Option<&str>) -> Result<u8, Failure> {
    let mut tools = line.tools()?;
    tools.retain(|tool| domain.is_none_or(|domain| tool["domain"] == domain));
    screen.result(&json!({ "tools": tools }), || {
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let rows: Vec<_> = tools
            .iter()
            .map(|tool| {
                ["name", "domain", "effect", "role", "title"]
                    .map(|key| word(&tool[key]))
                    .to_vec()
            })
            .collect();
        table(&["NAME", "DOMAIN", "EFFECT", "ROLE", "WHAT"], &rows)
    });
    Ok(0)
}

fn show(line: &mut Line<'_>, screen: &Screen, name: &str) -> Result<u8, Failure> {
    let tools = line.tools()?;
    let Some(tool) = tools.iter().find(|tool| tool["name"] == name) else {
        return Err(Failure::Usage(format!(
            "there is no tool `{name}`: `op-dbus tool list` shows those there are"
        )));
    };
    screen.result(tool, || text(tool));
    Ok(0)
}

/// A tool for people.
fn text(tool: &Value) -> String {
    let word = |key: &str| tool[key].as_str().unwrap_or_default();
    let mut text = format!(
        "{}: {}\n\n{}\n\nEffect: {}. Takes the role {}.\n",
        word("name"),
        word("title"),
        word("description"),
        word("effect"),
        word("role")
    );
    let properties = tool["input_schema"]["properties"].as_object();
    let required = tool["input_schema"]["required"].as_array();
    let needed = |key: &str| required.is_some_and(|keys| keys.iter().any(|found| found == key));
    if let Some(properties) = properties.filter(|properties| !properties.is_empty()) {
        text.push_str("\nArguments:\n");
        for (key, schema) in properties {
            let need = if needed(key) { ", required" } else { "" };
            let meaning = schema["description"].as_str().unwrap_or_default();
            text.push_str(&format!("  {key}{need}: {meaning}\n"));
        }
    }
    for example in tool["examples"].as_array().into_iter().flatten() {
        text.push_str(&format!(
            "\nExample: op-dbus tool call {} '{example}'\n",
            word("name")
        ));
    }
    text
}

/// Arguments as people write them: `name=web-01 cores=4`, or a JSON object.
pub(super) fn parse(arguments: &[String]) -> Result<Value, Failure> {
    if let [only] = arguments
        && only.trim_start().starts_with('{')
    {
        return serde_json::from_str(only)
            .map_err(|error| Failure::Usage(format!("the arguments are not JSON: {error}")));
    }
    let mut map = Map::new();
    for argument in arguments {
        let Some((key, value)) = argument.split_once('=') else {
            return Err(Failure::Usage(format!(
                "`{argument}` is no argument: write KEY=VALUE, or one JSON object"
            )));
        };
        let value = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
        map.insert(key.to_owned(), value);
    }
    Ok(Value::Object(map))
}
