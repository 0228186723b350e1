//! plugin: list, show, generate, enable, disable.

use serde_json::{Value, json};
use tools::Options;

use super::plugin_transfer;
use crate::cli;
use crate::failure::Failure;
use crate::line::Line;
use crate::screen::{Screen, table};

pub(super) fn run(
    line: &mut Line<'_>,
    screen: &Screen,
    command: &cli::Plugin,
) -> Result<u8, Failure> {
    match command {
        cli::Plugin::List => list(line, screen),
        cli::Plugin::Show { name } => show(line, screen, name),
        cli::Plugin::Generate {
            service,
            name,
            write,
        } => {
            let arguments = json!({ "service": service, "name": name });
            match write {
                true => switch(line, screen, "plugin_create", arguments),
                false => generate(line, screen, arguments),
            }
        }
        cli::Plugin::Enable { name } => {
            switch(line, screen, "plugin_enable", json!({ "name": name }))
        }
        cli::Plugin::Export { name, stream } => {
            plugin_transfer::export(line, screen, name, stream.as_deref())
        }
        cli::Plugin::Import {
            stream,
            replace,
            dry_run,
        } => plugin_transfer::import(line, screen, stream, *replace, *dry_run),
        cli::Plugin::Disable { name } => {
            switch(line, screen, "plugin_disable", json!({ "name": name }))
        }
    }
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or("-").to_owned()
}

fn list(line: &mut Line<'_>, screen: &Screen) -> Result<u8, Failure> {
    let plugins = line.read_all("plugin_list", "plugins", json!({}))?;
    screen.result(&json!({ "plugins": plugins }), || {
        let yes = |value: &Value, yes: &str, no: &str| match value.as_bool() {
            Some(true) => yes.to_owned(),
            _ => no.to_owned(),
        };
        let row = |plugin: &Value| {
            let capabilities = plugin["capabilities"].as_array().into_iter().flatten();
            let capabilities: Vec<_> = capabilities.map(word).collect();
            vec![
                word(&plugin["name"]),
                yes(&plugin["enabled"], "enabled", "disabled"),
                yes(&plugin["on_bus"], "there", "away"),
                capabilities.join(", "),
                word(&plugin["service"]),
                match plugin["problem"].as_str() {
                    Some(problem) => problem.to_owned(),
                    None => word(&plugin["origin"]),
                },
            ]
        };
        let rows: Vec<_> = plugins.iter().map(row).collect();
        table(
            &["NAME", "STATE", "SERVICE IS", "MAY", "SERVICE", "FROM"],
            &rows,
        )
    });
    Ok(0)
}

fn show(line: &mut Line<'_>, screen: &Screen, name: &str) -> Result<u8, Failure> {
    let answer = line.call("plugin_show", json!({ "name": name }), Options::default())?;
    screen.result(&answer, || {
        let mut text = format!(
            "{}: {} ({})\n",
            name,
            word(&answer["service"]),
            word(&answer["origin"])
        );
        if let Some(problem) = answer["problem"].as_str() {
            text.push_str(&format!("Cannot be used: {problem}\n"));
        }
        let resources = answer["resources"].as_object().into_iter().flatten();
        let rows: Vec<_> = resources
            .flat_map(|(kind, resource)| properties(kind, resource))
            .collect();
        text.push_str(&table(&["PROPERTY", "TYPE", "IN THE DECLARATION"], &rows));
        let interfaces = answer["interfaces"].as_object().into_iter().flatten();
        let rows: Vec<_> = interfaces
            .map(|(name, known)| interface(name, known))
            .collect();
        if !rows.is_empty() {
            text.push('\n');
            text.push_str(&table(&["INTERFACE", "REVIEWED", "DIGEST NOW"], &rows));
        }
        text
    });
    Ok(0)
}

fn properties(kind: &str, resource: &Value) -> Vec<Vec<String>> {
    let properties = resource["properties"].as_object().into_iter().flatten();
    properties
        .map(|(name, property)| {
            let declared = match (property["declarable"].as_bool(), &property["refusal"]) {
                (Some(true), _) => "yes".to_owned(),
                (_, Value::String(reason)) => format!("no: {reason}"),
                _ => "no".to_owned(),
            };
            vec![format!("{kind}.{name}"), word(&property["type"]), declared]
        })
        .collect()
}

fn interface(name: &str, known: &Value) -> Vec<String> {
    let reviewed = known["reviewed"]
        .as_array()
        .is_some_and(|reviewed| reviewed.contains(&known["now"]));
    let state = match (known["now"].as_str(), reviewed) {
        (None, _) => "not there",
        (Some(_), true) => "as it is",
        (Some(_), false) => "not as it is",
    };
    vec![name.to_owned(), state.to_owned(), word(&known["now"])]
}

fn generate(line: &mut Line<'_>, screen: &Screen, arguments: Value) -> Result<u8, Failure> {
    let answer = line.call("plugin_generate", arguments, Options::default())?;
    screen.result(&answer, || {
        let mut text = String::new();
        for file in ["plugin.toml", "semantic-mapping.toml"] {
            let path = format!("{}/{file}", word(&answer["directory"]));
            text.push_str(&format!("# {path}\n{}\n", word(&answer["files"][file])));
        }
        for note in answer["notes"].as_array().into_iter().flatten() {
            text.push_str(&format!("# Note: {}\n", word(note)));
        }
        text
    });
    Ok(0)
}

fn switch(
    line: &mut Line<'_>,
    screen: &Screen,
    tool: &str,
    arguments: Value,
) -> Result<u8, Failure> {
    let answer = line.call(tool, arguments, Options::default())?;
    screen.result(&answer, || {
        let name = word(&answer["name"]);
        let mut text = match (tool, answer["outcome"].as_str()) {
            (_, Some("unchanged")) => format!("{name}: nothing to do\n"),
            ("plugin_create", _) => format!(
                "{name}: written to {}, disabled. Review both files, then `op-dbus plugin enable {name}`\n",
                word(&answer["directory"])
            ),
            ("plugin_enable", _) => format!("{name}: enabled\n"),
            _ => format!("{name}: disabled\n"),
        };
        for note in answer["notes"].as_array().into_iter().flatten() {
            text.push_str(&format!("{}\n", word(note)));
        }
        text
    });
    Ok(0)
}
