//! A hash chain over operations, in one SQLite table.
//!
//! The table holds everything there is; nothing is hidden elsewhere. Each entry's hash is the SHA-256
//! of the canonical JSON (RFC 8785) of `{id, timestamp, operation, target, metadata, previous_hash}`, so
//! that an edited, removed, inserted or moved entry breaks the chain. Embeddings stay outside of it.

mod append;
mod entry;
mod error;
mod query;
mod store;
mod verify;

pub use entry::{Entry, Head, NewEntry};
pub use error::Error;
pub use query::Filter;
pub use store::Ledger;
pub use verify::{Bad, Reason, Verification};
