//! The kernel's own links (`linux/wireguard.h`).

use ipnet::IpNet;
use netlink::Generic;
use netlink_packet_wireguard::{
    WireguardAllowedIp, WireguardAllowedIpAttr, WireguardAttribute, WireguardCmd, WireguardMessage,
    WireguardPeer, WireguardPeerAttribute as Attribute,
};

use crate::{Device, Error, Peer, PublicKey};

pub(crate) fn read(link: &str) -> Result<Device, Error> {
    let mut kernel = Generic::<WireguardMessage>::open()?.ok_or(Error::NoFamily)?;
    let request = WireguardMessage {
        cmd: WireguardCmd::GetDevice,
        attributes: vec![WireguardAttribute::IfName(link.to_owned())],
    };
    Ok(device(
        kernel.list(&format!("list the peers of {link}"), request)?,
    ))
}

/// One device from the messages in which it is told: where a peer does not fit into one, it goes on in the next.
fn device(messages: Vec<WireguardMessage>) -> Device {
    let mut device = Device::default();
    for attribute in messages.into_iter().flat_map(|message| message.attributes) {
        match attribute {
            WireguardAttribute::ListenPort(port) => {
                device.port = Some(port).filter(|port| *port != 0)
            }
            WireguardAttribute::Peers(peers) => {
                for told in peers.iter().filter_map(peer) {
                    match device.peers.last_mut() {
                        Some(last) if last.key == told.key => last.allowed.extend(told.allowed),
                        _ => device.peers.push(told),
                    }
                }
            }
            _ => {}
        }
    }
    device
}

fn peer(told: &WireguardPeer) -> Option<Peer> {
    let key = told.iter().find_map(|attribute| match attribute {
        Attribute::PublicKey(key) => Some(PublicKey(*key)),
        _ => None,
    })?;
    let mut peer = Peer::new(key);
    for attribute in told.iter() {
        match attribute {
            Attribute::Endpoint(endpoint) => peer.endpoint = Some(*endpoint),
            Attribute::PersistentKeepalive(seconds) => {
                peer.keepalive = Some(*seconds).filter(|seconds| *seconds != 0);
            }
            Attribute::LastHandshake(time) => {
                let parts = (time.seconds.try_into(), time.nano_seconds.try_into());
                if let (Ok(seconds), Ok(nanoseconds)) = parts {
                    peer.shook_hands(seconds, nanoseconds);
                }
            }
            Attribute::RxBytes(bytes) => peer.rx_bytes = *bytes,
            Attribute::TxBytes(bytes) => peer.tx_bytes = *bytes,
            Attribute::AllowedIps(all) => peer.allowed.extend(all.iter().filter_map(allowed)),
            _ => {}
        }
    }
    Some(peer)
}

fn allowed(told: &WireguardAllowedIp) -> Option<IpNet> {
    let address = told.iter().find_map(|attribute| match attribute {
        WireguardAllowedIpAttr::IpAddr(address) => Some(*address),
        _ => None,
    })?;
    let length = told.iter().find_map(|attribute| match attribute {
        WireguardAllowedIpAttr::Cidr(length) => Some(*length),
        _ => None,
    })?;
    IpNet::new(address, length).ok()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use netlink_packet_wireguard::WireguardTimeSpec;

    use super::*;

    fn network(address: &str, length: u8) -> WireguardAllowedIp {
        let address = address.parse().unwrap();
        WireguardAllowedIp(vec![
            WireguardAllowedIpAttr::IpAddr(address),
            WireguardAllowedIpAttr::Cidr(length),
        ])
    }

    fn message(attributes: Vec<WireguardAttribute>) -> WireguardMessage {
        let cmd = WireguardCmd::GetDevice;
        WireguardMessage { cmd, attributes }
    }

    #[test]
    fn a_peer_that_goes_on_in_the_next_message_is_one() {
        let endpoint = "192.0.2.1:51820".parse().unwrap();
        let first = WireguardPeer(vec![
            Attribute::PublicKey([1; 32]),
            Attribute::PresharedKey([9; 32]),
            Attribute::Endpoint(endpoint),
            Attribute::PersistentKeepalive(25),
            Attribute::LastHandshake(WireguardTimeSpec {
                seconds: 1_700_000_000,
                nano_seconds: 5,
            }),
            Attribute::RxBytes(7),
            Attribute::TxBytes(8),
            Attribute::AllowedIps(vec![network("10.9.0.1", 32)]),
        ]);
        let rest = WireguardPeer(vec![
            Attribute::PublicKey([1; 32]),
            Attribute::AllowedIps(vec![network("2001:db8::", 64), network("10.9.0.1", 99)]),
        ]);
        let other = WireguardPeer(vec![
            Attribute::PublicKey([2; 32]),
            Attribute::PersistentKeepalive(0),
            Attribute::LastHandshake(WireguardTimeSpec::default()),
        ]);
        let nobody = WireguardPeer(vec![Attribute::RxBytes(1)]);
        let told = device(vec![
            message(vec![
                WireguardAttribute::ListenPort(51820),
                WireguardAttribute::PrivateKey([9; 32]),
                WireguardAttribute::Peers(vec![first]),
            ]),
            message(vec![WireguardAttribute::Peers(vec![rest, other, nobody])]),
        ]);
        let at = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 5);
        let expected = Device {
            port: Some(51820),
            peers: vec![
                Peer {
                    endpoint: Some(endpoint),
                    allowed: vec![
                        "10.9.0.1/32".parse().unwrap(),
                        "2001:db8::/64".parse().unwrap(),
                    ],
                    last_handshake: Some(at),
                    rx_bytes: 7,
                    tx_bytes: 8,
                    keepalive: Some(25),
                    ..Peer::new(PublicKey([1; 32]))
                },
                Peer::new(PublicKey([2; 32])),
            ],
        };
        assert_eq!(told, expected);
    }
}
