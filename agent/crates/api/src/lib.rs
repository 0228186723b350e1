//! The client of the daemon's API socket.
