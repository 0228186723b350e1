//! Tokens: who speaks by way of a web server, which itself has no rights.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use declaration::{Scope, TokenName, Web};
use rate::{Counting, Rate};
use rustix::fs::OFlags;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// The shortest secret that is taken: 32 characters of base64 or hexadecimal digits are 128 bits or more.
const SHORTEST: usize = 32;
/// The longest one.
const LONGEST: usize = 4096;
/// So many wrong tokens are told each by itself; after that, so many a second.
const WRONG: Rate = Rate {
    at_once: 20.0,
    a_second: 0.5,
};

/// A token that is declared, and was presented.
#[derive(Debug, Clone)]
pub(crate) struct Bearer {
    pub(crate) name: TokenName,
    pub(crate) scopes: Vec<Scope>,
}

/// Why a token says nothing of its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denied {
    /// It is none of those that are declared.
    #[error(
        "the token is none of those that are declared under `web.tokens`, or its file cannot be used: the daemon's \
         log says which"
    )]
    Unknown,
    /// The same, once too often.
    #[error("too many wrong tokens came lately: wait a while")]
    TooOften,
}

impl Denied {
    /// A word for programs.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Unknown => "unauthenticated",
            Self::TooOften => "rate-limited",
        }
    }
}

/// What is remembered of tokens: how many wrong ones came, and what was said of files. No secret.
#[derive(Debug)]
pub(crate) struct Tokens {
    wrong: Mutex<Counting>,
    told: Mutex<BTreeMap<TokenName, String>>,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            wrong: Mutex::new(Counting::new(WRONG, Instant::now())),
            told: Mutex::default(),
        }
    }
}

impl Tokens {
    /// Whose token this is. All files are read, and all are compared, so that the time that it takes says nothing.
    pub(crate) fn find(&self, web: &Web, presented: &str, uid: u32) -> Result<Bearer, Denied> {
        let digest = Sha256::digest(presented.as_bytes());
        let mut found = u32::MAX;
        for (index, (name, token)) in (0u32..).zip(&web.tokens) {
            let secret = match read(&token.file) {
                Ok(secret) => secret,
                Err(why) => {
                    self.tell(name, &format!("{}: {why}", token.file.display()));
                    continue;
                }
            };
            self.forget(name);
            let same: Choice = Sha256::digest(secret.as_bytes()).ct_eq(&digest);
            found.conditional_assign(&index, same);
        }
        let index = usize::try_from(found).unwrap_or(usize::MAX);
        match web.tokens.iter().nth(index) {
            Some((name, token)) => Ok(Bearer {
                name: name.clone(),
                scopes: token.scopes.clone(),
            }),
            None => Err(self.wrong(uid)),
        }
    }

    /// Counts a wrong token. A right one passes whatever came before.
    pub(crate) fn wrong(&self, uid: u32) -> Denied {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        match wrong.admit(Instant::now()) {
            Some(left_out) => {
                log::warn!("user {uid} presents a wrong token; {left_out} more were not told");
                Denied::Unknown
            }
            None => Denied::TooOften,
        }
    }

    /// Says once what is wrong with a file.
    fn tell(&self, name: &TokenName, why: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.get(name).is_none_or(|before| before != why) {
            log::error!("the token `{name}` opens nothing: {why}");
            told.insert(name.clone(), why.to_owned());
        }
    }

    fn forget(&self, name: &TokenName) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.remove(name);
    }
}

/// Reads a secret from a file that nobody else could have read or written.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    let flags = OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut options = OpenOptions::new();
    // A pipe without a writer must not hold up all others.
    options.read(true).custom_flags(flags.bits().cast_signed());
    let file = options.open(path).map_err(|error| error.to_string())?;
    let about = file.metadata().map_err(|error| error.to_string())?;
    if !about.is_file() {
        return Err("it is no file".to_owned());
    }
    if about.uid() != 0 {
        return Err(format!(
            "it belongs to user {}: `chown root:root` it",
            about.uid()
        ));
    }
    if about.mode() & 0o077 != 0 {
        return Err(format!(
            "others may get at it (mode {:04o}): `chmod 0600` it, and make another secret",
            about.mode() & 0o7777
        ));
    }
    let mut text = String::new();
    let limit = u64::try_from(LONGEST).unwrap_or(u64::MAX) + 2;
    file.take(limit)
        .read_to_string(&mut text)
        .map_err(|error| error.to_string())?;
    let secret = text.trim_end_matches(['\n', '\r']);
    match secret.len() {
        0..SHORTEST => Err(format!("a secret has at least {SHORTEST} characters")),
        SHORTEST..=LONGEST => Ok(secret.to_owned()),
        _ => Err(format!("a secret has at most {LONGEST} characters")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, chown};
    use std::time::Duration;

    use declaration::Declaration;

    use super::*;

    const ONE: &str = "0123456789abcdef0123456789abcdef";
    const TWO: &str = "fedcba9876543210fedcba9876543210";

    fn write(path: &Path, text: &str, mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn web(dir: &Path) -> Web {
        let text = format!(
            "version: 1\nweb:\n  tokens:\n    one: {{file: {0}/one, scopes: ['mcp:read']}}\n    \
             two: {{file: {0}/two, scopes: ['mcp:write']}}\n",
            dir.display()
        );
        Declaration::from_yaml(&text).unwrap().web.unwrap()
    }

    #[test]
    fn a_token_is_found_by_its_secret_alone() {
        if !rustix::process::geteuid().is_root() {
            return lab::skip("needs root");
        }
        let dir = tempfile::tempdir().unwrap();
        let (web, tokens) = (web(dir.path()), Tokens::default());
        write(&dir.path().join("one"), &format!("{ONE}\n"), 0o600);
        write(&dir.path().join("two"), TWO, 0o400);
        let name = |secret: &str| {
            tokens
                .find(&web, secret, 1)
                .map(|found| found.name.to_string())
        };
        assert_eq!(name(ONE).as_deref(), Ok("one"));
        assert_eq!(name(TWO).as_deref(), Ok("two"));
        for wrong in [
            "",
            "one",
            &ONE[1..],
            &format!("{ONE}\n"),
            &ONE.to_uppercase(),
        ] {
            assert_eq!(name(wrong), Err(Denied::Unknown), "{wrong:?}");
        }
        // A change of the file counts at once.
        write(&dir.path().join("one"), &TWO.replace('f', "e"), 0o600);
        assert_eq!(name(ONE), Err(Denied::Unknown));
    }

    #[test]
    fn a_file_that_others_get_at_opens_nothing() {
        if !rustix::process::geteuid().is_root() {
            return lab::skip("needs root");
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("one");
        for mode in [0o640, 0o604, 0o620, 0o601] {
            write(&path, ONE, mode);
            assert!(read(&path).unwrap_err().contains("chmod"), "{mode:o}");
        }
        write(&path, "short", 0o600);
        assert!(read(&path).is_err());
        write(&path, &"x".repeat(5000), 0o600);
        assert!(read(&path).is_err());
        write(&path, ONE, 0o600);
        assert!(read(&path).is_ok());
        chown(&path, Some(60_001), None).unwrap();
        assert!(read(&path).unwrap_err().contains("chown"));
        assert!(read(dir.path()).is_err());
        assert!(read(Path::new("/dev/zero")).is_err());
        assert!(read(&dir.path().join("absent")).is_err());
    }

    #[test]
    fn many_wrong_tokens_are_counted_and_no_longer_told() {
        let start = Instant::now();
        let mut wrong = Counting::new(WRONG, start);
        let told = (0..1000).filter(|_| wrong.admit(start).is_some());
        assert_eq!(told.count(), 20);
        let later = start + Duration::from_secs(2);
        assert_eq!(wrong.admit(later), Some(980));
        assert_eq!(wrong.admit(later), None);
    }
}
