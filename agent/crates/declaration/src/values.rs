//! Values that several sections write in the same way.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Component, Path, PathBuf};

use ipnet::IpNet;

use crate::form::{Rejected, Text};

/// An absolute path without `..` and control characters, normalised (no `//`, no `.`, no slash at the end).
pub(crate) struct AbsolutePath;

impl Text<PathBuf> for AbsolutePath {
    const ACCEPTED: &'static str = "an absolute path without `..`";
    const PATTERN: &'static str = r"^/(?!(.*/)?\.\.(/|$))[^\u0000-\u001f\u007f-\u009f]*$";

    fn read(text: &str) -> Result<PathBuf, Rejected> {
        let path = Path::new(text);
        // A line break in a path could end up as a line of its own in a file that is written.
        if text.chars().any(char::is_control) {
            return Err(Rejected::because("it contains a control character"));
        }
        if path.components().any(|part| part == Component::ParentDir) {
            return Err(Rejected::because("it contains `..`"));
        }
        if !path.is_absolute() {
            return Err(Rejected::because("it does not start with `/`"));
        }
        Ok(path.components().collect())
    }

    fn write(value: &PathBuf) -> String {
        value.to_string_lossy().into_owned()
    }
}

/// One argument of a command; what the kernel cannot hand over is not accepted (execve(2)).
pub(crate) struct Argument;

impl Text<String> for Argument {
    const ACCEPTED: &'static str = "text without control characters";
    const PATTERN: &'static str = r"^[^\u0000-\u001f\u007f-\u009f]*$";

    fn read(text: &str) -> Result<String, Rejected> {
        match text.chars().any(char::is_control) {
            true => Err(Rejected::because("it contains a control character")),
            false => Ok(text.to_owned()),
        }
    }

    fn write(value: &String) -> String {
        value.clone()
    }
}

/// The address of an interface with the length of its network's prefix: `10.0.0.1/24`.
pub(crate) struct InterfaceAddress;

impl Text<IpNet> for InterfaceAddress {
    const ACCEPTED: &'static str =
        "an address with the length of its prefix, such as 10.0.0.11/24 or fd00::11/64";
    const PATTERN: &'static str = "^[0-9A-Fa-f.:]+/[0-9]{1,3}$";

    fn read(text: &str) -> Result<IpNet, Rejected> {
        let address: IpNet = text.parse().map_err(|_| match text.parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => Rejected::hint(format!("did you mean {address}/24?")),
            Ok(IpAddr::V6(address)) => Rejected::hint(format!("did you mean {address}/64?")),
            Err(_) => Rejected::default(),
        })?;
        match unusable(&address) {
            Some(reason) => Err(Rejected::because(reason)),
            None => Ok(address),
        }
    }

    fn write(value: &IpNet) -> String {
        value.to_string()
    }
}

/// Why no interface can have the address.
fn unusable(address: &IpNet) -> Option<&'static str> {
    let ip = address.addr();
    let broadcast =
        matches!(address, IpNet::V4(v4) if v4.prefix_len() < 31 && v4.addr() == v4.broadcast());
    // 10.0.0.0/31 (RFC 3021) and fd00::/127 (RFC 6164) are the addresses of hosts.
    let room = address.max_prefix_len() - address.prefix_len();
    if ip.is_unspecified() {
        Some("it is the unspecified address")
    } else if ip.is_multicast() {
        Some("it is a multicast address")
    } else if broadcast {
        Some("it is the network's broadcast address")
    } else if room > 1 && ip == address.network() {
        Some("it is the address of the network itself")
    } else {
        None
    }
}

/// A network: `10.0.0.0/24`, or one address alone.
pub(crate) struct Prefix;

impl Text<IpNet> for Prefix {
    const ACCEPTED: &'static str =
        "a network such as 10.0.0.0/24 or fd00::/64, or one address such as 10.0.0.11";
    const PATTERN: &'static str = "^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$";

    fn read(text: &str) -> Result<IpNet, Rejected> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(address.into());
        }
        let network: IpNet = text.parse().map_err(|_| Rejected::default())?;
        if network.addr() != network.network() {
            return Err(Rejected {
                reason: Some("bits behind the prefix are set".to_owned()),
                hint: Some(format!(
                    "write {} for the network, or {} for the one address",
                    network.trunc(),
                    network.addr()
                )),
                ..Rejected::default()
            });
        }
        Ok(network)
    }

    fn write(value: &IpNet) -> String {
        if value.prefix_len() == value.max_prefix_len() {
            value.addr().to_string()
        } else {
            value.to_string()
        }
    }
}

/// An address alone.
impl Text<IpAddr> for IpAddr {
    const ACCEPTED: &'static str = "an address without a prefix, such as 10.0.0.1 or fd00::1";
    const PATTERN: &'static str = "^[0-9A-Fa-f.:]+$";

    fn read(text: &str) -> Result<IpAddr, Rejected> {
        text.parse().map_err(|_| without_prefix(text))
    }

    fn write(value: &IpAddr) -> String {
        value.to_string()
    }
}

/// An IPv4 address alone.
impl Text<Ipv4Addr> for Ipv4Addr {
    const ACCEPTED: &'static str = "an IPv4 address without a prefix, such as 10.0.0.1";
    const PATTERN: &'static str = "^[0-9.]+$";

    fn read(text: &str) -> Result<Ipv4Addr, Rejected> {
        text.parse().map_err(|_| without_prefix(text))
    }

    fn write(value: &Ipv4Addr) -> String {
        value.to_string()
    }
}

fn without_prefix(text: &str) -> Rejected {
    match text.parse::<IpNet>() {
        Ok(network) => Rejected::hint(format!("did you mean {}?", network.addr())),
        Err(_) => Rejected::default(),
    }
}
