//! Snapshots of btrfs subvolumes, sent to another file system: here, or on another host.
//!
//! A snapshot is a directory with one read-only subvolume for each thing that was snapshotted. The sending end compares
//! what it has with what the far end holds, by UUID and never by name, chooses for each subvolume what its stream builds
//! on ([`plan`]), and sends ([`Session`]). The far end ([`serve`]) receives into a directory of its own that nobody else
//! can enter, verifies, and lets the whole snapshot appear at once. It is the same program at both ends; what writes
//! into the far file system is `btrfs receive`.

mod error;
mod far;
mod incoming;
mod lineage;
mod local;
mod name;
mod reach;
mod receiver;
mod session;
mod wire;

pub use error::{Error, Result};
pub use far::{Check, Terms, serve};
pub use lineage::{Plan, Step, Transfer, Want, plan};
pub use local::{MANIFEST, Snapshot, Subvolume, snapshots};
pub use name::{Name, NameError};
pub use reach::{Reach, Ssh};
pub use receiver::{Bounds, receive};
pub use session::{Observer, Progress, Sent, Session};
pub use wire::{Held, HeldSubvolume, VERSION};
