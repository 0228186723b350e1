//! OVSDB (RFC 7047): values, operations, and a client with a monitor cache.
//!
//! Knows the protocol and nothing of Open vSwitch's schema. Blocking: one thread reads, callers wait.

mod client;
mod error;
mod operation;
mod table;
mod value;
mod wire;

pub use client::{Client, Done};
pub use error::{Error, Refusal};
pub use operation::{Mutator, Operation, Where};
pub use table::{Row, Tables};
pub use value::{Atom, Uuid, Value, ValueError};
