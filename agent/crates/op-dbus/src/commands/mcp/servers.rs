//! mcp servers: those of the declaration, and those that other programs know of. Nothing is started.

use declaration::Reach;
use mcp::client::{Known, masked};
use serde_json::{Value, json};

use super::reach;
use crate::cli::Cli;
use crate::failure::Failure;
use crate::line::site;
use crate::screen::{Screen, table};

pub(super) fn run(cli: &Cli, screen: &Screen) -> Result<u8, Failure> {
    let declaration = site(cli)?.declaration_if_any()?;
    let declared = declaration.mcp.upstreams.iter().map(|(name, upstream)| {
        let mut shown = json!({ "client": "declaration", "name": name });
        match &upstream.reach {
            Reach::Command(program) => shown["command"] = json!(program.command),
            Reach::Http(address) => shown["url"] = json!(address.url),
        }
        shown
    });
    let known = Known::read(&reach::places()?);
    let servers: Vec<_> = declared.chain(known.servers.iter().map(masked)).collect();
    let answer = json!({ "servers": servers, "problems": known.problems });
    screen.result(&answer, || text(&answer));
    Ok(0)
}

fn text(answer: &Value) -> String {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let servers = answer["servers"].as_array().into_iter().flatten();
    let rows: Vec<_> = servers
        .map(|server| {
            let command = server["command"].as_array().into_iter().flatten();
            let command: Vec<_> = command.map(word).collect();
            let what = if command.is_empty() {
                word(&server["url"])
            } else {
                command.join(" ")
            };
            vec![
                word(&server["name"]),
                word(&server["client"]),
                what,
                word(&server["file"]),
            ]
        })
        .collect();
    let mut text = match rows.is_empty() {
        true => "no servers are known\n".to_owned(),
        false => table(&["NAME", "KNOWN TO", "WHAT", "FILE"], &rows),
    };
    for problem in answer["problems"].as_array().into_iter().flatten() {
        let (file, reason) = (word(&problem["file"]), word(&problem["reason"]));
        text.push_str(&format!("{file}: {reason}\n"));
    }
    text
}
