//! template: list, build, destroy.

use std::collections::BTreeSet;

use declaration::TemplateName;
use reconcile::{Key, Owner};
use serde_json::json;

use super::apply::report;
use crate::change::Session;
use crate::cli::{self, Apply, Cli};
use crate::failure::Failure;
use crate::host::{Host, read_declaration, read_declaration_if_any};
use crate::screen::{Screen, table};

pub(super) fn run(cli: &Cli, screen: &Screen, command: &cli::Template) -> Result<u8, Failure> {
    match command {
        cli::Template::List => list(cli, screen),
        cli::Template::Build { name } => build(cli, screen, name),
        cli::Template::Destroy { name } => destroy(cli, screen, name),
    }
}

fn declares(host: &Host, name: &TemplateName) -> bool {
    let lxc = host.declaration.plugins.lxc.as_ref();
    lxc.is_some_and(|lxc| lxc.templates.contains_key(name))
}

fn only(name: &TemplateName) -> BTreeSet<Key> {
    BTreeSet::from([Key::new("lxc", format!("template:{name}"))])
}

fn list(cli: &Cli, screen: &Screen) -> Result<u8, Failure> {
    let host = Host::new(read_declaration_if_any(cli)?)?;
    let lxc = plugins::all(&host.declaration)
        .into_iter()
        .find(|plugin| plugin.name() == "lxc")
        .map(|plugin| plugin.observe());
    let seen = lxc
        .transpose()
        .map_err(anyhow::Error::new)?
        .unwrap_or_default();
    let templates: Vec<_> = seen
        .iter()
        .filter_map(|(resource, seen)| Some((resource.strip_prefix("template:")?, seen)))
        .collect();
    let entries: Vec<_> = templates
        .iter()
        .map(|(name, seen)| json!({ "name": name, "state": seen.state }))
        .collect();
    screen.result(&json!({ "templates": entries }), || {
        let rows: Vec<_> = templates
            .iter()
            .map(|(name, seen)| {
                let owner = if seen.owner == Owner::Ours {
                    "ours"
                } else {
                    "foreign"
                };
                vec![(*name).to_owned(), owner.to_owned(), seen.state.to_string()]
            })
            .collect();
        table(&["NAME", "OWNER", "RECIPE"], &rows)
    });
    Ok(0)
}

fn build(cli: &Cli, screen: &Screen, name: &TemplateName) -> Result<u8, Failure> {
    let session = Session::open(read_declaration(cli)?, screen, "template_build")?;
    if !declares(&session.host, name) {
        return Err(Failure::Usage(format!(
            "the declaration has no template `{name}`: write it under plugins.lxc.templates"
        )));
    }
    let changed = session.change(Some(&|_| only(name)), &Apply::default())?;
    Ok(report(screen, &changed))
}

fn destroy(cli: &Cli, screen: &Screen, name: &TemplateName) -> Result<u8, Failure> {
    let session = Session::open(read_declaration(cli)?, screen, "template_destroy")?;
    if declares(&session.host, name) {
        return Err(Failure::Refused(format!(
            "the declaration has template `{name}`: take it out there first"
        )));
    }
    if !screen.agrees(&format!("Remove template {name}?")) {
        return Err(Failure::Refused(format!(
            "removing template {name} was not confirmed; --yes confirms it"
        )));
    }
    let options = Apply {
        allow_destroy: true,
        ..Apply::default()
    };
    let changed = session.change(Some(&|_| only(name)), &options)?;
    Ok(report(screen, &changed))
}
