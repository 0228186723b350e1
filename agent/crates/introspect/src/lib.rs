//! What is on this machine: the message bus, hardware, software, file systems, runtime, sessions, network.
//!
//! Everything here only looks. Nothing is started, no program is run, and nothing of what a peer or the kernel
//! says is believed to be small, well formed or quick: each look has bounds, and says what they cut off.

pub mod dbus;
