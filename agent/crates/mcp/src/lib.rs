//! The Model Context Protocol: server, bridge to the message bus, aggregator, client.

mod backend;

pub use backend::{Answer, Backend, Event, Fault, Hint, Request, Speaker, ToolInfo};
