//! template: list, build, destroy.

use serde_json::{Value, json};

use super::agree;
use super::apply::report;
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
            let arguments = json!({ "name": name });
            let answer = line.call("template_build", arguments, agree::bound(None));
            Ok(report(screen, &agree::changed(answer)?))
        }
        cli::Template::Destroy { name } => {
            let question = format!("Remove template {name}?");
            let arguments = json!({ "name": name });
            let answer = agree::destroy(line, screen, "template_destroy", arguments, &question);
            Ok(report(screen, &agree::changed(answer)?))
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
