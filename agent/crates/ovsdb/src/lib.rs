//! OVSDB (RFC 7047): values, operations, a client with a monitor cache, and a server ([`server`]).
//!
//! Knows the protocol and nothing of Open vSwitch's schema. Blocking: one thread reads, callers wait.

mod client;
mod error;
mod operation;
pub mod server;
mod table;
mod value;
mod wire;

pub use client::{Client, Done};
pub use error::{Error, Refusal};
pub use operation::{Mutator, Operation, Where};
pub use table::{Row, Tables};
pub use value::{Atom, Uuid, Value, ValueError};
