//! The section `ledger`: how it proves itself to others, and whose ledgers this host watches over.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tlog::{Algorithm, KeyName, VerifierKey};
use url::{Host, Url};

use crate::define::record;
use crate::form::{Rejected, Text};
use crate::names::WitnessName;

record! {
    /// How the ledger proves itself to others.
    pub struct Ledger: Default {
        /// Signed heads of the ledger.
        checkpoints: Checkpoints = Checkpoints::default(),
        /// Other hosts that cosign the heads of this one's ledger, by a name that they are called by here.
        witnesses: BTreeMap<WitnessName, DeclaredWitness> = BTreeMap::new(),
        /// Whose ledgers this host watches over. `op-dbus witness serve` does it.
        witness: Option<Witnessing> = None,
    }
}

record! {
    /// Signed heads of the ledger: one second after a write at the latest, and when the daemon ends.
    pub struct Checkpoints: Default {
        /// Whether they are made.
        enable: bool = true,
        /// What the ledger is called: the first line of each checkpoint, and the name of its key. It should be a
        /// URL without its scheme, and cannot be changed later without a new key. If it is not given: the name of the
        /// host and `/ledger`.
        origin: Option<KeyName> as Option<Name> = None,
    }
}

record! {
    /// A host that cosigns.
    pub struct DeclaredWitness {
        /// Where it is. Requests go to `add-checkpoint` below it.
        url: String as WitnessUrl,
        /// Its public key; `op-dbus witness key` prints it there.
        key: VerifierKey as CosigningKey,
        /// Addresses that the name in the URL may stand for although they are loopback, private or link-local. An
        /// address that stands in the URL itself needs no mention.
        addresses: Vec<IpAddr> = Vec::new(),
    }
}

record! {
    /// Whose ledgers are watched over.
    pub struct Witnessing {
        /// Where to listen: a loopback or private address with a port.
        listen: SocketAddr as Inside = SocketAddr::from((Ipv4Addr::LOCALHOST, 8181)),
        /// What the witness is called, and its key; it should be a URL without its scheme. If it is not given: the
        /// name of the host and `/witness`.
        name: Option<KeyName> as Option<Name> = None,
        /// The public keys of these ledgers; `op-dbus ledger key` prints them there. A key has the name of its ledger.
        origins: Vec<VerifierKey> as Vec<LogKey>,
    }
}

/// What a ledger or witness is called.
struct Name;

impl Text<KeyName> for Name {
    const ACCEPTED: &'static str = "a name in ASCII without spaces and `+`, such as host.example.org/ledger, at most 255 bytes";
    const PATTERN: &'static str = "^[!-*,-~]{1,255}$";

    fn read(text: &str) -> Result<KeyName, Rejected> {
        let name = text.parse().ok().filter(|_| text.is_ascii());
        name.ok_or_else(Rejected::default)
    }

    fn write(value: &KeyName) -> String {
        value.to_string()
    }
}

/// The public key of a witness.
struct CosigningKey;

impl Text<VerifierKey> for CosigningKey {
    const ACCEPTED: &'static str =
        "the public key of a witness, NAME+ID+KEY, as `op-dbus witness key` prints it";
    const PATTERN: &'static str = KEY;

    fn read(text: &str) -> Result<VerifierKey, Rejected> {
        key(text, Algorithm::Cosignature)
    }

    fn write(value: &VerifierKey) -> String {
        value.to_string()
    }
}

/// The public key of a ledger.
struct LogKey;

impl Text<VerifierKey> for LogKey {
    const ACCEPTED: &'static str =
        "the public key of a ledger, NAME+ID+KEY, as `op-dbus ledger key` prints it";
    const PATTERN: &'static str = KEY;

    fn read(text: &str) -> Result<VerifierKey, Rejected> {
        key(text, Algorithm::Ed25519)
    }

    fn write(value: &VerifierKey) -> String {
        value.to_string()
    }
}

const KEY: &str = r"^[!-*,-~]{1,255}\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44}$";

fn key(text: &str, purpose: Algorithm) -> Result<VerifierKey, Rejected> {
    if !text.is_ascii() {
        return Err(Rejected::default());
    }
    if text.starts_with("PRIVATE+KEY+") {
        return Err(Rejected {
            secret: true,
            ..Rejected::because(
                "it is a private key: make a new one, since this one was written down",
            )
        });
    }
    let key = text
        .parse::<VerifierKey>()
        .and_then(|key| key.for_purpose(purpose));
    key.map_err(|error| Rejected::because(error.to_string()))
}

/// Where a witness is. What is sent is signed and no secret, so that http will do within a network of one's own.
struct WitnessUrl;

impl Text<String> for WitnessUrl {
    const ACCEPTED: &'static str = "a URL with https, or with http and a loopback or private address, such as https://witness.example.org or http://10.0.0.2:8181";
    const PATTERN: &'static str = "^https?://[!-?A-~]+$";

    fn read(text: &str) -> Result<String, Rejected> {
        let url = Url::parse(text).map_err(|_| Rejected::default())?;
        if text.contains('@') {
            return Err(Rejected {
                secret: true,
                ..Rejected::because("it contains a user or a password")
            });
        }
        if text.contains(['?', '#']) || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Rejected::because(
                "only what is below a path can be asked for",
            ));
        }
        match (url.scheme(), url.host()) {
            ("https", Some(_)) => {}
            ("http", Some(Host::Ipv4(address))) if is_inside(address.into()) => {}
            ("http", Some(Host::Ipv6(address))) if is_inside(address.into()) => {}
            ("http", Some(_)) => {
                let reason =
                    "http goes to a loopback or private address only, which stands in the URL";
                return Err(Rejected::because(reason));
            }
            _ => return Err(Rejected::default()),
        }
        Ok(text.trim_end_matches('/').to_owned())
    }

    fn write(value: &String) -> String {
        value.clone()
    }
}

/// An address of this host or of a network of one's own, with a port.
struct Inside;

impl Text<SocketAddr> for Inside {
    const ACCEPTED: &'static str =
        "a loopback or private address with a port, such as 127.0.0.1:8181 or 10.0.0.2:8181";
    const PATTERN: &'static str = r"^([0-9]{1,3}(\.[0-9]{1,3}){3}|\[[0-9A-Fa-f:]+\]):[0-9]{1,5}$";

    fn read(text: &str) -> Result<SocketAddr, Rejected> {
        let address: SocketAddr = text.parse().map_err(|_| Rejected::default())?;
        if address.port() == 0 {
            return Err(Rejected::because("there is no port 0"));
        }
        match is_inside(address.ip()) {
            true => Ok(address),
            false => Err(Rejected::because(
                "there is no TLS: let a proxy with TLS listen there, and this on 127.0.0.1",
            )),
        }
    }

    fn write(value: &SocketAddr) -> String {
        value.to_string()
    }
}

/// Whether an address is of this host or of a private network (RFC 1918, RFC 4193).
fn is_inside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback() || address.is_private(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn witnesses_are_reached_by_https_or_within_a_network() {
        let read = |text| <WitnessUrl as Text<String>>::read(text);
        for good in [
            "https://witness.example.org",
            "https://witness.example.org:8443/w1",
            "http://127.0.0.1:8181",
            "http://10.1.2.3:8181/w",
            "http://[fd00::1]:8181",
        ] {
            assert_eq!(read(good).ok().as_deref(), Some(good));
        }
        assert_eq!(
            read("https://a.org/").ok().as_deref(),
            Some("https://a.org")
        );
        for bad in [
            "http://witness.example.org",
            "http://localhost:8181",
            "http://1.1.1.1",
            "http://169.254.169.254",
            "http://[::ffff:1.1.1.1]",
            "ftp://10.0.0.1",
            "https://u:p@a.org",
            "https://a.org?b",
            "https://",
            "a.org",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn witnesses_listen_within_a_network() {
        let read = |text| <Inside as Text<SocketAddr>>::read(text).is_ok();
        for good in [
            "127.0.0.1:8181",
            "192.168.1.2:80",
            "[fd00::1]:81",
            "[::1]:1",
        ] {
            assert!(read(good), "{good}");
        }
        for bad in [
            "0.0.0.0:8181",
            "[::]:80",
            "1.1.1.1:80",
            "127.0.0.1:0",
            "127.0.0.1",
            "[::ffff:10.0.0.1]:80",
        ] {
            assert!(!read(bad), "{bad}");
        }
    }

    #[test]
    fn keys_are_for_one_purpose_and_public() {
        let log = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let secret =
            "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
        assert!(<LogKey as Text<VerifierKey>>::read(log).is_ok());
        assert!(<CosigningKey as Text<VerifierKey>>::read(log).is_err());
        let rejected = <LogKey as Text<VerifierKey>>::read(secret).unwrap_err();
        assert!(!rejected.found(secret).contains("AYEKFALV"));
        assert!(<LogKey as Text<VerifierKey>>::read(&log.replace("Peter", "Pater")).is_err());
    }
}
