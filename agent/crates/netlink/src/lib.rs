//! Links, addresses, routes and neighbours of a network namespace, over blocking rtnetlink.
//!
//! [`Netlink::open`] opens one conversation with the kernel, in the network namespace of the calling
//! thread; the value stays in that namespace wherever it is used from. Requests are composed with
//! `netlink-packet-route`. Of an answer only the attributes that are needed are read, so that one
//! that a newer kernel adds or changes cannot hide the rest.
//!
//! [`Generic`] is the same for a family of generic netlink, whose messages other crates compose and read.
//!
//! Adding what is there and deleting what is gone succeed: every call may be repeated.

mod address;
mod answer;
mod changes;
mod error;
mod generic;
mod link;
mod link_statistics;
mod neighbour;
mod route;
mod route_entry;
mod socket;

pub use address::{Address, AddressEntry};
pub use changes::Changes;
pub use error::Error;
pub use generic::Generic;
pub use link::{Link, LinkName};
pub use link_statistics::{LinkStatistics, OperState};
pub use neighbour::{Neighbour, NeighbourState};
pub use route::{MAIN_TABLE, Route};
pub use route_entry::RouteEntry;
pub use socket::Netlink;
