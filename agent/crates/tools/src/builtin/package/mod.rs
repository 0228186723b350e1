//! Software packages, over PackageKit or the distribution's own package manager.

mod change;
mod look;

use declaration::PackageName;
use plugins::packagekit::{PackageError, PackageManager, Watch, find};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::call::Call;
use crate::error::ToolError;
use crate::tool::Tool;

#[derive(Deserialize, JsonSchema)]
struct Names {
    /// The packages, by name.
    #[schemars(length(min = 1, max = 100))]
    packages: Vec<String>,
}

pub(super) fn tools() -> Vec<Tool> {
    let mut tools = look::tools();
    tools.extend(change::tools());
    tools
}

fn names(texts: &[String]) -> Result<Vec<PackageName>, ToolError> {
    let names = texts.iter().map(|text| text.parse());
    let names: Result<Vec<PackageName>, _> = names.collect();
    let mut names = names.map_err(|error| ToolError::Invalid(format!("{error}")))?;
    names.sort();
    names.dedup();
    Ok(names)
}

fn failed(call: &Call<'_>, error: PackageError) -> ToolError {
    match error {
        PackageError::Unwanted => call.check().err().unwrap_or(ToolError::Cancelled),
        PackageError::NotFound(_) => ToolError::NotFound(error.to_string()),
        PackageError::Unavailable { .. } => ToolError::Unavailable(error.to_string()),
        PackageError::TakesAlong { .. } | PackageError::Displaces(_) => {
            ToolError::Refused(error.to_string())
        }
        PackageError::Bus(error) => error.into(),
        other => ToolError::Failed(other.to_string()),
    }
}

fn manager(call: &Call<'_>) -> Result<Box<dyn PackageManager>, ToolError> {
    find(None).map_err(|error| failed(call, error))
}

/// Asks the package manager something.
fn ask<T>(
    call: &Call<'_>,
    manager: &dyn PackageManager,
    question: impl FnOnce(&dyn PackageManager, &Watch<'_>) -> Result<T, PackageError>,
) -> Result<T, ToolError> {
    let watch = Watch {
        wanted: &|| call.check().is_ok(),
        progress: &|text, percent| match percent {
            Some(percent) => call.progress(text, percent as usize, 100),
            None => call.note(text),
        },
    };
    question(manager, &watch).map_err(|error| failed(call, error))
}
