//! Other MCP servers: how they are started or reached, and what is believed of what they say.
//!
//! Nothing that an upstream server sends is trusted. A message, a list, a text and a schema have a largest size
//! ([`bounds`]); a schema has to compile and an answer to fit it; texts lose what a terminal or a model could
//! take for something else, and say whose they are. What does not fit is left out, with the reason.

pub mod bounds;
mod child;
mod connection;
mod declared;
mod error;
mod guard;
mod http;
mod name;
mod offer;
mod schema;
mod stderr;
mod text;

pub use child::Account;
pub(crate) use child::regular;
pub use connection::{Answered, Connection};
pub use declared::{Report, Standing, Upstream};
pub use error::UpstreamError;
pub use guard::{Guard, Unreachable};
pub use http::{Posted, post};
pub use name::{LONGEST_NAME, tool_name};
pub use offer::{LeftOut, Offer, Offered};
pub use text::{clean, foreign};
