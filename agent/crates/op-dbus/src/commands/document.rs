//! What needs no host: check, schema, completions, man.

use std::io::Write;
use std::path::Path;

use anyhow::Context as _;
use clap::CommandFactory;
use clap_complete::Shell;
use declaration::Declaration;
use serde_json::json;

use crate::cli::Cli;
use crate::failure::Failure;
use crate::screen::Screen;

pub(super) fn check(cli: &Cli, path: Option<&Path>, screen: &Screen) -> Result<u8, Failure> {
    let path = path.unwrap_or(&cli.file);
    if path != Path::new("-") && !path.exists() {
        return Err(Failure::Usage(format!(
            "there is no declaration at {}",
            path.display()
        )));
    }
    let declaration = match path.to_str() {
        Some("-") => {
            let text = std::io::read_to_string(std::io::stdin())
                .context("read the declaration from standard input")?;
            Declaration::from_yaml(&text)?
        }
        _ => Declaration::read(path)?,
    };
    // What only the tools know: a prefix that would stand before names of theirs.
    let own = tools::builtin::all();
    let collisions = mcp::aggregate::collisions(&declaration.mcp, own.iter().map(|tool| tool.name));
    if !collisions.is_empty() {
        let reasons: Vec<_> = collisions
            .into_iter()
            .map(|(prefix, reason)| format!("mcp.upstreams.{prefix}: {reason}"))
            .collect();
        return Err(Failure::Usage(reasons.join("\n")));
    }
    let result = json!({ "valid": true, "declaration": declaration });
    screen.result(&result, || format!("{}: valid\n", path.display()));
    Ok(0)
}

pub(super) fn schema() -> Result<u8, Failure> {
    print(format!("{:#}\n", declaration::schema()).as_bytes())
}

pub(super) fn completions(shell: Shell) -> Result<u8, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "op-dbus", &mut text);
    print(&text)
}

pub(super) fn man() -> Result<u8, Failure> {
    let mut text = Vec::new();
    clap_mangen::Man::new(Cli::command())
        .render(&mut text)
        .context("render the manual page")?;
    print(&text)
}

fn print(text: &[u8]) -> Result<u8, Failure> {
    // A reader that went away, such as `head`, is no failure of ours.
    let _ = std::io::stdout().write_all(text);
    Ok(0)
}
