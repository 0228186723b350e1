//! Recognise, describe and validate data of any form, and remember what was learned.
//!
//! What is looked at may be hostile: everything is within [`Limits`]. Nothing here knows tools, doors or a bus.

mod binary;
pub mod container;
mod describe;
mod error;
mod format;
mod knowledge;
mod limits;
pub mod parse;
mod place;
mod recognise;
mod recursion;
mod schema;
mod secret;
mod shape;
mod source;
mod validate;

pub use describe::{Inspection, inspect, sha256};
pub use error::Error;
pub use format::Formats;
pub use knowledge::{Example, Hit, Knowledge, KnowledgeError, Known, Lesson, Name, Taught};
pub use limits::{Budget, Limits};
pub use place::Place;
pub use recognise::{Format, Recognised, recognise};
pub use schema::DRAFT;
pub use secret::{MASK, masked, sounds_secret};
pub use shape::{Keys, Lists, Numbers, Objects, Shape, Texts};
pub use source::{Source, open};
pub use validate::{Checker, Fault};
