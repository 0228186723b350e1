//! The most that is taken of a server, whatever it sends.

/// Bytes of one answer as they come over the network.
pub const ANSWER: usize = 8 << 20;
/// Bytes of one event of a stream, or of one line in it.
pub const EVENT: usize = 1 << 20;
/// Bytes of text in an answer, with what the model thought.
pub const TEXT: usize = 256 << 10;
/// Bytes of the arguments of one tool call.
pub const ARGUMENTS: usize = 64 << 10;
/// Tool calls in one answer.
pub const CALLS: usize = 32;
/// Bytes of the name or the id of a tool call.
pub const NAME: usize = 256;
/// Bytes of a key.
pub const KEY: usize = 16 << 10;
/// Characters of what a server says went wrong.
pub const COMPLAINT: usize = 300;
/// Models in a server's list.
pub const MODELS: usize = 2000;
