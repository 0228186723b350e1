//! Services on a message bus: their names, their objects, and what these can do.


mod model;

pub mod xml;

pub use model::{
    Access, Annotations, Arg, Direction, EmitsChanged, Interface, Method, Node, Property, Signal,
};

