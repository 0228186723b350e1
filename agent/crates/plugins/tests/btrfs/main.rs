//! The plugin `btrfs` under the engine on real file systems, with the `btrfs` program as the witness.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod base;
mod fixture;
mod ownership;
mod subvolumes;
mod undo;
