//! A conversation with the host: messages, plans, approvals, running calls, and the live state beside them.
//!
//! It speaks no HTTP. A door gives it a [`Speaker`] and gets a [`Seat`]: texts go in by [`Seat::hear`], events come out
//! by [`Seat::next`]. Everything that is asked of the host goes by the daemon's socket with the speaker's token; this
//! crate decides nothing about rights.

pub mod answer;
pub mod model;
pub mod thinker;
