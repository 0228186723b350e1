//! What can go wrong.

use std::io;

/// Why a link's peers are not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel did not tell.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// The kernel has links of this kind, but not the family of messages that goes with them.
    #[error("the kernel does not tell of WireGuard: load its module (modprobe wireguard)")]
    NoFamily,
    /// The program behind the link did not tell.
    #[error("ask the program that makes the link {link}: {source}")]
    Socket {
        /// The link.
        link: String,
        /// Why not.
        source: io::Error,
    },
    /// The program's answer could not be read.
    #[error("the answer of the program that makes the link cannot be read: {0}")]
    Answer(String),
    /// The program refused.
    #[error("the program that makes the link refuses to tell its peers (error number {0})")]
    Refused(i64),
}
