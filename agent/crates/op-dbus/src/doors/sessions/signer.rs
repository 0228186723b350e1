//! Tokens that this host signs for itself: a session's name, a number, and a keyed hash over both (RFC 2104).

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use rustix::fs::OFlags;

/// Bytes of a key, as many as the hash has (RFC 2104 §3).
const KEY: usize = 32;

/// What a token is for. The word is part of what is signed, so that no token is good for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Goes with each call; its number is when it ends, in seconds since 1970.
    Access,
    /// Renews the session; its number counts how often that was done.
    Refresh,
}

impl Kind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Access => "opdbus_s.",
            Self::Refresh => "opdbus_r.",
        }
    }

    /// Whether a text means to be such a token.
    pub(super) fn is(self, text: &str) -> bool {
        text.starts_with(self.prefix())
    }
}

/// Signs, and knows what it signed.
pub(super) struct Signer(hmac::Key);

impl Signer {
    fn new(key: &[u8; KEY]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// By the key in a file, which is made where there is none; its directory too.
    pub(super) fn open_or_create(path: &Path) -> io::Result<Self> {
        match read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(path),
            key => key,
        }
        .map(|key| Self::new(&key))
    }

    pub(super) fn sign(&self, kind: Kind, session: &str, number: u64) -> String {
        let mut text = format!("{}{session}.{number}", kind.prefix());
        let tag = hmac::sign(&self.0, text.as_bytes());
        text.push('.');
        text.push_str(&URL_SAFE_NO_PAD.encode(tag));
        text
    }

    /// The session and the number of a token that was signed here; the time that it takes says nothing of the hash.
    pub(super) fn read<'a>(&self, kind: Kind, token: &'a str) -> Option<(&'a str, u64)> {
        let (text, tag) = token.rsplit_once('.')?;
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        hmac::verify(&self.0, text.as_bytes(), &tag).ok()?;
        let (session, number) = text.strip_prefix(kind.prefix())?.split_once('.')?;
        Some((session, number.parse().ok()?))
    }
}

/// So many random bytes as a text.
pub(super) fn random<const N: usize>() -> io::Result<String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn read(path: &Path) -> io::Result<[u8; KEY]> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    let about = file.metadata()?;
    if about.mode() & 0o077 != 0 || !about.is_file() {
        return Err(io::Error::other(
            "others can get at it: remove it, and all sessions end",
        ));
    }
    let mut text = Vec::new();
    file.take(128).read_to_end(&mut text)?;
    let key = URL_SAFE_NO_PAD.decode(text.trim_ascii_end());
    let key = key.ok().and_then(|key| key.try_into().ok());
    key.ok_or_else(|| io::Error::other("it is no key: remove it, and all sessions end"))
}

fn create(path: &Path) -> io::Result<[u8; KEY]> {
    let mut key = [0; KEY];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    if let Some(directory) = path.parent() {
        match DirBuilder::new().mode(0o700).create(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    let text = format!("{}\n", URL_SAFE_NO_PAD.encode(key));
    durable::replace(path, text.as_bytes(), 0o600)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_what_was_signed_here_for_this_purpose_is_read() {
        let signer = Signer::new(&[7; KEY]);
        let token = signer.sign(Kind::Access, "abc-_", 1_800_000_000);
        assert_eq!(
            signer.read(Kind::Access, &token),
            Some(("abc-_", 1_800_000_000))
        );
        assert_eq!(signer.read(Kind::Refresh, &token), None);
        let other = Signer::new(&[8; KEY]);
        assert_eq!(other.read(Kind::Access, &token), None);
        for at in 0..token.len() {
            let mut wrong = token.clone().into_bytes();
            wrong[at] ^= 1;
            let wrong = String::from_utf8(wrong).unwrap();
            assert_eq!(signer.read(Kind::Access, &wrong), None, "{wrong}");
            assert_eq!(signer.read(Kind::Access, &token[..at]), None);
        }
        let later = token.replace("1800000000", "1900000000");
        assert_eq!(signer.read(Kind::Access, &later), None);
    }

    #[test]
    fn the_key_is_kept_and_nobody_else_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys/session.key");
        let token = Signer::open_or_create(&path)
            .unwrap()
            .sign(Kind::Refresh, "s", 1);
        let again = Signer::open_or_create(&path).unwrap();
        assert_eq!(again.read(Kind::Refresh, &token), Some(("s", 1)));
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Signer::open_or_create(&path).is_err());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "short").unwrap();
        assert!(Signer::open_or_create(&path).is_err());
    }
}
