//! The client of the daemon's API socket: JSON-RPC 2.0, many calls at once, over few connections.
//!
//! ```no_run
//! # async fn example() -> Result<(), api::Error> {
//! let client = api::Client::new("/run/op-dbus/jsonrpc.sock");
//! let answer = client.call(&api::Call::of("container_list"), |event| println!("{}", event.text)).await?;
//! println!("{answer}");
//! # Ok(())
//! # }
//! ```

mod bounds;
mod client;
mod error;
mod link;
mod message;

pub use bounds::{Bounds, DEEPEST, Excess, LARGEST, VALUES};
pub use client::Client;
pub use error::{Code, Error};
pub use message::{
    Answer, Call, Effect, Event, Identity, Login, SessionInfo, Tokens, Tool, Verdict,
};

/// Where the daemon listens unless it is told otherwise.
pub const SOCKET: &str = "/run/op-dbus/jsonrpc.sock";
