//! The host under the engine: its declaration, its plugins, its lock, and the witness that keeps the ledger.

mod guard;
pub(crate) mod host;
mod index;
pub(crate) mod kinship;
mod management;
pub(crate) mod mark;
pub(crate) mod origin;
pub(crate) mod past;
mod paths;
pub(crate) mod place;
pub(crate) mod publish;
mod recall;
mod resources;
pub(crate) mod restoring;
mod session;
mod site;
pub(crate) mod snapshots;
mod witness;

pub use guard::{await_end, awaiting, expire, watch};
pub use host::{Host, write_whole};
pub use index::{Indexed, index_entries};
pub use management::{machine_is_starting, ssh_client};
pub use mark::{Undone, Why, undone};
pub use past::converged;
pub use paths::Paths;
pub use publish::is_ours;
pub use recall::placement_of;
pub use resources::{Resources, SAMPLE_EVERY, Sample};
pub(crate) use session::run_id;
pub use session::{Changed, Choice, Ended, Limits, Session};
pub use site::{DEFAULT_FILE, Site, Source, Turn};
pub use snapshots::{end_restore, snapshot_policy};
pub use witness::LedgerWitness;

/// This very program, even where another one has taken its name since.
pub(crate) const THIS_PROGRAM: &str = "/proc/self/exe";
