//! Links, addresses and routes of a network namespace, over blocking rtnetlink.
//!
//! [`Netlink::open`] opens one conversation with the kernel, in the network namespace of the calling
//! thread; the value stays in that namespace wherever it is used from. Requests are composed with
//! `netlink-packet-route`. Of an answer only the attributes that are needed are read, so that one
//! that a newer kernel adds or changes cannot hide the rest.
//!
//! Adding what is there and deleting what is gone succeed: every call may be repeated.

mod address;
mod answer;
mod error;
mod link;
mod route;
mod socket;

pub use address::Address;
pub use error::Error;
pub use link::{Link, LinkName};
pub use route::{MAIN_TABLE, Route};
pub use socket::Netlink;
