//! The server end: databases in memory, and the protocol over a stream.
//!
//! A [`Server`] holds databases that its owner fills with [`Server::transact`]. For each client the owner calls
//! [`Server::connect`], hands the [`Session`] what the client sends, and sends the client what comes up in
//! the session's [`Output`]; [`serve()`] does that for a socket. Answers are those of `ovsdb-server`.

mod catalog;
mod commit;
mod condition;
mod database;
mod datum;
mod fault;
mod framing;
mod host;
mod locks;
mod members;
mod monitor;
mod mutation;
mod outbox;
mod requests;
mod schema;
mod serve;
mod session;
mod symbols;
mod transaction;
mod types;
mod update;

pub use database::Database;
pub use fault::{Fault, Kind};
pub use framing::Malformed;
pub use outbox::{Closed, Output, Waker};
pub use schema::{Schema, SchemaError};
pub use serve::serve;
pub use session::{Flow, Options, Server, Session};
