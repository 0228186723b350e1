//! One transaction of PackageKit: from the call to its last signal.

use std::time::{Duration, Instant};

use dbus::{Bus, DynamicType, Message, OwnedObjectPath, Peer, Properties};
use serde::Serialize;

use super::error::PackageError;
use super::provider::Watch;

pub(super) const NAME: &str = "org.freedesktop.PackageKit";
const SERVICE: Peer<'static> = Peer {
    name: NAME,
    path: "/org/freedesktop/PackageKit",
    interface: NAME,
};
const TRANSACTION: &str = "org.freedesktop.PackageKit.Transaction";
/// How long one look for a signal takes.
const LOOK: Duration = Duration::from_millis(100);
/// How long a transaction may take to end after it was told to.
const CANCEL: Duration = Duration::from_secs(10);
/// How many packages a transaction may name.
const MOST: usize = 400_000;

/// The parts of a package id: `name;version;arch;data`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PackageId {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) arch: String,
    pub(super) data: String,
}

impl PackageId {
    /// Reads an id; nothing if it is none, or holds what no name or version may hold.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::to_owned);
        let id = Self {
            name: parts.next()?,
            version: parts.next()?,
            arch: parts.next()?,
            data: parts.next()?,
        };
        let plain = |text: &str| {
            text.len() < 512 && !text.chars().any(|c| c.is_control() || c.is_whitespace())
        };
        let good = parts.next().is_none()
            && !id.name.is_empty()
            && plain(&id.name)
            && plain(&id.version)
            && plain(&id.arch)
            && !id.data.chars().any(char::is_control);
        good.then_some(id)
    }

    pub(super) fn text(&self) -> String {
        [&self.name, &self.version, &self.arch, &self.data]
            .map(String::as_str)
            .join(";")
    }
}

/// A package that a transaction named.
#[derive(Debug, Clone)]
pub(super) struct Named {
    /// `PkInfoEnum`: whether it is installed, or what is being done to it.
    pub(super) info: u32,
    /// Its id as it came.
    pub(super) id: String,
    pub(super) summary: String,
}

/// Everything that a transaction said.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) packages: Vec<Named>,
    pub(super) details: Vec<Properties>,
    error: Option<(u32, String)>,
}

/// Calls a method of a new transaction and follows it to its end.
pub(super) fn run<B>(
    bus: &Bus,
    method: &str,
    arguments: &B,
    silence: Duration,
    watch: &Watch<'_>,
) -> Result<Said, PackageError>
where
    B: Serialize + DynamicType,
{
    let path: OwnedObjectPath = bus.call(SERVICE, "CreateTransaction", &())?;
    let owner = bus.owner(NAME)?;
    let peer = Peer {
        name: &owner,
        path: path.as_str(),
        interface: TRANSACTION,
    };
    let listener = bus.listen(peer)?;
    let hints = ["locale=C.UTF-8", "background=false", "interactive=false"];
    let () = bus.call(peer, "SetHints", &(hints.as_slice(),))?;
    let () = bus.call(peer, method, arguments)?;
    let mut said = Said::default();
    let mut last = Instant::now();
    let mut stopped: Option<(Instant, PackageError)> = None;
    loop {
        if stopped.is_none() {
            let reason = if !(watch.wanted)() {
                Some(PackageError::Unwanted)
            } else if last.elapsed() >= silence {
                Some(PackageError::Silent {
                    manager: "PackageKit",
                    seconds: silence.as_secs(),
                })
            } else {
                None
            };
            if let Some(reason) = reason {
                // It may refuse, and then goes on.
                let _: Result<(), _> = bus.call(peer, "Cancel", &());
                stopped = Some((Instant::now(), reason));
            }
        }
        if let Some((since, _)) = &stopped
            && since.elapsed() >= CANCEL
        {
            break;
        }
        let heard = match listener.next(LOOK) {
            Ok(heard) => heard,
            Err(dbus::Error::Gone(_)) => return Err(PackageError::Died),
            Err(error) => return Err(error.into()),
        };
        let Some(message) = heard else { continue };
        last = Instant::now();
        if let Some(exit) = said.hear(&message, watch)? {
            return match (exit, stopped) {
                (EXIT_SUCCESS, _) => Ok(said),
                (_, Some((_, reason))) => Err(reason),
                (exit, None) => Err(said.failure(exit)),
            };
        }
    }
    Err(stopped.map_or(PackageError::Unwanted, |(_, reason)| reason))
}

/// `PK_EXIT_ENUM_SUCCESS`.
const EXIT_SUCCESS: u32 = 1;

impl Said {
    /// Takes in a signal; how the transaction ended if it was its last.
    fn hear(&mut self, message: &Message, watch: &Watch<'_>) -> Result<Option<u32>, PackageError> {
        let header = message.header();
        let body = message.body();
        match header.member().map(|member| member.as_str()) {
            Some("Package") => {
                let (info, id, summary) = body.deserialize().map_err(dbus::Error::from)?;
                self.packages.push(Named { info, id, summary });
                if self.packages.len() > MOST {
                    return Err(dbus::Error::Flooded("PackageKit".to_owned()).into());
                }
            }
            Some("Details") => self
                .details
                .push(body.deserialize().map_err(dbus::Error::from)?),
            Some("ErrorCode") => {
                self.error = Some(body.deserialize().map_err(dbus::Error::from)?);
            }
            Some("ItemProgress") => {
                let progress: (String, u32, u32) = body.deserialize().map_err(dbus::Error::from)?;
                let (id, status, percentage) = progress;
                let name = PackageId::read(&id).map_or_else(String::new, |id| id.name);
                let text = format!("{} {name}", doing(status));
                // PackageKit says 101 where it does not know.
                (watch.progress)(
                    text.trim_end(),
                    Some(percentage).filter(|done| *done <= 100),
                );
            }
            Some("Finished") => {
                let (exit, _): (u32, u32) = body.deserialize().map_err(dbus::Error::from)?;
                return Ok(Some(exit));
            }
            _ => {}
        }
        Ok(None)
    }

    fn failure(self, exit: u32) -> PackageError {
        let reason = match (self.error, exit) {
            (Some((code, text)), _) => {
                let text = text.trim();
                let text = if text.is_empty() {
                    "no reason was given"
                } else {
                    text
                };
                format!("{text} ({})", error_word(code))
            }
            (None, 4) => {
                "the key of a package source has to be accepted by a person first".to_owned()
            }
            (None, 5) => "a licence has to be accepted by a person first".to_owned(),
            (None, 7) => "it wants another medium".to_owned(),
            (None, 8) => "the packages are not signed by a trusted key".to_owned(),
            (None, exit) => format!("it ended with exit {exit} and gave no reason"),
        };
        PackageError::failed("PackageKit", reason)
    }
}

/// `PkStatusEnum` as a verb.
fn doing(status: u32) -> &'static str {
    match status {
        6 => "remove",
        8 => "download",
        9 => "install",
        10 => "update",
        11 => "clean up",
        2 | 21 => "prepare",
        _ => "work on",
    }
}

/// `PkErrorEnum` in PackageKit's own words, as far as people meet them.
fn error_word(code: u32) -> String {
    let word = match code {
        2 => "no-network",
        3 => "not-supported",
        4 => "internal-error",
        5 => "gpg-failure",
        6 => "package-id-invalid",
        7 => "package-not-installed",
        8 => "package-not-found",
        9 => "package-already-installed",
        10 => "package-download-failed",
        13 => "dep-resolution-failed",
        16 => "transaction-error",
        17 => "transaction-cancelled",
        18 => "no-cache",
        20 => "cannot-remove-system-package",
        26 => "cannot-get-lock",
        30 => "bad-gpg-signature",
        31 => "missing-gpg-signature",
        35 => "file-conflicts",
        36 => "package-conflicts",
        37 => "repo-not-available",
        46 => "no-space-on-device",
        48 => "not-authorized",
        50 => "cannot-install-repo-unsigned",
        56 => "package-failed-to-configure",
        58 => "package-failed-to-install",
        59 => "package-failed-to-remove",
        other => return format!("error code {other}"),
    };
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_four_parts_and_nothing_odd() {
        let id = PackageId::read("nginx;1.22.1-9;amd64;installed:debian").unwrap();
        assert_eq!(
            (id.name.as_str(), id.version.as_str()),
            ("nginx", "1.22.1-9")
        );
        assert_eq!(id.text(), "nginx;1.22.1-9;amd64;installed:debian");
        assert!(PackageId::read("nginx;;;").is_some());
        for odd in [
            "",
            ";1;a;d",
            "nginx",
            "nginx;1;amd64",
            "a;b;c;d;e",
            "a b;1;c;d",
            "a\n;1;c;d",
            "a;1\0;c;d",
            &format!("{};1;c;d", "a".repeat(600)),
        ] {
            assert_eq!(PackageId::read(odd), None, "{odd:?}");
        }
    }
}
