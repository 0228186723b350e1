//! Resources over time, as lines to be drawn.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::engine::Sample;
use crate::error::ToolError;

#[derive(Deserialize, JsonSchema)]
pub(super) struct Asked {
    /// Not before this time, in seconds since 1970-01-01 UTC; everything that is kept if not given.
    #[serde(default)]
    since: Option<i64>,
}

/// How busy the machine was.
#[derive(Serialize, JsonSchema)]
pub(super) struct Lines {
    /// Processors and memory in percent, and the load.
    series: [Line; 3],
}

/// One line of a plot.
#[derive(Serialize, JsonSchema)]
struct Line {
    /// What it is of.
    name: &'static str,
    /// Its unit, if it has one.
    unit: &'static str,
    /// Time in milliseconds since 1970-01-01 UTC, and value; oldest first, the last is now.
    points: Vec<(i64, f64)>,
}

pub(super) fn resources(call: &Call<'_>, asked: Asked) -> Result<Lines, ToolError> {
    let since = asked.since.unwrap_or_default().saturating_mul(1000);
    let samples = call.site.resources().since(since);
    let line = |name, unit, of: fn(&Sample) -> Option<f64>| Line {
        name,
        unit,
        points: samples
            .iter()
            .filter_map(|sample| Some((sample.time_ms, of(sample)?)))
            .collect(),
    };
    Ok(Lines {
        series: [
            line("Processors", "%", |sample| sample.processors),
            line("Memory", "%", |sample| sample.memory),
            line("Load", "", |sample| sample.load),
        ],
    })
}
