//! template: list, build, destroy.

use serde_json::{Value, json};

use super::apply::{change, destroy, report};
use crate::cli;
use crate::failure::Failure;
use crate::line::Line;
use crate::screen::{Screen, table};

pub(super) fn run(
    line: &mut Line<'_>,
    screen: &Screen,
    command: &cli::Template,
) -> Result<u8, Failure> {
    match command {
        cli::Template::List => list(line, screen),
        cli::Template::Build { name } => {
            let changed = change(
                line,
                "template_build",
                json!({ "name": name }),
                (None, None),
            )?;
            Ok(report(screen, &changed))
        }
        cli::Template::Destroy { name } => {
            let question = format!("Remove template {name}?");
            let arguments = json!({ "name": name });
            destroy(line, screen, "template_destroy", arguments, &question)
        }
    }
}

fn list(line: &mut Line<'_>, screen: &Screen) -> Result<u8, Failure> {
    let templates = line.read_all("template_list", "templates", json!({}))?;
    screen.result(&json!({ "templates": templates }), || {
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let rows: Vec<_> = templates
            .iter()
            .map(|item| {
                vec![
                    word(&item["name"]),
                    word(&item["owner"]),
                    item["state"].to_string(),
                ]
            })
            .collect();
        table(&["NAME", "OWNER", "RECIPE"], &rows)
    });
    Ok(0)
}
