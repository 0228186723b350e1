//! A conversation with the host: messages, plans, approvals, running calls, and the live state beside them.
//!
//! It speaks no HTTP. A door gives a [`Speaker`] to [`Chat::join`] and gets a [`Seat`]: texts go in by
//! [`Seat::hear`], events come out by [`Seat::next`]. Everything that is asked of the host goes by the daemon's socket
//! with the speaker's token; nothing here decides about rights.

pub mod answer;
mod call;
mod chat;
mod conversation;
mod event;
mod history;
mod kept;
mod knowledge;
mod live;
pub mod markdown;
pub mod model;
mod plan;
mod plans;
mod request;
mod seat;
mod speaker;
mod talk;
pub mod thinker;
mod turn;
mod window;

pub use chat::{Chat, Observer};
pub use event::{Body, Decision, Status, tool_fault};
pub use live::Topic;
pub use request::{LONGEST, Request};
pub use seat::Seat;
pub use speaker::{Right, Speaker};
