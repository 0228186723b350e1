//! Export: the host as one document.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::call::Call;
use crate::engine::Host;
use crate::error::ToolError;
use crate::export::Export;
use crate::tool::{Domain, Tool};

#[derive(Deserialize, JsonSchema)]
struct Nothing {}

pub(super) fn tools() -> Vec<Tool> {
    vec![
        Tool::read(
            Domain::State,
            "state_export",
            "Export",
            "Gives the host as one document from which it can be made again: declaration, containers, what each \
             plugin sees, the head of the ledger, and a list of the secret files that it needs. No secrets are in it.",
            |call, Nothing {}| export(call),
        )
.says(&["export the host", "export the state of this host"])
        .example(json!({})),
    ]
}

fn export(call: &Call<'_>) -> Result<Export, ToolError> {
    let host = Host::new(&*call.site.declaration_if_any()?)?;
    call.check()?;
    Export::now(call.site, &host)
}
