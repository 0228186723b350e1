//! Everything that may be asked of the host, registered once and served by every door.
//!
//! A [`Tool`] has a name, schemas, an effect and the role that it takes. The [`Registry`] is the only way to
//! call one: it checks the caller's right, the arguments, the plan and the answer, and writes the ledger, so
//! that no door can do without.

mod agent;
pub mod builtin;
mod call;
mod caller;
pub mod engine;
mod error;
pub mod export;
mod orchestrator;
mod page;
mod record;
mod refusals;
mod registry;
pub mod replication;
mod schema;
mod tool;

pub use agent::{AGENTS, Agent, Operation};
pub use call::{Call, Cancel, Event, Kind, Options};
pub use caller::{Accounts, Caller, Door, Role, TOKEN, token_of};
pub use error::ToolError;
pub use orchestrator::{Orchestrator, PRIORITIES, Submission, may_see, of_queue, owner};
pub use page::{Page, json_size, page};
pub use registry::{Accepted, Description, Registry};
pub use secret_names::{is_secret, may_be_secret, sounds_secret};
pub use tool::{Domain, Effect, Tool};
