//! Plugins made from D-Bus services: their files, and what they do to a service of the test's own.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod algebra;
mod files;
mod schemas;
mod shop;
