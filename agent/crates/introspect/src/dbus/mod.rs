//! Services on a message bus: their names, their objects, and what these can do.

mod call;
mod model;
pub mod walk;
pub mod xml;

pub use model::{
    Access, Annotations, Arg, Direction, EmitsChanged, Interface, Method, Node, Property, Signal,
};
pub use walk::{Fault, Limits, Object, Reason, Tree, Truncation, WalkError, walk};
