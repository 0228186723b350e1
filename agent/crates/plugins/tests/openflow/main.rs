//! The plugin `openflow` under the engine on a real Open vSwitch, with `ovs-ofctl` as the witness.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod drift;
mod failure;
mod fixture;
mod ownership;
mod scale;
mod tables;
