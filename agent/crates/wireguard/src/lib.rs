//! The peers of WireGuard links: of the kernel's, by generic netlink, and of those that a program in user space
//! makes (wireguard-go, boringtun), by the socket that it listens on. Secret keys are read over and never kept.

mod error;
mod kernel;
mod user_space;

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use netlink::Netlink;

pub use error::Error;
pub use user_space::parse;

/// How long the keys of a handshake are good: nothing is received with older ones (`Reject-After-Time`, section 6.1 of
/// the WireGuard paper, <https://www.wireguard.com/papers/wireguard.pdf>).
pub const KEYS_ARE_GOOD: Duration = Duration::from_secs(180);

/// The kind of the kernel's own links, in its word.
const KIND: &str = "wireguard";

/// A public key (Curve25519). It is written in base64, as `wg` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

/// Who is at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// By what it is known.
    pub key: PublicKey,
    /// Where it was last heard of, or is declared to be.
    pub endpoint: Option<SocketAddr>,
    /// What is sent to it, and taken from it.
    pub allowed: Vec<IpNet>,
    /// When the last handshake was.
    pub last_handshake: Option<SystemTime>,
    /// Bytes received from it.
    pub rx_bytes: u64,
    /// Bytes sent to it.
    pub tx_bytes: u64,
    /// After how many seconds of silence something is sent, if that is asked for.
    pub keepalive: Option<u16>,
}

impl Peer {
    /// One of which nothing is known but its key.
    fn new(key: PublicKey) -> Self {
        Self {
            key,
            endpoint: None,
            allowed: Vec::new(),
            last_handshake: None,
            rx_bytes: 0,
            tx_bytes: 0,
            keepalive: None,
        }
    }

    /// Takes in the seconds and nanoseconds of a handshake, which are 0 where there was none.
    fn shook_hands(&mut self, seconds: u64, nanoseconds: u32) {
        let since =
            Duration::from_secs(seconds).checked_add(Duration::from_nanos(nanoseconds.into()));
        let at = since.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
        self.last_handshake = at.filter(|at| *at != SystemTime::UNIX_EPOCH);
    }
}

/// What a WireGuard link says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Device {
    /// The UDP port that it listens on.
    pub port: Option<u16>,
    /// Its peers.
    pub peers: Vec<Peer>,
}

/// A WireGuard link.
#[derive(Debug)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// What it says of itself, or why it says nothing.
    pub device: Result<Device, Error>,
}

/// The WireGuard links of the calling thread's network namespace, in the order of their names.
pub fn links() -> Result<Vec<Link>, Error> {
    let links = Netlink::open()?.links()?;
    let mut links: Vec<_> = links
        .into_iter()
        .filter_map(|link| {
            let device = if link.kind.as_deref() == Some(KIND) {
                kernel::read(&link.name)
            } else {
                user_space::read(&link.name)?
            };
            Some(Link {
                name: link.name,
                device,
            })
        })
        .collect();
    links.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(links)
}
