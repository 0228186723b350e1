//! Publishing the ledger under a new name or key.

use reconcile::{Change, Plan, Verb};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::call::Call;
use crate::caller::Role;
use crate::engine::Site;
use crate::error::ToolError;
use crate::registry::bind;
use crate::tool::{Domain, Tool};

#[derive(Deserialize, JsonSchema)]
struct Begin {}

/// What the ledger is published under.
#[derive(Serialize, JsonSchema)]
struct Begun {
    /// `done`, or `unchanged` if nothing stood in the way.
    outcome: &'static str,
    /// What the ledger is called from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
    /// The last head under the old name or key: `origin`, `size` and `root`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Map<String, Value>>")]
    before: Option<Value>,
    /// Where the old checkpoints are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept_in: Option<String>,
}

pub(super) fn tools() -> Vec<Tool> {
    vec![
        Tool::destroy(
            Domain::Ledger,
            "ledger_new_origin",
            "Publish the ledger under a new name or key",
            "Puts aside the checkpoints of another name or key, and signs the ledger anew: the way out where the key \
             is lost or `ledger.checkpoints.origin` was changed. Entries stay as they are. For witnesses and for \
             everybody who has the old key it is another log from then on.",
            |call, _: Begin| plan(call.site),
            begin,
        )
        .for_role(Role::Admin)
        .binds()
        .says(&["ledger_new_origin", "call ledger_new_origin"])
        .example(json!({})),
    ]
}

fn plan(site: &Site) -> Result<Plan, ToolError> {
    let mut plan = Plan::default();
    if let Some(new) = site.new_origin()? {
        let after = json!({ "origin": new.name.to_string() });
        plan.changes.push(Change {
            destroys: true,
            ..Change::new("ledger", "checkpoint", Verb::Update, new.before(), after)
        });
    }
    Ok(plan)
}

fn begin(call: &Call<'_>, _: Begin) -> Result<Begun, ToolError> {
    call.site.can_record(false)?;
    let Some(new) = call.site.new_origin()? else {
        return Ok(Begun {
            outcome: "unchanged",
            origin: None,
            before: None,
            kept_in: None,
        });
    };
    if let Some(shown) = call.options.plan.as_deref() {
        bind(Some(shown), &plan(call.site)?.hash())?;
    }
    let kept = call.site.take_new_origin(&new, &call.caller.actor())?;
    Ok(Begun {
        outcome: "done",
        origin: Some(new.name.to_string()),
        before: Some(new.before()),
        kept_in: Some(kept.display().to_string()),
    })
}
