//! The Model Context Protocol: server, bridge to the message bus, aggregator, client.

mod backend;
pub mod host;
pub mod profile;
pub mod server;
pub mod stdio;

pub use backend::{
    Answer, Asked, Backend, Completion, Event, Fault, Hint, Output, Request, Speaker, ToolInfo,
};
