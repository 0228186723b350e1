//! Services on a message bus: their names, their objects, and what these can do.
//!
//! [`xml`] reads what an object says of itself, [`walk()`] a service's objects, [`names()`] the names on a bus:
//! all on a connection that the caller has. [`Scanner`] does the same for code that waits, and remembers.

mod cache;
mod call;
mod model;
mod names;
mod scanner;
mod sessions;
mod survey;
mod tree;
pub mod walk;
pub mod xml;

pub use cache::{Cache, Key, invalidate};
pub use model::{
    Access, Annotations, Arg, Direction, EmitsChanged, Interface, Method, Node, Property, Signal,
};
pub use names::{MOST_NAMES, Name, Names, names};
pub use scanner::{Scanner, Scanners, Which};
pub use sessions::{Session, Sessions, sessions};
pub use survey::survey;
pub use tree::{Fault, Object, Reason, Tree, Truncation};
pub use walk::{Limits, WalkError, walk};
