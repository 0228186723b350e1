//! Making the files of a plugin.

use std::collections::BTreeMap;

use declaration::PluginName;
use plugins::derived::generate;
use plugins::derived::store::{self, StoreError};
use reconcile::{Plan, Verb};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Done, change, entries, may_carry_out, refused, state};
use crate::call::Call;
use crate::error::ToolError;

/// Files that nobody has reviewed.
#[derive(Serialize, JsonSchema)]
pub(super) struct Draft {
    /// The plugin's name.
    pub(super) name: String,
    /// Where they would stand.
    pub(super) directory: String,
    /// The text of each.
    pub(super) files: BTreeMap<&'static str, String>,
    /// What a reviewer should know.
    pub(super) notes: Vec<String>,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Generate {
    /// The service's name on the bus, such as `org.freedesktop.hostname1`.
    #[schemars(length(min = 1, max = 255))]
    service: String,
    /// The plugin's name; without it the last part of the service's.
    #[serde(default)]
    #[schemars(length(min = 1, max = 32))]
    name: Option<String>,
}

pub(super) fn draft(call: &Call<'_>, input: &Generate) -> Result<generate::Generated, ToolError> {
    let name = input
        .name
        .as_ref()
        .map(|name| name.parse::<PluginName>())
        .transpose();
    let name = name.map_err(|error| ToolError::Invalid(error.to_string()))?;
    let go_on = |known: usize, done: usize| {
        call.progress(format!("look at {}", input.service), done, known);
        call.check().is_ok()
    };
    let made = generate::generate(&input.service, name, &go_on);
    call.check()?;
    use generate::GenerateError as Error;
    made.map_err(|error| match error {
        Error::NotAName(_) | Error::NoName(_) => ToolError::Invalid(error.to_string()),
        Error::Away(_) | Error::Bus(_) => ToolError::Unavailable(error.to_string()),
        Error::Stopped => ToolError::Cancelled,
        Error::Nothing(_) | Error::Text(_) => ToolError::Failed(error.to_string()),
    })
}

pub(super) fn creation(draft: &generate::Generated) -> Plan {
    change(
        &draft.name,
        Verb::Create,
        Value::Null,
        state(Some(&draft.files), false),
    )
}

pub(super) fn create(call: &Call<'_>, input: Generate) -> Result<Done, ToolError> {
    let _turn = call.site.turn(call)?;
    let draft = draft(call, &input)?;
    may_carry_out(call, &creation(&draft))?;
    let base = call.site.paths()?.base;
    if entries(call)?.iter().any(|entry| entry.name == draft.name) {
        return Err(refused(StoreError::Taken(draft.name)));
    }
    let directory = store::create(&base, &draft.name, &draft.files).map_err(refused)?;
    Ok(Done {
        name: draft.name.to_string(),
        outcome: "done",
        directory: Some(directory.display().to_string()),
        notes: draft.notes,
    })
}
