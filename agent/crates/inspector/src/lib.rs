//! Recognise, describe and validate data of any form, and remember what was learned.

mod error;
mod format;
mod limits;
pub mod parse;
mod schema;
mod secret;
mod shape;

pub use error::Error;
pub use format::Formats;
pub use limits::{Budget, Limits};
pub use schema::DRAFT;
pub use secret::{MASK, masked, sounds_secret};
pub use shape::{Keys, Lists, Numbers, Objects, Shape, Texts};
