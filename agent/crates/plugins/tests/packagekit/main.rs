//! The plugin `packagekit` under the engine: with a PackageKit that a test makes up, for what a real one seldom
//! does; with the real one over a repository of the test's own; and with apt and dpkg alone.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod apt;
mod bad_weather;
mod fixture;
mod hosts;
mod mock;
mod real;
mod repository;
mod service;
