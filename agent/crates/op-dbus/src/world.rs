//! The tools and the names that sentences are about, as the registry tells them.

use jiff::Zoned;
use say::{Catalog, Context, Understanding, World};
use serde_json::Value;
use tools::Options;

use crate::failure::Failure;
use crate::line::Line;

/// What a text means on this host.
pub(crate) fn understand(
    line: &mut Line<'_>,
    text: &str,
) -> Result<(Catalog, Vec<Understanding>), Failure> {
    let catalog = catalog(line)?;
    let world = world(line);
    let understood = catalog.understand(&world, &Context::default(), text, &Zoned::now());
    Ok((catalog, understood))
}

fn catalog(line: &mut Line<'_>) -> Result<Catalog, Failure> {
    let tools = line.tools()?.into_iter().map(serde_json::from_value);
    let tools = tools
        .collect::<Result<_, _>>()
        .map_err(anyhow::Error::from)?;
    Ok(Catalog::new(tools))
}

/// The names that are known. What this host has not, such as Open vSwitch, has no names.
fn world(line: &mut Line<'_>) -> World {
    let mut world = World::default();
    for (tool, arguments) in World::sources() {
        let answer: Result<Value, Failure> = line.call(tool, arguments, Options::default());
        match answer {
            Ok(answer) => world.read(tool, &answer),
            Err(failure) => log::debug!("no names from {tool}: {failure}"),
        }
    }
    world
}
