//! The section `web`: the HTTP doors, and who may speak at them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::define::{record, words};
use crate::form::{Rejected, Text};
use crate::names::TokenName;
use crate::values::AbsolutePath;

words! {
    /// What a token may do. Each scope includes those before it.
    pub enum Scope {
        /// Look at everything, and change nothing: the role viewer.
        Read = "mcp:read",
        /// Change things: the role operator.
        Write = "mcp:write",
        /// Destroy data, install software, write files and run commands: the role admin.
        Destroy = "mcp:destroy",
    }
}

words! {
    /// Which tools a client is shown where it does not ask for others by its URL.
    pub enum Profile {
        /// The few that say how the host stands.
        Minimal = "minimal",
        /// Those that change nothing.
        Safe = "safe",
        /// Those for work on containers.
        Developer = "developer",
        /// Those for the care of a host.
        Sysadmin = "sysadmin",
        /// All tools, by way of four that find and call the others.
        Full = "full",
        /// The same.
        Compact = "compact",
    }
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Minimal,
        Self::Safe,
        Self::Developer,
        Self::Sysadmin,
        Self::Full,
        Self::Compact,
    ];
}

record! {
    /// The HTTP doors, and who may speak at them. `op-dbus web` serves them.
    pub struct Web: Default {
        /// Where the web server listens. Other addresses than those of this host alone take `tls`.
        listen: SocketAddr as Listening = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
        /// What makes it TLS 1.3; without it there is plain HTTP.
        tls: Option<Tls> = None,
        /// Pages of these origins may ask, beside those of this host.
        origins: Vec<String> as Vec<Origin> = Vec::new(),
        /// Names that clients may know this host by, beside `localhost` and its addresses.
        hosts: Vec<String> as Vec<HostName> = Vec::new(),
        /// Who may speak at the door, each with a token. Without one, nobody may.
        tokens: BTreeMap<TokenName, Token> = BTreeMap::new(),
        /// Which tools `/mcp` shows; `/mcp/PROFILE` shows those of another profile.
        profile: Profile = Profile::Safe,
    }
}

record! {
    /// A token for HTTP clients: the secret's file, and what its owner may do.
    pub struct Token {
        /// The file with the secret, 32 characters or more. It belongs to root, and nobody else reads it.
        file: PathBuf as AbsolutePath,
        /// What the token may do.
        scopes: Vec<Scope>,
    }
}

record! {
    /// A certificate, in files or made at the first start.
    pub struct Tls: Default {
        /// The file with the certificate and those that it was signed with, as PEM.
        certificate: Option<PathBuf> as Option<AbsolutePath> = None,
        /// The file with its key, as PEM.
        key: Option<PathBuf> as Option<AbsolutePath> = None,
        /// Makes a certificate that nobody signed; browsers ask before they take it.
        self_signed: bool = false,
    }
}

/// An address with a port.
pub(crate) struct Listening;

impl Text<SocketAddr> for Listening {
    const ACCEPTED: &'static str =
        "an address with a port, such as 127.0.0.1:8080, [::1]:8080 or 0.0.0.0:8443";
    const PATTERN: &'static str =
        r"^([0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}|\[[0-9A-Fa-f:]+\]):[0-9]{1,5}$";

    fn read(text: &str) -> Result<SocketAddr, Rejected> {
        let address: SocketAddr = text.parse().map_err(|_| match text.parse::<u16>() {
            Ok(port) => Rejected::hint(format!("did you mean 127.0.0.1:{port}?")),
            Err(_) => Rejected::default(),
        })?;
        match address.port() {
            0 => Err(Rejected::because("there is no port 0")),
            _ => Ok(address),
        }
    }

    fn write(value: &SocketAddr) -> String {
        value.to_string()
    }
}

/// The origin of a page (RFC 6454 §6.2): scheme, host and, unless it is the scheme's own, a port.
pub(crate) struct Origin;

impl Text<String> for Origin {
    const ACCEPTED: &'static str = "an origin: http or https, a host, and a port if it is not the usual one, such as https://chat.example.org";
    const PATTERN: &'static str =
        r"^https?://([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(:[1-9][0-9]{0,4})?$";

    fn read(text: &str) -> Result<String, Rejected> {
        let rest = ["https://", "http://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme))
            .ok_or_else(Rejected::default)?;
        if let Some(origin) = text.strip_suffix('/') {
            return Err(Rejected::hint(format!("did you mean {origin}?")));
        }
        let after = rest.rfind(']').map_or(0, |end| end + 1);
        let (host, port) = match rest[after..].rfind(':') {
            Some(colon) => (&rest[..after + colon], Some(&rest[after + colon + 1..])),
            None => (rest, None),
        };
        if let Some(port) = port {
            match port.parse::<u16>() {
                Ok(number) if number > 0 && number.to_string() == port => {}
                _ => return Err(Rejected::because("its port is not from 1 to 65535")),
            }
        }
        match host.starts_with('[') || host.contains(':') {
            true => address_in_brackets(host)?,
            false => drop(<HostName as Text<String>>::read(host)?),
        }
        Ok(text.to_owned())
    }

    fn write(value: &String) -> String {
        value.clone()
    }
}

fn address_in_brackets(host: &str) -> Result<(), Rejected> {
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let plain = inner.is_some_and(|inner| !inner.contains(|c: char| c.is_ascii_uppercase()));
    match inner.and_then(|inner| inner.parse::<std::net::Ipv6Addr>().ok()) {
        Some(_) if plain => Ok(()),
        _ => Err(Rejected::default()),
    }
}

/// A name that a `Host` header may have, without a port: labels of RFC 1123 §2.1, or an IPv4 address.
pub(crate) struct HostName;

impl Text<String> for HostName {
    const ACCEPTED: &'static str =
        "the name of a host in small letters and without a port, such as host.example.org";
    const PATTERN: &'static str =
        r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$";

    fn read(text: &str) -> Result<String, Rejected> {
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if text.len() <= 253 && text.split('.').all(label) {
            return Ok(text.to_owned());
        }
        let lower = text.to_ascii_lowercase();
        match lower.as_str() != text && lower.split('.').all(label) {
            true => Err(Rejected::hint(format!("did you mean {lower}?"))),
            false => Err(Rejected::default()),
        }
    }

    fn write(value: &String) -> String {
        value.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_port() {
        let read = |text| <Listening as Text<SocketAddr>>::read(text).is_ok();
        for good in ["127.0.0.1:8080", "0.0.0.0:1", "[::1]:65535", "[::]:443"] {
            assert!(read(good), "{good}");
        }
        for bad in [
            "127.0.0.1:0",
            "127.0.0.1",
            "localhost:80",
            "8080",
            "127.0.0.1:65536",
            "[fe80::1%eth0]:80",
        ] {
            assert!(!read(bad), "{bad}");
        }
    }

    #[test]
    fn origins_are_written_as_browsers_write_them() {
        let read = |text| <Origin as Text<String>>::read(text).is_ok();
        for good in [
            "https://chat.example.org",
            "http://localhost:3000",
            "http://10.0.0.1",
            "http://[::1]:80",
        ] {
            assert!(read(good), "{good}");
        }
        for bad in [
            "https://chat.example.org/",
            "https://a/b",
            "https://A.org",
            "https://",
            "ftp://a",
            "null",
            "*",
            "https://*.example.org",
            "http://a:0",
            "http://a:080",
            "http://a:",
            "http://u@a",
            "http://::1",
        ] {
            assert!(!read(bad), "{bad}");
        }
    }
}
