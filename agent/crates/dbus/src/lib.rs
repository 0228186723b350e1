//! A message bus for code that waits: blocking calls with a limit, over `zbus`.

mod bus;
mod error;
mod json;
mod listener;

pub use bus::{Bus, Peer};
pub use error::Error;
pub use json::json;
pub use listener::Listener;
/// Values without a fixed type, as peers give them.
pub use zbus::{DynamicType, Message, OwnedObjectPath, OwnedVariant, Variant};

/// The properties of an object, by name.
pub type Properties = std::collections::HashMap<String, OwnedVariant>;
