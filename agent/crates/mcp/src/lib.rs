//! The Model Context Protocol: server, bridge to the message bus, aggregator, client.

pub mod aggregate;
mod backend;
pub mod client;
pub mod host;
pub mod profile;
pub mod server;
pub mod stdio;
pub mod upstream;

pub use backend::{
    Answer, Asked, Backend, Completion, Event, Fault, Hint, Output, Request, Speaker, ToolInfo,
};
