//! Who is at the other end of WireGuard links.

use std::net::SocketAddr;
use std::time::SystemTime;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wireguard::{KEYS_ARE_GOOD, Peer};

use super::failed;
use super::items::Names;
use crate::call::Call;
use crate::error::ToolError;
use crate::page::{Page, page};

#[derive(Deserialize, JsonSchema)]
pub(super) struct OfMesh {
    /// Only the peers of the link of this name.
    #[serde(default)]
    link: Option<String>,
    #[serde(flatten)]
    page: Page,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Peers {
    /// The peers, by link.
    peers: Vec<PeerItem>,
    /// Links of which the peers could not be read.
    unreadable: Vec<Unreadable>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A peer of a WireGuard link.
#[derive(Serialize, JsonSchema)]
struct PeerItem {
    /// The link.
    link: String,
    /// Its public key, in base64.
    public_key: String,
    /// Whether it is there.
    state: State,
    /// The UDP address that it was last heard from, or is declared to have.
    endpoint: Option<SocketAddr>,
    /// What is sent to it and taken from it.
    allowed_addresses: Vec<String>,
    /// When it last agreed on keys.
    last_handshake: Option<String>,
    /// Bytes received from it.
    rx_bytes: u64,
    /// Bytes sent to it.
    tx_bytes: u64,
    /// After how many seconds of silence something is sent to it; null for never.
    keepalive_seconds: Option<u16>,
}

/// What the time of the last handshake says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    /// Its keys are good: the last handshake is no longer ago than three minutes.
    Connected,
    /// Its keys are old: it is away, or there was nothing to send.
    Silent,
    /// There was no handshake since the link is there.
    Unreached,
}

impl State {
    fn at(now: SystemTime, last_handshake: Option<SystemTime>) -> Self {
        match last_handshake {
            None => Self::Unreached,
            // A handshake in the future is one before the clock was set.
            Some(at) => match now.duration_since(at) {
                Ok(age) if age > KEYS_ARE_GOOD => Self::Silent,
                _ => Self::Connected,
            },
        }
    }
}

/// A link that did not tell.
#[derive(Serialize, JsonSchema)]
struct Unreadable {
    /// The link.
    link: String,
    /// Why not.
    error: String,
}

pub(super) fn list(_: &Call<'_>, input: OfMesh) -> Result<Peers, ToolError> {
    let netlink = netlink::Netlink::open().map_err(failed)?;
    Names::read(&netlink)?.index(input.link.as_ref())?;
    let mut links = wireguard::links().map_err(|error| ToolError::Failed(error.to_string()))?;
    links.retain(|link| input.link.as_ref().is_none_or(|only| *only == link.name));
    let (now, mut items, mut unreadable) = (SystemTime::now(), Vec::new(), Vec::new());
    for link in links {
        match link.device {
            Ok(device) => items.extend(device.peers.iter().map(|peer| item(&link.name, peer, now))),
            Err(error) => unreadable.push(Unreadable {
                link: link.name,
                error: error.to_string(),
            }),
        }
    }
    let (peers, next_cursor) = page(items, &input.page)?;
    Ok(Peers {
        peers,
        unreadable,
        next_cursor,
    })
}

fn item(link: &str, peer: &Peer, now: SystemTime) -> PeerItem {
    let last_handshake = peer
        .last_handshake
        .and_then(|at| Timestamp::try_from(at).ok());
    PeerItem {
        link: link.to_owned(),
        public_key: peer.key.to_string(),
        state: State::at(now, peer.last_handshake),
        endpoint: peer.endpoint,
        allowed_addresses: peer.allowed.iter().map(ToString::to_string).collect(),
        last_handshake: last_handshake.map(|at| at.to_string()),
        rx_bytes: peer.rx_bytes,
        tx_bytes: peer.tx_bytes,
        keepalive_seconds: peer.keepalive,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_peer_is_there_as_long_as_its_keys_are_good() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let ago = |seconds| State::at(now, Some(now - Duration::from_secs(seconds)));
        assert_eq!(ago(0), State::Connected);
        assert_eq!(ago(180), State::Connected);
        assert_eq!(ago(181), State::Silent);
        assert_eq!(
            State::at(now, Some(now + Duration::from_secs(9))),
            State::Connected
        );
        assert_eq!(State::at(now, None), State::Unreached);
    }
}
