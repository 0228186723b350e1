//! The declaration: what a host should have, as a person wrote it down.
//!
//! A document in JSON or YAML becomes a [`Declaration`], or [`Problems`]: all of them at once, each
//! with its place, what was found there and what would be accepted. One definition of each section
//! gives the Rust type, the decoder, the encoder, the JSON Schema ([`schema()`]) and the reference for
//! people ([`reference()`]), so that they cannot drift apart.
//!
//! Nothing here knows the system: a declaration that is sound may still be impossible on a machine.

mod access;
mod action;
mod builtin;
mod cache;
mod chat;
mod check;
mod define;
mod document;
mod flow;
mod form;
mod json;
mod ledger;
mod lxc;
mod mcp;
mod ml;
mod names;
mod network;
mod numbers;
mod packagekit;
mod pattern;
mod problem;
mod reader;
mod reference;
mod replication;
mod schema;
mod sections;
mod size;
mod snapshots;
mod storage;
mod systemd;
mod template;
mod tree;
mod url_prefix;
mod values;
mod web;
pub mod wiring;
mod yaml;

pub use access::{Access, Files, Inspect, Reconcile, Who};
pub use action::Action;
pub use cache::{Cache, Numa, NumaPolicy, NumaStrategy};
pub use chat::{Chat, ChatModel, ModelWhen};
pub use define::UnknownWord;
pub use document::{ContainersFile, Declaration, Format, Plugins, ReadError, Version};
pub use flow::{Flow, FlowTables, MacAddr, MacAddrError, Match, MeshPath, Openflow};
pub use ledger::{Checkpoints, DeclaredWitness, Ledger, Witnessing};
pub use lxc::{Container, Lxc, Network};
pub use mcp::{Address, LeastRole, Mcp, Program, Reach, Upstream, UpstreamEffect, Variable};
pub use ml::{ExecutionProvider, Ml};
pub use names::{
    AccountName, BridgeName, CommandName, ContainerName, LinkName, NameError, PackageName,
    PackageVersion, PluginName, SubvolumeName, TargetName, TemplateName, TokenName, UnitName,
    UpstreamName, VariableName, WitnessName,
};
pub use network::{Bridge, Datapath, FailMode, Ovs, Port, PortType};
pub use packagekit::{Ensure, Package, PackageProvider, Packagekit};
pub use pattern::ToolPattern;
pub use problem::{DocumentPath, Problem, Problems, Step};
pub use reference::{EXAMPLE, reference};
pub use replication::{Replication, Ssh, Target};
pub use schema::schema;
pub use sections::{AnySections, NoSections, Sections};
pub use size::{Size, SizeError};
pub use snapshots::{Retention, SnapshotPolicy, Snapshots};
pub use storage::{Base, Btrfs, Compression, CompressionError, Subvolume};
pub use systemd::{Systemd, Unit};
pub use template::{Bootstrap, Recipe, Template};
pub use url_prefix::UrlPrefix;
pub use web::{Profile, Scope, Tls, Token, Web};
