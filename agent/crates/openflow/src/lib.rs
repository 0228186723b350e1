//! OpenFlow from Rust: flows of a switch, read and changed over its management socket.
//!
//! A blocking [`Connection`] speaks OpenFlow 1.3 (ONF TS-006, wire version 4) over a Unix socket.
//! [`Connection::bundle`] changes any number of flows as one transaction, with the bundle extension
//! that ONF published for 1.3 (extension 230). A [`FlowWatch`] tells of changes by anybody. What a
//! switch reports and this crate has no type for is kept as it came: see [`RawField`] and
//! [`RawElement`].
//!
//! ```no_run
//! use openflow::{Connection, Flow, FlowFilter, FlowMod};
//! use std::time::Duration;
//!
//! let mut switch = Connection::connect("/run/openvswitch/br0.mgmt", Duration::from_secs(5))?;
//! let drop_all = Flow { priority: 1, ..Flow::default() };
//! switch.bundle(&[FlowMod::Add(drop_all)])?;
//! for entry in switch.flows(&FlowFilter::default())? {
//!     println!("{:?}", entry.flow);
//! }
//! # Ok::<(), openflow::Error>(())
//! ```

mod connection;
mod error;
mod flow;
mod matches;
mod reason;
mod socket;
mod v13;
mod watch;
mod wire;

pub use connection::Connection;
pub use error::{Error, Result, SwitchError};
pub use flow::{
    Action, Cookie, Features, Flow, FlowFilter, FlowMod, FlowStats, FlowTotals, Port, PortNo,
    PortStats, RawElement, TableStats, Traffic,
};
pub use matches::{Match, RawField, VlanId, VlanMatch};
pub use watch::FlowWatch;
pub use wire::Malformed;
