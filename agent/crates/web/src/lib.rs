//! The HTTP doors: the Model Context Protocol at `/mcp`, behind checks that come before anything else.
//!
//! This is a process without rights. Who a caller is, and what they may, is for the daemon to say: the token of each
//! request goes to it with whatever is asked.

mod bearer;
mod doors;
mod guard;
mod plain;
mod serve;
mod session;
mod witness;

pub use doors::{Doors, Endpoints};
pub use guard::Names;
pub use serve::{Answers, Limits, serve};
pub use witness::WitnessDoor;
