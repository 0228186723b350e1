//! Putting a plugin into use, and out of it.

use plugins::derived::store::{self, Entry};
use reconcile::{Plan, Verb};

use super::{Done, change, find, may_carry_out, refused, state};
use crate::call::Call;
use crate::error::ToolError;

pub(super) fn switch(entry: &Entry, enabled: bool) -> Plan {
    let now = entry.mapping.as_ref().is_ok_and(|mapping| mapping.enabled);
    match now == enabled {
        true => Plan::default(),
        false => {
            let before = state(entry.files.as_ref(), now);
            let after = state(entry.files.as_ref(), enabled);
            change(&entry.name, Verb::Update, before, after)
        }
    }
}

/// A person has to have looked at everything that a plugin may write.
pub(super) fn may_enable(entry: &Entry) -> Result<(), ToolError> {
    let mapping = match &entry.mapping {
        Ok(mapping) => mapping,
        Err(unusable) => {
            return Err(ToolError::Refused(format!(
                "{}; {}",
                unusable.what, unusable.fix
            )));
        }
    };
    if !mapping.writes {
        return Ok(());
    }
    let written = mapping.kinds.iter().flat_map(|(kind_name, kind)| {
        let written = kind
            .properties
            .iter()
            .filter(|(_, property)| property.write.is_some());
        written.map(move |(name, _)| (kind_name, name))
    });
    let refused: Vec<_> = written
        .filter_map(|(kind, name)| Some(format!("{kind}.{name}: {}", mapping.refusal(kind, name)?)))
        .collect();
    match refused.is_empty() {
        true => Ok(()),
        false => Err(ToolError::Refused(format!(
            "{} is not enabled: each of its writes has to be reviewed and declared safe in semantic-mapping.toml, or \
             taken out, or `write` taken out of its capabilities:\n{}",
            entry.name,
            refused.join("\n")
        ))),
    }
}

pub(super) fn set(call: &Call<'_>, name: &str, enabled: bool) -> Result<Done, ToolError> {
    let _turn = call.site.turn(call)?;
    let entry = find(call, name)?;
    if enabled {
        may_enable(&entry)?;
    }
    let done = |outcome, notes| Done {
        name: entry.name.to_string(),
        outcome,
        directory: None,
        notes,
    };
    let plan = switch(&entry, enabled);
    may_carry_out(call, &plan)?;
    if plan.is_empty() {
        return Ok(done("unchanged", Vec::new()));
    }
    store::set_enabled(&call.site.paths()?.base, &entry, enabled).map_err(refused)?;
    let declared = call.site.declaration_if_any();
    let notes = match (enabled, declared) {
        (false, Err(error)) => vec![format!("The declaration is no longer good: {error}")],
        _ => Vec::new(),
    };
    Ok(done("done", notes))
}
