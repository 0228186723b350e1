//! Which addresses a name in a URL may stand for.
//!
//! A name of the outside world that leads into the host or its networks is how one server gets at another
//! (server-side request forgery). So a name is resolved once, what it stands for is looked at, and the
//! connection goes there and nowhere else.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use url::{Host, Url};

/// Why an address is not connected to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// The URL is none.
    #[error("the URL {0} has no host")]
    NoHost(String),
    /// The name is not known.
    #[error("the name {name} stands for no address: {reason}")]
    Unknown {
        /// The name.
        name: String,
        /// What the resolver says.
        reason: String,
    },
    /// The name leads to where strangers have no business.
    #[error(
        "the name {name} stands for {address}, which is {kind}: if that is meant, write the address into the URL, \
         or into `addresses`"
    )]
    Inside {
        /// The name.
        name: String,
        /// What it stands for.
        address: IpAddr,
        /// What kind of address that is.
        kind: &'static str,
    },
}

/// What a name may stand for.
#[derive(Debug, Clone)]
pub enum Guard {
    /// Anything: the person at the command line wrote the URL.
    Open,
    /// Addresses of the Internet, and these.
    Only(Vec<IpAddr>),
}

impl Guard {
    /// The addresses that a URL's host stands for, if all of them may be connected to.
    pub(super) async fn resolve(&self, url: &Url) -> Result<Vec<SocketAddr>, Unreachable> {
        let port = url.port_or_known_default().unwrap_or(443);
        let name = match url.host() {
            None => return Err(Unreachable::NoHost(url.to_string())),
            // The operator wrote that very address.
            Some(Host::Ipv4(address)) => return Ok(vec![(address, port).into()]),
            Some(Host::Ipv6(address)) => return Ok(vec![(address, port).into()]),
            Some(Host::Domain(name)) => name,
        };
        let unknown = |reason: String| Unreachable::Unknown {
            name: name.to_owned(),
            reason,
        };
        let found = tokio::net::lookup_host((name, port)).await;
        let found: Vec<_> = found.map_err(|error| unknown(error.to_string()))?.collect();
        if found.is_empty() {
            return Err(unknown("the answer is empty".to_owned()));
        }
        // One that is not allowed among several is no oversight.
        for address in &found {
            self.admit(name, address.ip())?;
        }
        Ok(found)
    }

    fn admit(&self, name: &str, address: IpAddr) -> Result<(), Unreachable> {
        let Self::Only(declared) = self else {
            return Ok(());
        };
        match inside(address) {
            Some(kind) if !declared.contains(&address.to_canonical()) => Err(Unreachable::Inside {
                name: name.to_owned(),
                address,
                kind,
            }),
            _ => Ok(()),
        }
    }
}

/// What kind of address it is, if it is none of the Internet (IANA's special-purpose address registries).
fn inside(address: IpAddr) -> Option<&'static str> {
    match address.to_canonical() {
        IpAddr::V4(address) => inside_v4(address),
        IpAddr::V6(address) => inside_v6(address),
    }
}

fn inside_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [first, second, third, _] = address.octets();
    if address.is_loopback() {
        Some("a loopback address")
    } else if address.is_private() {
        Some("a private address")
    } else if address.is_link_local() {
        Some("a link-local address, where clouds keep their metadata")
    } else if first == 100 && (64..128).contains(&second) {
        Some("a shared address (RFC 6598)")
    } else if first == 0 || address.is_broadcast() || address.is_multicast() || first >= 240 {
        Some("no address of one host")
    } else if address.is_documentation()
        || (first == 198 && (second & 0xfe) == 18)
        || (first, second, third) == (192, 0, 0)
    {
        Some("an address for special purposes")
    } else {
        None
    }
}

fn inside_v6(address: Ipv6Addr) -> Option<&'static str> {
    let segments = address.segments();
    if address.is_loopback() {
        Some("a loopback address")
    } else if address.is_unspecified() || address.is_multicast() {
        Some("no address of one host")
    } else if address.is_unique_local() {
        Some("a private address")
    } else if address.is_unicast_link_local() {
        Some("a link-local address, where clouds keep their metadata")
    } else if segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0] || segments[0] == 0x2002 {
        // NAT64 (RFC 6052) and 6to4 (RFC 3056) carry an IPv4 address that is not looked at further.
        Some("an address that stands for an IPv4 address")
    } else if segments[..3] == [0x64, 0xff9b, 1] || segments[..2] == [0x2001, 0xdb8] {
        Some("an address for special purposes")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inside_is_told_from_the_internet() {
        for address in [
            "127.0.0.1",
            "127.9.9.9",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.100.100.200",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "::1",
            "::",
            "fd00::1",
            "fe80::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "fd00:ec2::254",
            "198.18.0.1",
        ] {
            assert!(inside(address.parse().unwrap()).is_some(), "{address}");
        }
        for address in [
            "1.1.1.1",
            "93.184.216.34",
            "2606:4700::1111",
            "172.32.0.1",
            "100.128.0.1",
        ] {
            assert_eq!(inside(address.parse().unwrap()), None, "{address}");
        }
    }

    #[tokio::test]
    async fn a_name_does_not_lead_inside_unless_declared() {
        let localhost = Url::parse("http://localhost:3000/mcp").unwrap();
        let shut = Guard::Only(Vec::new()).resolve(&localhost).await;
        assert!(matches!(shut, Err(Unreachable::Inside { .. })), "{shut:?}");
        let both = vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
        assert!(Guard::Only(both).resolve(&localhost).await.is_ok());
        assert!(Guard::Open.resolve(&localhost).await.is_ok());
        let written = Url::parse("http://[::1]:3000/mcp").unwrap();
        assert!(Guard::Only(Vec::new()).resolve(&written).await.is_ok());
    }

    #[tokio::test]
    async fn other_ways_to_write_an_address_are_that_address() {
        // The URL standard reads these as 127.0.0.1; so they are what the operator wrote.
        for text in ["http://2130706433/", "http://0x7f.1/", "http://127.1/"] {
            let url = Url::parse(text).unwrap();
            let found = Guard::Only(Vec::new()).resolve(&url).await.unwrap();
            assert_eq!(found[0].ip().to_string(), "127.0.0.1", "{text}");
        }
    }
}
