//! container: sentences for the tools of the same names.

use std::os::unix::process::CommandExt;

use chat::answer::{readable, title};
use declaration::ContainerName;
use serde_json::{Value, json};

use super::agree;
use super::apply::report;
use crate::cli::{self, Cli};
use crate::failure::Failure;
use crate::line::{Line, site};
use crate::screen::{Screen, said, table};

pub(super) fn run(
    cli: &Cli,
    line: &mut Line<'_>,
    screen: &Screen,
    command: &cli::Container,
) -> Result<u8, Failure> {
    match command {
        cli::Container::Create(create) => {
            let arguments = json!({
                "name": create.name,
                "template": create.template,
                "network": create.network.word(),
                "bridge": create.bridge,
                "address": create.address,
                "gateway": create.gateway,
                "cores": create.cores,
                "memory": create.memory,
                "swap": create.swap,
                "privileged": create.privileged,
                "stopped": create.stopped,
            });
            let answer = line.call("container_create", arguments, agree::bound(None));
            Ok(report(screen, &agree::changed(answer)?))
        }
        cli::Container::List => list(line, screen),
        cli::Container::Show { name } => show(line, screen, name),
        cli::Container::Start { name } => switch(line, screen, "container_start", name),
        cli::Container::Stop { name } => switch(line, screen, "container_stop", name),
        cli::Container::Restart { name } => switch(line, screen, "container_restart", name),
        cli::Container::Log { name, lines } => log(line, screen, name, *lines),
        cli::Container::Exec { name, command } => exec(cli, line, name, command),
        cli::Container::Destroy { name } => {
            let question = format!("Remove container {name} and all its data?");
            let arguments = json!({ "name": name });
            let answer = agree::destroy(line, screen, "container_destroy", arguments, &question);
            Ok(report(screen, &agree::changed(answer)?))
        }
    }
}

/// LXC's hook; see the lxc plugin for what it prepares.
pub(super) fn started(arguments: &[String]) -> Result<u8, Failure> {
    plugins::lxc::container_started(arguments).map_err(anyhow::Error::new)?;
    Ok(0)
}

fn switch(
    line: &mut Line<'_>,
    screen: &Screen,
    tool: &str,
    name: &ContainerName,
) -> Result<u8, Failure> {
    let answer = line.call(tool, json!({ "name": name }), agree::bound(None));
    Ok(report(screen, &agree::changed(answer)?))
}

fn list(line: &mut Line<'_>, screen: &Screen) -> Result<u8, Failure> {
    let containers = line.read_all("container_list", "containers", json!({}))?;
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    screen.result(&json!({ "containers": containers }), || {
        let row = |item: &Value| {
            let state = &item["state"];
            let running = match state["running"].as_bool() {
                Some(true) => "running",
                _ => "stopped",
            };
            vec![
                text(&item["name"]),
                running.to_owned(),
                text(&state["template"]),
                text(&state["network"]),
                text(&state["address"]),
                text(&item["made_by"]),
            ]
        };
        let rows: Vec<_> = containers.iter().map(row).collect();
        table(
            &["NAME", "STATE", "TEMPLATE", "NETWORK", "ADDRESS", "MADE BY"],
            &rows,
        )
    });
    Ok(0)
}

fn show(line: &mut Line<'_>, screen: &Screen, name: &ContainerName) -> Result<u8, Failure> {
    let answer: Value = line.read("container_show", json!({ "name": name }))?;
    screen.result(&answer, || {
        let lines = answer["state"].as_object().into_iter().flatten();
        let mut rows: Vec<_> = lines
            .map(|(key, value)| vec![key.clone(), said("lxc", key, value)])
            .collect();
        for key in ["port", "directory"] {
            rows.push(vec![key.to_owned(), said("lxc", key, &answer[key])]);
        }
        for (key, value) in answer["uses"].as_object().into_iter().flatten() {
            let title = format!("{} in use", title(key).to_lowercase());
            rows.push(vec![title, readable(key, value)]);
        }
        table(&["CONTAINER", name.as_str()], &rows)
    });
    Ok(0)
}

fn log(
    line: &mut Line<'_>,
    screen: &Screen,
    name: &ContainerName,
    lines: u32,
) -> Result<u8, Failure> {
    let answer: Value = line.read("container_log", json!({ "name": name, "limit": lines }))?;
    screen.result(&answer, || match answer["text"].as_str() {
        Some("") | None => format!("Container {name} has written nothing to its console."),
        Some(text) => text.to_owned(),
    });
    Ok(0)
}

/// In this process, since the terminal is to be the container's.
fn exec(
    cli: &Cli,
    line: &mut Line<'_>,
    name: &ContainerName,
    command: &[String],
) -> Result<u8, Failure> {
    let _: Value = line.read("container_show", json!({ "name": name }))?;
    let base = site(cli)?.paths()?.base;
    let error = plugins::lxc::attach_command(&base, name, command).exec();
    Err(anyhow::Error::new(error).context("run lxc-attach").into())
}
