//! Units of systemd: what they are, what they do, and starting, stopping, enabling and masking them.

mod change;
mod look;

use crate::call::Call;
use crate::error::ToolError;
use crate::tool::Tool;

use declaration::UnitName;
use plugins::systemd::UnitError;

pub(super) fn tools() -> Vec<Tool> {
    let mut tools = look::tools();
    tools.extend(change::tools());
    tools
}

fn unit(text: &str) -> Result<UnitName, ToolError> {
    text.parse()
        .map_err(|error| ToolError::Invalid(format!("{error}")))
}

/// The error as a tool gives it.
fn failed(call: &Call<'_>, error: UnitError) -> ToolError {
    match error {
        UnitError::Unwanted => call.check().err().unwrap_or(ToolError::Cancelled),
        UnitError::NotFound(_) => ToolError::NotFound(error.to_string()),
        UnitError::NoSystemd | UnitError::ReadOnly(_) => ToolError::Unavailable(error.to_string()),
        UnitError::Protected(_) => ToolError::Refused(error.to_string()),
        UnitError::Bus(error) => error.into(),
        other => ToolError::Failed(other.to_string()),
    }
}
