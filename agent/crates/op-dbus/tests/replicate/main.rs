//! Replication between two real file systems, with `btrfs` as the witness, and all that can break on the way.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod broken;
mod by_hand;
mod pair;
#[path = "../rig/mod.rs"]
mod rig;
mod rotation;
mod whole;

use std::time::Duration;

const SHORT: Duration = Duration::from_secs(30);
