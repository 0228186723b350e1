//! An append-only log in SQLite whose entries are chained by SHA-256.
//!
//! Each entry holds the hash of the one before it. Whoever keeps a [`Head`] elsewhere can prove later
//! that nothing up to it was edited, removed, inserted or moved. The file is one table of one SQLite
//! database, readable with any SQLite tool; nothing is hidden beside it.
//!
//! ```no_run
//! use ledger::{Filter, Ledger, NewEntry};
//! use serde_json::json;
//!
//! let ledger = Ledger::open("/var/lib/op-dbus/@timing/blockchain.db")?;
//! let entry = ledger.append(&NewEntry {
//!     operation: "container_create".into(),
//!     target: "web-01".into(),
//!     metadata: json!({ "run": "7f3a", "outcome": "done" }),
//! })?;
//! assert_eq!(ledger.query(&Filter { run: Some("7f3a".into()), ..Filter::default() })?.last(), Some(&entry));
//! assert!(ledger.verify(Some(&entry.current_hash.to_string()))?.valid);
//! # Ok::<(), ledger::Error>(())
//! ```
//!
//! # The hash
//!
//! `current_hash` is the lower-case hexadecimal SHA-256 of the RFC 8785 canonical JSON of
//! `{id, metadata, operation, previous_hash, target, timestamp}`. `metadata` is stored in that form
//! already, and is hashed as it is stored: re-spacing it counts as an edit. `embedding` is no part of
//! the hash, since models change and history does not.
//!
//! The genesis row has a fixed hash, 64 zeros. For it to be protected as well, the metadata of the
//! first entry after it carries `genesis_hash`, which is what the hash of the genesis row would be.

mod append;
mod database;
mod entry;
mod error;
mod filter;
mod hash;
mod ledger;
mod metadata;
mod proofs;
mod record;
mod recover;
mod schema;
mod space;
mod verify;

pub use entry::{Entry, Head, NewEntry};
pub use error::{Error, Result};
pub use filter::Filter;
pub use hash::{Hash, NotAHash};
pub use ledger::Ledger;
pub use proofs::{
    Audit, Claim, Consistency, Expectations, Finding, Guarantee, ProofError, Published, Publisher,
};
pub use recover::{Findings, Outcome, Recovered, Recovery, Refusal};
pub use verify::{Bad, Reason, Verification};
