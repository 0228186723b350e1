//! The tools, and what is understood by them.

use jiff::Zoned;

use crate::context::Context;
use crate::meaning::{Completion, Meaning, Understanding};
use crate::tool::Tool;
use crate::world::World;

/// The tools that sentences can ask for.
#[derive(Debug)]
pub struct Catalog {
    tools: Vec<Tool>,
}

impl Catalog {
    /// A catalogue of these tools.
    pub fn new(tools: Vec<Tool>) -> Self {
        Self { tools }
    }

    /// The tools.
    pub fn tools(&self) -> &[Tool] {
        &self.tools
    }

    /// What a text means, sentence by sentence; a sentence about several things gives one for each of them.
    pub fn understand(
        &self,
        _world: &World,
        _context: &Context,
        text: &str,
        _now: &Zoned,
    ) -> Vec<Understanding> {
        vec![Understanding {
            sentence: text.to_owned(),
            understood: "nothing yet".to_owned(),
            meaning: Meaning::Unknown,
            score: 0.0,
            alternatives: Vec::new(),
        }]
    }

    /// Ways to go on with what was typed so far, best first; at most eight.
    pub fn complete(&self, _world: &World, _context: &Context, _prefix: &str) -> Vec<Completion> {
        Vec::new()
    }
}
