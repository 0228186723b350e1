//! Links, addresses, routes and listening sockets of this network namespace.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use netlink::Netlink;
use schemars::JsonSchema;
use serde::Serialize;

use super::look::{Look, Unknown};

/// The network of a machine.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Network {
    /// Links, with their addresses.
    pub links: Vec<Link>,
    /// Routes of the main table.
    pub routes: Vec<Route>,
    /// Sockets that wait for others.
    pub listening: Vec<Socket>,
    /// Servers that names are asked of (resolv.conf(5)).
    pub name_servers: Vec<String>,
    /// Whether packets are handed on between links, by IP version.
    pub forwarding: BTreeMap<&'static str, bool>,
    /// What could not be found out.
    pub unknown: Vec<Unknown>,
}

/// A link.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// What makes it, such as `bridge` or `veth`; none for hardware.
    pub kind: Option<String>,
    /// Its state, such as `UP` (RFC 2863).
    pub state: &'static str,
    /// Its hardware address.
    pub mac: Option<String>,
    /// The largest packet that it takes, in bytes.
    pub mtu: u32,
    /// Its addresses with the lengths of their prefixes.
    pub addresses: Vec<String>,
    /// The name of the link that it is a port of.
    pub port_of: Option<String>,
    /// Bytes received.
    pub rx_bytes: Option<u64>,
    /// Bytes sent.
    pub tx_bytes: Option<u64>,
}

/// A route.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Route {
    /// Where to.
    pub destination: String,
    /// By whom.
    pub gateway: Option<String>,
    /// Over which link.
    pub link: Option<String>,
    /// The lower, the better.
    pub metric: u32,
}

/// A socket that waits for others.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Socket {
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// Its address.
    pub address: String,
    /// Its port.
    pub port: u16,
    /// The user that it belongs to.
    pub uid: u32,
}

/// The number of the main table (rtnetlink(7)).
const MAIN: u32 = 254;

/// Looks at the network of this machine.
pub fn network() -> Network {
    let mut look = Look::at(Path::new("/"));
    let (links, routes) = match by_netlink(&mut look) {
        Ok(found) => found,
        Err(error) => {
            look.miss("links and routes", error);
            (Vec::new(), Vec::new())
        }
    };
    let resolv = look.text("/etc/resolv.conf").unwrap_or_default();
    let servers = resolv.lines().filter_map(|line| {
        let server = line.trim().strip_prefix("nameserver")?;
        Some(server.trim().to_owned())
    });
    let mut forwarding = BTreeMap::new();
    let ipv4 = look.flag("/proc/sys/net/ipv4/ip_forward");
    forwarding.extend(ipv4.map(|on| ("ipv4", on)));
    let ipv6 = look.flag("/proc/sys/net/ipv6/conf/all/forwarding");
    forwarding.extend(ipv6.map(|on| ("ipv6", on)));
    Network {
        links,
        routes,
        listening: listening(&mut look),
        name_servers: servers.take(16).collect(),
        forwarding,
        unknown: look.unknown(),
    }
}

fn by_netlink(look: &mut Look) -> Result<(Vec<Link>, Vec<Route>), netlink::Error> {
    let netlink = Netlink::open()?;
    let found = netlink.link_statistics()?;
    let names: BTreeMap<u32, String> = found
        .iter()
        .map(|(link, ..)| (link.index, link.name.clone()))
        .collect();
    let mut addresses: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for address in netlink.all_addresses()? {
        let of_link = addresses.entry(address.link).or_default();
        of_link.push(address.net.to_string());
    }
    let links = found.into_iter().map(|(link, state, carried)| Link {
        addresses: addresses.remove(&link.index).unwrap_or_default(),
        port_of: link.controller.and_then(|index| names.get(&index).cloned()),
        index: link.index,
        name: link.name,
        kind: link.kind,
        state: state.word(),
        mac: link
            .mac
            .map(|mac| mac.map(|byte| format!("{byte:02x}")).join(":")),
        mtu: link.mtu,
        rx_bytes: carried.map(|carried| carried.rx_bytes),
        tx_bytes: carried.map(|carried| carried.tx_bytes),
    });
    let links = look.cut("links", links.collect());
    let routes = netlink
        .all_routes()?
        .into_iter()
        .filter(|route| route.table == MAIN);
    let routes = routes.map(|route| Route {
        destination: route.destination.to_string(),
        gateway: route.gateway.map(|gateway| gateway.to_string()),
        link: route.link.and_then(|index| names.get(&index).cloned()),
        metric: route.metric,
    });
    let routes = look.cut("routes", routes.collect());
    Ok((links, routes))
}

/// The calling thread may be in a namespace of its own. proc_pid_net(5): the states of TCP sockets that listen, and of UDP sockets that nobody else is at the end of.
const SOCKETS: [(&str, &str, &str); 4] = [
    ("/proc/thread-self/net/tcp", "tcp", "0A"),
    ("/proc/thread-self/net/tcp6", "tcp", "0A"),
    ("/proc/thread-self/net/udp", "udp", "07"),
    ("/proc/thread-self/net/udp6", "udp", "07"),
];

fn listening(look: &mut Look) -> Vec<Socket> {
    let mut found = Vec::new();
    for (path, protocol, state) in SOCKETS {
        let text = look.text(path).unwrap_or_default();
        found.extend(
            text.lines()
                .skip(1)
                .filter_map(|line| socket(line, protocol, state)),
        );
    }
    found.sort();
    look.cut("listening sockets", found)
}

fn socket(line: &str, protocol: &'static str, wanted: &str) -> Option<Socket> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let [_, local, _, state, _, _, _, uid, ..] = fields[..] else {
        return None;
    };
    let (address, port) = local.split_once(':')?;
    (state == wanted).then_some(())?;
    Some(Socket {
        protocol,
        address: ip(address)?.to_string(),
        port: u16::from_str_radix(port, 16).ok()?,
        uid: uid.parse().ok()?,
    })
}

/// The kernel prints the words of an address as numbers, though they are in the network's order.
fn ip(digits: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(digits.get(at..at + 8)?, 16).ok();
    match digits.len() {
        8 => Some(Ipv4Addr::from(word(0)?.to_ne_bytes()).into()),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
            Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_procfs_is_a_socket() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1 1";
        let found = socket(line, "tcp", "0A").unwrap();
        assert_eq!(
            (found.address.as_str(), found.port, found.uid),
            ("127.0.0.1", 8080, 1000)
        );
        assert_eq!(socket(line, "tcp", "01"), None);
        assert_eq!(
            ip("00000000000000000000000001000000"),
            Some("::1".parse().unwrap())
        );
        for line in [
            "",
            "a b c",
            "0: x:1 y:2 0A a b c 0",
            "0: 0100:1 y:2 0A a b c 0",
        ] {
            assert_eq!(socket(line, "tcp", "0A"), None);
        }
    }
}
