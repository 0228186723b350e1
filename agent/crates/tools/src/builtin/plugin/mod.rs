//! Plugins made from D-Bus services: see, generate, enable, disable.

mod look;
mod make;
mod switch;

use std::collections::BTreeMap;

use declaration::PluginName;
use plugins::derived::store::{self, Entry, StoreError};
use reconcile::{Change, Plan, Verb};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use self::look::{list, show};
use self::make::{Draft, Generate, create, creation, draft};
use self::switch::{may_enable, set, switch};
use crate::call::Call;
use crate::caller::Role;
use crate::error::ToolError;
use crate::registry::bind;
use crate::tool::{Domain, Tool};

#[derive(Deserialize, JsonSchema)]
struct One {
    /// The plugin, such as `networkmanager`.
    #[schemars(length(min = 1, max = 32))]
    name: String,
}

/// What was done.
#[derive(Serialize, JsonSchema)]
pub(super) struct Done {
    /// The plugin.
    pub(super) name: String,
    /// `done`, or `unchanged` if it was so before.
    pub(super) outcome: &'static str,
    /// Its directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) directory: Option<String>,
    /// What people should know.
    pub(super) notes: Vec<String>,
}

pub(super) fn tools() -> Vec<Tool> {
    let domain = Domain::Plugins;
    vec![
        Tool::read(
            domain,
            "plugin_list",
            "List plugins",
            "Lists the plugins made from D-Bus services: those that come with the agent and those in @plugins, \
             whether each is in use, and whether its service is on the bus. Starts no service.",
            list,
        )
.says(&["list plugins", "which plugins are there?"])
        .example(json!({})),
        Tool::read(
            domain,
            "plugin_show",
            "Show a plugin",
            "Shows a plugin's resources, which properties a declaration may set and why others may not be, the \
             digests of its interfaces as reviewed and as they are now, and its files.",
            |call, input: One| show(&find(call, &input.name)?),
        )
.says(&["show plugin networkmanager", "details of the plugin networkmanager"])
        .example(json!({ "name": "networkmanager" })),
        Tool::read(
            domain,
            "plugin_generate",
            "Generate a plugin",
            "Makes the files of a plugin from what a service on the system bus says of itself, and gives them out \
             for a review. Nothing in them is declared safe, and nothing is written.",
            |call, input: Generate| {
                let draft = draft(call, &input)?;
                let directory = store::directory(&call.site.paths()?.base).join(draft.name.as_str());
                Ok(Draft {
                    name: draft.name.to_string(),
                    directory: directory.display().to_string(),
                    files: texts(&draft.files),
                    notes: draft.notes,
                })
            },
        )
.says(&["generate a plugin for org.freedesktop.hostname1", "draft a plugin from org.freedesktop.hostname1"])
        .example(json!({ "service": "org.freedesktop.hostname1" })),
        Tool::write(
            domain,
            "plugin_create",
            "Create a plugin",
            "Makes the files of a plugin as plugin_generate does, and puts them into @plugins. The plugin is \
             disabled, and can only be enabled once a person has reviewed what it may write.",
            |call, input: Generate| Ok(creation(&draft(call, &input)?)),
            create,
        )
.says(&["create a plugin for org.freedesktop.hostname1", "make a plugin from org.freedesktop.hostname1"])
        .binds()
        .for_role(Role::Admin)
        .example(json!({ "service": "org.freedesktop.hostname1" })),
        Tool::write(
            domain,
            "plugin_enable",
            "Enable a plugin",
            "Puts a plugin into use: it appears in state_query, and the declaration may have a section of its name. \
             Refused while one of its writes is not declared safe and reviewed.",
            |call, input: One| {
                let entry = find(call, &input.name)?;
                may_enable(&entry)?;
                Ok(switch(&entry, true))
            },
            |call, input: One| set(call, &input.name, true),
        )
.says(&["enable plugin networkmanager", "activate the plugin networkmanager"])
        .binds()
        .for_role(Role::Admin)
        .example(json!({ "name": "hostname1" })),
        Tool::write(
            domain,
            "plugin_disable",
            "Disable a plugin",
            "Takes a plugin out of use. What it has set stays as it is; a section of its name in the declaration is \
             then an error.",
            |call, input: One| Ok(switch(&find(call, &input.name)?, false)),
            |call, input: One| set(call, &input.name, false),
        )
.says(&["disable plugin networkmanager", "deactivate the plugin networkmanager"])
        .binds()
        .for_role(Role::Admin)
        .example(json!({ "name": "hostname1" })),
    ]
}

fn entries(call: &Call<'_>) -> Result<Vec<Entry>, ToolError> {
    Ok(store::load(&call.site.paths()?.base))
}

pub(super) fn find(call: &Call<'_>, name: &str) -> Result<Entry, ToolError> {
    let entries = entries(call)?;
    let names: Vec<_> = entries.iter().map(|entry| entry.name.to_string()).collect();
    let found = entries
        .into_iter()
        .find(|entry| entry.name.as_str() == name);
    found.ok_or_else(|| {
        ToolError::NotFound(format!(
            "there is no plugin `{name}` made from a service; there are {}",
            names.join(", ")
        ))
    })
}

fn texts(files: &store::Files) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        (store::PLUGIN_FILE, files.plugin.clone()),
        (store::MAPPING_FILE, files.mapping.clone()),
    ])
}

/// What stands in a plan for a plugin: not its whole text, but what tells one text from another.
pub(super) fn state(files: Option<&store::Files>, enabled: bool) -> Value {
    let digest = files.map(|files| {
        let mut hash = Sha256::new();
        hash.update(files.plugin.as_bytes());
        hash.update([0]);
        hash.update(files.mapping.as_bytes());
        hex::encode(hash.finalize())
    });
    json!({ "enabled": enabled, "files": digest })
}

fn change(name: &PluginName, verb: Verb, before: Value, after: Value) -> Plan {
    Plan {
        changes: vec![Change::new(
            "plugins",
            name.to_string(),
            verb,
            before,
            after,
        )],
        notes: Vec::new(),
    }
}

/// Inside the turn: what is done is what was shown, if something was, and there is a ledger for it.
pub(super) fn may_carry_out(call: &Call<'_>, plan: &Plan) -> Result<(), ToolError> {
    call.site.can_record(false)?;
    match call.options.plan.as_deref() {
        Some(shown) => bind(Some(shown), &plan.hash()),
        None => Ok(()),
    }
}

pub(super) fn refused(error: StoreError) -> ToolError {
    match error {
        StoreError::NoPlace(_) => ToolError::Unavailable(error.to_string()),
        StoreError::Taken(_) => ToolError::Refused(error.to_string()),
        StoreError::Bad(_) => ToolError::Invalid(error.to_string()),
        StoreError::Io { .. } | StoreError::Btrfs(_) => ToolError::Failed(error.to_string()),
    }
}
