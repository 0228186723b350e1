//! The section `replication`: snapshots that are sent to other file systems.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::builtin::In;
use crate::define::record;
use crate::form::{Rejected, Text};
use crate::names::{AccountName, SubvolumeName, TargetName};
use crate::values::AbsolutePath;
use crate::web::HostName;

record! {
    /// Snapshots that are sent to other file systems.
    pub struct Replication: Default {
        /// Where `op-dbus replicate` sends snapshots to, by name.
        targets: BTreeMap<TargetName, Target> = BTreeMap::new(),
    }
}

record! {
    /// A directory on another btrfs file system.
    pub struct Target {
        /// The directory, which is there already and is this host's alone. With `ssh` it is one of the other host.
        path: PathBuf as PlainPath,
        /// The host that it is on; this one without it.
        ssh: Option<Ssh> = None,
        /// The subvolumes of each snapshot that are sent; all if there are none.
        subvolumes: Vec<SubvolumeName> = Vec::new(),
        /// How often the daemon sends what is missing there; only by command without it.
        every: Option<Duration> as Option<Interval> = None,
        /// How many snapshots stay there; the oldest are removed, never what the next one builds on. All stay
        /// without it.
        keep: Option<u32> as Option<In<1, 100000>> = None,
    }
}

record! {
    /// How another host is reached. The host's keys have to be known before.
    pub struct Ssh {
        /// Its name or address.
        host: String as FarHost,
        /// The account there; one that may receive, which takes root's rights.
        user: AccountName = root(),
        /// Where its sshd listens.
        port: u16 as In<1, 65535> = 22,
        /// The file with the private key, without a passphrase. It belongs to root, and nobody else reads it.
        identity_file("identityFile"): PathBuf as AbsolutePath,
        /// The file with the keys by which the host is known, as ssh-keyscan(1) writes it and a person has checked it.
        known_hosts_file("knownHostsFile"): PathBuf as AbsolutePath,
    }
}

/// The account that has the rights without more ado.
fn root() -> AccountName {
    #[allow(clippy::unwrap_used)] // A test reads the default.
    "root".parse().unwrap()
}

/// A name or address that no option of a program can be mistaken for.
pub(crate) struct FarHost;

impl Text<String> for FarHost {
    const ACCEPTED: &'static str = "the name of a host in small letters, or its address, such as backup.example.org or 192.0.2.7";
    const PATTERN: &'static str = r"^[a-z0-9:]([a-z0-9.:-]{0,251}[a-z0-9:])?$";

    fn read(text: &str) -> Result<String, Rejected> {
        match text.parse::<IpAddr>() {
            Ok(address) => Ok(address.to_string()),
            Err(_) => <HostName as Text<String>>::read(text),
        }
    }

    fn write(value: &String) -> String {
        value.clone()
    }
}

/// An absolute path that is one and the same word for every shell, since `ssh` hands one over to the far end's.
pub(crate) struct PlainPath;

impl Text<PathBuf> for PlainPath {
    const ACCEPTED: &'static str =
        "an absolute path without `..`, of letters, digits, `/`, `.`, `_`, `@`, `+` and `-`";
    const PATTERN: &'static str = r"^/(?!(.*/)?\.\.(/|$))[A-Za-z0-9/._@+-]*$";

    fn read(text: &str) -> Result<PathBuf, Rejected> {
        let odd = |c: &char| !(c.is_ascii_alphanumeric() || "/._@+-".contains(*c));
        match text.chars().find(odd) {
            Some(odd) => Err(Rejected::because(match odd {
                ' ' => "it contains a space",
                _ => "it contains a character that a shell might not leave alone",
            })),
            None => <AbsolutePath as Text<PathBuf>>::read(text),
        }
    }

    fn write(value: &PathBuf) -> String {
        <AbsolutePath as Text<PathBuf>>::write(value)
    }
}

/// A number of minutes, hours or days: `15m`, `1h`, `7d`; at most 31 days.
pub(crate) struct Interval;

const MINUTE: u64 = 60;
const UNITS: [(char, u64); 3] = [('d', 24 * 60 * MINUTE), ('h', 60 * MINUTE), ('m', MINUTE)];

impl Text<Duration> for Interval {
    const ACCEPTED: &'static str =
        "a number of minutes, hours or days from 1m to 31d, such as 15m, 1h or 7d";
    const PATTERN: &'static str = r"^[1-9][0-9]{0,4}[mhd]$";

    fn read(text: &str) -> Result<Duration, Rejected> {
        let found = UNITS
            .iter()
            .find_map(|(unit, seconds)| Some((text.strip_suffix(*unit)?, seconds)));
        let (number, unit) = found.ok_or_else(Rejected::default)?;
        let plain = number.len() <= 5
            && number.bytes().all(|byte| byte.is_ascii_digit())
            && !number.starts_with('0');
        let number: u64 = match number.parse() {
            Ok(number) if plain => number,
            _ => return Err(Rejected::default()),
        };
        match number * unit <= 31 * 24 * 60 * MINUTE {
            true => Ok(Duration::from_secs(number * unit)),
            false => Err(Rejected::because("it is longer than 31 days")),
        }
    }

    fn write(value: &Duration) -> String {
        let seconds = value.as_secs();
        let fits = |(_, unit): &&(char, u64)| seconds.is_multiple_of(*unit);
        match UNITS.iter().find(fits) {
            Some((name, unit)) => format!("{}{name}", seconds / unit),
            None => format!("{}m", seconds.div_ceil(MINUTE)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_default_account_is_one() {
        assert_eq!(root().as_str(), "root");
    }

    #[test]
    fn only_plain_paths_and_hosts_are_taken() {
        let path = |text| <PlainPath as Text<PathBuf>>::read(text).is_ok();
        for good in ["/", "/srv/replicas/host-1", "/mnt/@a/b+c.d"] {
            assert!(path(good), "{good}");
        }
        for bad in [
            "srv", "/a b", "/a;b", "/$(id)", "/a\n", "/a/../b", "/ä", "/~root",
        ] {
            assert!(!path(bad), "{bad}");
        }
        let host = |text| <FarHost as Text<String>>::read(text).is_ok();
        for good in ["backup.example.org", "192.0.2.7", "2001:db8::1", "nas"] {
            assert!(host(good), "{good}");
        }
        for bad in [
            "-oProxyCommand=id",
            "root@nas",
            "nas:22",
            "a b",
            "",
            "Nas",
            "[::1]",
        ] {
            assert!(!host(bad), "{bad}");
        }
    }

    #[test]
    fn intervals_have_bounds() {
        let read = <Interval as Text<Duration>>::read;
        assert_eq!(read("90m").unwrap(), Duration::from_secs(5400));
        assert_eq!(read("31d").unwrap(), Duration::from_secs(31 * 86400));
        for bad in [
            "", "0m", "01h", "1s", "1", "h", "-1h", "32d", "1 h", "99999d", "1w", "+1h",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn an_interval_is_written_so_that_it_is_read_again(minutes in 1_u64..=31 * 24 * 60) {
            let interval = Duration::from_secs(minutes * MINUTE);
            let written = <Interval as Text<Duration>>::write(&interval);
            prop_assert_eq!(<Interval as Text<Duration>>::read(&written).unwrap(), interval);
        }
    }
}
