//! A message bus for code that waits: blocking calls with a limit, over `zbus`.

mod bus;
mod error;
mod listener;
pub mod mapping;

pub use bus::{Bus, Peer};
pub use error::Error;
pub use listener::Listener;
/// Values without a fixed type, as peers give them.
pub use zbus::{DynamicType, Message, OwnedObjectPath, OwnedVariant, Variant};

/// The properties of an object, by name.
pub type Properties = std::collections::HashMap<String, OwnedVariant>;

/// A value as plain JSON, for people and models: [`mapping::decode`] in [`mapping::Mode::Plain`].
pub fn json(value: &Variant<'_>) -> serde_json::Value {
    mapping::decode(value, mapping::Mode::Plain)
}
