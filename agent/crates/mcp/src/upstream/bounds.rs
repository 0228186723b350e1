//! How much of an upstream server is taken.

use std::time::Duration;

/// One message: a line of standard output, or an event of a stream. In bytes.
pub const MESSAGE: usize = 4 << 20;

/// Tools that are passed on.
pub const TOOLS: usize = 500;

/// Pages that a list may come in.
pub const PAGES: usize = 64;

/// A description, in bytes.
pub const DESCRIPTION: usize = 2000;

/// A title, in bytes.
pub const TITLE: usize = 100;

/// The text of an error, in bytes.
pub const ERROR: usize = 2000;

/// A schema, in bytes of JSON.
pub const SCHEMA: usize = 64 << 10;

/// How deep a schema is nested, with what it refers to in place.
pub const SCHEMA_DEPTH: usize = 32;

/// Values in a schema, with what it refers to in place.
pub const SCHEMA_VALUES: usize = 4000;

/// Values in an answer or in arguments: each may be held against each part of a schema.
pub const VALUES: usize = 50_000;

/// Values in what does not fit a schema, for its faults to be named. The library makes an object of each fault
/// before the first can be looked at, and there may be as many as values times parts of the schema.
pub const VALUES_NAMED: usize = 200;

/// Calls on their way to one server.
pub const CALLS: usize = 8;

/// A token or a value of the environment, in bytes.
pub const SECRET: u64 = 64 << 10;

/// The longest that a connection and its list may take, at most the server's own limit for a call.
pub const START: Duration = Duration::from_secs(20);

/// The pause after the second failure; each further one doubles it.
pub const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long a program may take to end after its input has.
pub const FAREWELL: Duration = Duration::from_secs(1);
