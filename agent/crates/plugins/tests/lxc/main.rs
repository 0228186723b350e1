//! The plugin `lxc` under the engine with real containers; LXC's own programs, `btrfs`, `/proc` and the
//! control groups are the witnesses.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bad_weather;
mod configuration;
mod containers;
mod fixture;
mod network;
mod ownership;
mod restart;
mod templates;
mod undo;
