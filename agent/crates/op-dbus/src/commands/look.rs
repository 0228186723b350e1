//! query: what the host has.

use reconcile::Owner;
use serde_json::{Map, Value, json};

use crate::cli::Cli;
use crate::failure::Failure;
use crate::host::{Host, read_declaration_if_any};
use crate::screen::{Screen, table};

pub(super) fn query(cli: &Cli, screen: &Screen, only: Option<&str>) -> Result<u8, Failure> {
    let host = Host::new(read_declaration_if_any(cli)?)?;
    let plugins = plugins::all(&host.declaration);
    let names: Vec<_> = plugins.iter().map(|plugin| plugin.name()).collect();
    if let Some(only) = only
        && !names.contains(&only)
    {
        return Err(Failure::Usage(format!(
            "no plugin is called `{only}`; there are {}",
            names.join(", ")
        )));
    }
    let mut all = Map::new();
    let mut rows = Vec::new();
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    for plugin in plugins.iter().filter(|plugin| wanted(plugin.name())) {
        let seen = match plugin.observe() {
            Ok(seen) => seen,
            // Asked for by name it must answer; among all, what it lacks is its answer.
            Err(error) if only.is_none() => {
                all.insert(
                    plugin.name().to_owned(),
                    json!({ "error": error.to_string() }),
                );
                rows.push(vec![
                    plugin.name().to_owned(),
                    "-".to_owned(),
                    error.to_string(),
                ]);
                continue;
            }
            Err(error) => return Err(anyhow::Error::new(error).into()),
        };
        let mut resources = Map::new();
        for (resource, observed) in seen {
            let owner = match observed.owner {
                Owner::Ours => "ours",
                Owner::Foreign => "foreign",
            };
            rows.push(vec![
                format!("{}/{resource}", plugin.name()),
                owner.to_owned(),
                observed.state.to_string(),
            ]);
            let entry: Value = json!({ "owner": owner, "state": observed.state });
            resources.insert(resource, entry);
        }
        all.insert(plugin.name().to_owned(), Value::Object(resources));
    }
    screen.result(&json!({ "plugins": all }), || {
        table(&["RESOURCE", "OWNER", "STATE"], &rows)
    });
    Ok(0)
}
