//! The plugin `systemd` under the engine with a real systemd; `systemctl` is the witness.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod absent;
mod facets;
mod fixture;
mod jobs;
mod packages;
mod undo;
