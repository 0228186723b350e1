//! What people need to use MCP servers: those that other programs know of, and the configuration by which other
//! programs know this one.

mod config;
mod known;
mod relaxed;

pub use config::{Client, Door, configuration};
pub use known::{Found, Known, Places, Problem, masked};
