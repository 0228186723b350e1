//! The engine: observe, plan, apply, verify, undo.
//!
//! Knows nothing of btrfs, Open vSwitch or LXC: plugins do. Sits above nothing but serde.

mod change;
mod key;
mod plugin;

pub use change::{Change, Verb};
pub use key::{Key, KeyError};
pub use plugin::{
    Context, Desired, Direction, Effects, Observed, Owner, Plugin, PluginError, Transition,
};
