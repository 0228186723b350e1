//! Versions of a program side by side, and an atomic switch from one to another.
//!
//! ```text
//! BASE/deployment-manifest.json     what there is, since when, by whom
//! BASE/versions/NAME/bin/op-dbus    a version: a read-only subvolume on btrfs, a directory elsewhere
//! BASE/mounts/NAME                  elsewhere: the overlay mount whose lower layer is that version
//! BASE/current -> …                 the version that serves
//! ```
//!
//! `current` is renamed over, so that whoever follows it finds the old version or the new one. Before it is, the
//! manifest says what is being tried; [`Held::settle`] ends what a killed process has begun.
//!
//! Nothing here starts a program: whoever deploys says whether a version is well.

mod error;
mod held;
mod manifest;
mod name;
mod place;
mod staged;

pub use error::{Error, Result};
pub use held::{Held, Settled};
pub use manifest::{Kind, Manifest, Trial, Version};
pub use name::{Name, NameError};
pub use place::{PROGRAM, Place};
pub use staged::{Candidate, Staged};
