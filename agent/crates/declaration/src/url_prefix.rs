//! What URLs are fetched: those that begin with a declared one.

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

use crate::form::{Rejected, Text};

/// An http or https URL that allowed ones begin with.
///
/// Scheme, host and port are compared as a whole, and so is the path unless it ends with `/`: then everything
/// below it is covered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UrlPrefix(Url);

impl UrlPrefix {
    /// Whether a URL may be fetched.
    pub fn covers(&self, url: &Url) -> bool {
        let path = url.path();
        // A server may take `%2f..%2f` for steps in its path.
        let lower = path.to_ascii_lowercase();
        let plain = !["%2f", "%5c", "%2e", "%00"]
            .iter()
            .any(|part| lower.contains(part));
        let below = match self.0.path().ends_with('/') {
            true => path.starts_with(self.0.path()),
            false => path == self.0.path(),
        };
        plain
            && below
            && url.username().is_empty()
            && url.password().is_none()
            && url.scheme() == self.0.scheme()
            && url.host() == self.0.host()
            && url.port_or_known_default() == self.0.port_or_known_default()
    }

    /// The address, if the host is written as one and not as a name.
    pub fn address(&self) -> Option<IpAddr> {
        match self.0.host()? {
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
            Host::Domain(_) => None,
        }
    }
}

/// What URLs consist of besides letters and digits (RFC 3986 §3.2.2, §3.3), without percent-encoding.
const PLAIN: &[u8] = b"-._~!$&'()*+,;=:/[]";

impl fmt::Display for UrlPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl Text<UrlPrefix> for UrlPrefix {
    const ACCEPTED: &'static str = "an http or https URL without user, query, fragment and `%`, such as https://example.org/schemas/";
    const PATTERN: &'static str = r"^https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?(/[A-Za-z0-9._~!$&'()*+,;=:/-]*)?$";

    fn read(text: &str) -> Result<UrlPrefix, Rejected> {
        let url = Url::parse(text).map_err(|error| Rejected::because(error.to_string()))?;
        let reason = if !matches!(url.scheme(), "http" | "https") {
            Some("its scheme is neither http nor https")
        } else if !url.username().is_empty() || url.password().is_some() {
            return Err(Rejected {
                reason: Some("it has a user or password".to_owned()),
                secret: true,
                ..Rejected::default()
            });
        } else if url.query().is_some() || url.fragment().is_some() {
            Some("it has a query or fragment")
        } else if !text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || PLAIN.contains(&byte))
        {
            Some("it contains a character that is none of letters, digits and -._~!$&'()*+,;=:/[]")
        } else {
            None
        };
        match reason {
            Some(reason) => Err(Rejected::because(reason)),
            None => Ok(Self(url)),
        }
    }

    fn write(value: &UrlPrefix) -> String {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(prefix: &str, url: &str) -> bool {
        UrlPrefix::read(prefix)
            .unwrap()
            .covers(&Url::parse(url).unwrap())
    }

    #[test]
    fn what_begins_with_it_is_covered() {
        for (prefix, url) in [
            ("https://a.example/s/", "https://a.example/s/x.json?y=1"),
            ("https://a.example/s/", "https://A.example:443/s/t/../x"),
            ("https://a.example", "https://a.example/anything"),
            ("http://127.0.0.1:8080/x", "http://127.0.0.1:8080/x"),
            ("http://[::1]/", "http://[::1]/x"),
        ] {
            assert!(covers(prefix, url), "{prefix} {url}");
        }
    }

    #[test]
    fn nothing_else_is() {
        for (prefix, url) in [
            ("https://a.example/s/", "http://a.example/s/x"),
            ("https://a.example/s/", "https://a.example/t"),
            ("https://a.example/s/", "https://a.example/s/../t"),
            ("https://a.example/s/", "https://a.example/s/%2e%2e/t"),
            ("https://a.example/s/", "https://a.example/s/..%2ft"),
            ("https://a.example/s/", "https://a.example:8443/s/x"),
            ("https://a.example/s", "https://a.example/s/x"),
            ("https://a.example/", "https://a.example.evil.org/"),
            ("https://a.example/", "https://user@a.example/"),
            ("https://a.example/", "https://b.a.example/"),
            ("http://127.0.0.1/", "http://localhost/"),
        ] {
            assert!(!covers(prefix, url), "{prefix} {url}");
        }
    }

    #[test]
    fn an_address_is_known_however_it_is_written() {
        let address = |text: &str| UrlPrefix::read(text).unwrap().address();
        assert_eq!(address("http://127.1/"), "127.0.0.1".parse().ok());
        assert_eq!(address("http://a.example/"), None);
        for bad in [
            "ftp://a/",
            "a.example",
            "https://u:p@a/",
            "https://a/?x",
            "https://a/#x",
            "https://a/ b",
            "file:///x",
        ] {
            assert!(UrlPrefix::read(bad).is_err(), "{bad}");
        }
    }
}
