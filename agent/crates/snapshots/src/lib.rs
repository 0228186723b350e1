//! Snapshots of a base's subvolumes: made together, kept by a schedule, compared, and brought back.
//!
//! A snapshot is a directory `@snapshots/NAME` with one read-only subvolume for each subvolume that it has, under
//! that subvolume's name, and `snapshot.json`, which says what it is. It appears whole or not at all. The
//! schedule is a pure function, [`schedule()`]; the [`Store`] does what it says.

mod before;
mod change;
mod class;
mod diff;
mod error;
mod name;
mod paths;
mod record;
mod restore;
mod schedule;
mod store;
mod tree;

pub use class::Class;
pub use diff::{Bounds, Difference, Differences, What};
pub use error::{Error, Result};
pub use name::{NameError, SnapshotName, is_subvolume_name};
pub use record::{Record, Taken};
pub use restore::{Kind, Recovered, Restored};
pub use schedule::{Due, Known, Policy, Schedule, next, schedule};
pub use store::{Foreign, Found, Locked, NewSnapshot, Ownership, Snapshot, Store};
