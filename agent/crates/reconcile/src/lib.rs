//! The engine: observe, plan, apply, verify, undo.
//!
//! Knows nothing of btrfs, Open vSwitch or LXC: plugins do. `plan` is the pure heart; `run` carries a plan
//! out, with the journal before and after each change; `recover` ends what another run left.

mod change;
mod journal;
mod key;
mod lock;
mod plan;
mod plugin;
mod recover;
mod rollback;
mod run;
mod schedule;
mod story;
mod verify;

pub use change::{Change, Verb};
pub use journal::{Ending, Journal, JournalError, Record, Timed};
pub use key::{Key, KeyError};
pub use lock::{KeeperLock, LockError, RunLock};
pub use plan::{
    Note, Plan, PlanError, PlanHash, Refusal, Summary, World, difference, observe, plan,
};
pub use plugin::{
    Context, Desired, Direction, Effects, Observed, Owner, Plugin, PluginError, Transition,
};
pub use recover::{Recovery, confirm, recover, undo};
pub use rollback::{Conflict, Past, Rollback, roll_back};
pub use run::{Order, Outcome, Report, RunError, Witness, apply};
pub use story::{Progress, Stage, Story};
pub use verify::{Drift, drift};
