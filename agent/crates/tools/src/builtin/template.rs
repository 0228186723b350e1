//! Container templates: list, build, destroy.

use std::collections::BTreeSet;

use declaration::TemplateName;
use reconcile::{Key, Owner, Plan};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::call::Call;
use crate::engine::{Changed, Host, Limits, Session};
use crate::error::ToolError;
use crate::page::{Page, page};
use crate::tool::{Domain, Tool};

/// One template.
#[derive(Deserialize, JsonSchema)]
struct Named {
    /// Its name.
    #[schemars(with = "String")]
    name: TemplateName,
}

#[derive(Serialize, JsonSchema)]
struct Listed {
    /// The templates, by name.
    templates: Vec<Item>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// One of the templates there are.
#[derive(Serialize, JsonSchema)]
struct Item {
    /// Its name.
    name: String,
    /// `ours` or `foreign`.
    owner: &'static str,
    /// Its recipe as it was built.
    state: Value,
}

pub(super) fn tools() -> Vec<Tool> {
    let domain = Domain::Containers;
    vec![
        Tool::read(
            domain,
            "template_list",
            "List templates",
            "Lists the container templates of this host, with the recipe that each was built from.",
            list,
        )
        .says(&["list templates", "which templates are there?"])
        .example(json!({})),
        Tool::write(
            domain,
            "template_build",
            "Build a template",
            "Builds a declared template, or builds it again from its recipe.",
            |call, input: Named| preview(call, &input.name, is_declared),
            |call, input: Named| {
                let limits = Limits::default();
                carry_out(call, "template_build", &input.name, &limits, is_declared)
            },
        )
        .says(&[
            "build template debian-base",
            "rebuild the template debian-base",
        ])
        .binds()
        .example(json!({ "name": "debian-base" })),
        Tool::destroy(
            domain,
            "template_destroy",
            "Destroy a template",
            "Removes a template that nothing declares any more.",
            |call, input: Named| preview(call, &input.name, is_not_declared),
            |call, input: Named| {
                let limits = Limits {
                    allow_destroy: true,
                    ..Limits::default()
                };
                carry_out(
                    call,
                    "template_destroy",
                    &input.name,
                    &limits,
                    is_not_declared,
                )
            },
        )
        .says(&[
            "delete template debian-base",
            "remove the template debian-base",
        ])
        .binds()
        .example(json!({ "name": "debian-base" })),
    ]
}

fn declares(host: &Host, name: &TemplateName) -> bool {
    let lxc = host.declaration.plugins.lxc.as_ref();
    lxc.is_some_and(|lxc| lxc.templates.contains_key(name))
}

fn is_declared(host: &Host, name: &TemplateName) -> Result<(), ToolError> {
    match declares(host, name) {
        true => Ok(()),
        false => Err(ToolError::NotFound(format!(
            "the declaration has no template `{name}`: write it under plugins.lxc.templates"
        ))),
    }
}

fn is_not_declared(host: &Host, name: &TemplateName) -> Result<(), ToolError> {
    match declares(host, name) {
        false => Ok(()),
        true => Err(ToolError::Refused(format!(
            "the declaration has template `{name}`: take it out there first"
        ))),
    }
}

type Condition = fn(&Host, &TemplateName) -> Result<(), ToolError>;

fn only(name: &TemplateName) -> BTreeSet<Key> {
    BTreeSet::from([Key::new("lxc", format!("template:{name}"))])
}

fn preview(call: &Call<'_>, name: &TemplateName, may: Condition) -> Result<Plan, ToolError> {
    let host = Host::new(&*call.site.declaration()?)?;
    may(&host, name)?;
    Ok(reconcile::plan(&host.plugins)?.only(&only(name)))
}

fn carry_out(
    call: &Call<'_>,
    command: &str,
    name: &TemplateName,
    limits: &Limits,
    may: Condition,
) -> Result<Changed, ToolError> {
    let session = Session::open(call, &*call.site.declaration()?, command)?;
    may(&session.host, name)?;
    session.change(Some(&|_| only(name)), limits)
}

fn list(call: &Call<'_>, cut: Page) -> Result<Listed, ToolError> {
    let host = Host::new(&*call.site.declaration_if_any()?)?;
    let lxc = plugins::all(&host.declaration)
        .into_iter()
        .find(|plugin| plugin.name() == "lxc")
        .map(|plugin| plugin.observe());
    let seen = lxc.transpose()?.unwrap_or_default();
    let items = seen
        .into_iter()
        .filter_map(|(resource, seen)| {
            Some(Item {
                name: resource.strip_prefix("template:")?.to_owned(),
                owner: match seen.owner {
                    Owner::Ours => "ours",
                    Owner::Foreign => "foreign",
                },
                state: seen.state,
            })
        })
        .collect();
    let (templates, next_cursor) = page(items, &cut)?;
    Ok(Listed {
        templates,
        next_cursor,
    })
}
