//! The HTTP doors: the Model Context Protocol at `/mcp`, behind checks that come before anything else.
//!
//! This is a process without rights. Who a caller is, and what they may, is for the daemon to say: the token of each
//! request goes to it with whatever is asked.

mod bearer;
mod body;
mod bucket;
mod budget;
mod cookies;
mod doors;
mod guard;
mod metrics;
mod packed;
mod page;
mod plain;
mod rest;
mod serve;
mod session;
mod speakers;
mod tls;
mod witness;
mod write_timeout;
mod ws;

pub use doors::{Doors, Endpoints, Setting};
pub use serve::{Answers, Limits, serve};
pub use tls::{Source, Tls, TlsError, fingerprint};
pub use witness::WitnessDoor;
