//! Sentences of administrators as calls of tools: a grammar for what is meant, and a ranker for what comes near.
//!
//! [`Catalog`] knows the tools, [`World`] the names on the host, [`Context`] what was talked of. Nothing here asks
//! anybody or does anything: [`Catalog::understand`] is a function of its arguments.
//!
//! What changes the host comes from the grammar alone, and only where it has a place for every word of the sentence.
//! Whatever the ranker finds is offered, or asked if it only reads.

mod catalog;
mod clauses;
mod complete;
mod context;
mod fill;
mod frames;
mod grammar;
mod items;
mod lexicon;
mod meaning;
mod names;
mod rank;
mod talk;
mod tool;
mod words;
mod world;

pub use catalog::Catalog;
pub use context::Context;
pub use meaning::{Alternative, Completion, Meaning, Slot, Understanding};
pub use tool::{Effect, Tool};
pub use world::{Kind, World};

/// The longest text that is looked at, in bytes; the rest of a longer one is left out.
pub const LONGEST: usize = 64 << 10;
