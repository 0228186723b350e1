//! What a walk has seen.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::model::Interface;

/// A service's objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The name that was asked for.
    pub service: String,
    /// The connection behind it, such as `:1.7`.
    pub owner: String,
    /// Where the walk began.
    pub root: String,
    /// The objects, by path.
    pub objects: Vec<Object>,
    /// What was cut off; empty if these are all the objects.
    pub truncated: Vec<Truncation>,
    /// What single objects said that could not be used, at most [`MOST_FAULTS`](super::walk::MOST_FAULTS).
    pub faults: Vec<Fault>,
}

/// An object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its path.
    pub path: String,
    /// What it can do; the same definition is there once for all objects of a tree that share it.
    pub interfaces: Vec<Arc<Interface>>,
}

/// What a walk has left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Truncation {
    /// Why.
    pub reason: Reason,
    /// In words.
    pub text: String,
}

/// Why a walk has left something out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// There are more objects than were asked for.
    Objects,
    /// There are objects deeper than was asked for.
    Depth,
    /// The objects say more than is taken in.
    Bytes,
    /// The time was over.
    Time,
    /// The service gave no answer.
    Hung,
    /// The service left the bus.
    Gone,
    /// Whoever asked has stopped it.
    Stopped,
}

/// Something of an object that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Fault {
    /// The object.
    pub path: String,
    /// What is wrong.
    pub text: String,
}
