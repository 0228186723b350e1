//! Files that hold secrets and are for no tool, whoever asks.

use std::os::fd::AsFd;
use std::path::Path;

use crate::error::ToolError;

/// Directories with nothing but secrets.
const DIRECTORIES: [&str; 8] = [
    "/etc/op-dbus/secrets",
    "/etc/ssl/private",
    "/etc/wireguard",
    "/etc/NetworkManager/system-connections",
    "/etc/credstore",
    "/etc/credstore.encrypted",
    "/run/secrets",
    "/run/credentials",
];

/// Names of files with passwords or keys.
const NAMES: [&str; 12] = [
    "shadow",
    "shadow-",
    "gshadow",
    "gshadow-",
    "opasswd",
    ".netrc",
    ".pgpass",
    ".git-credentials",
    "id_rsa",
    "id_ecdsa",
    "id_ed25519",
    "credential.secret",
];

/// What names of such files end with.
const ENDINGS: [&str; 6] = [".key", ".p12", ".pfx", ".jks", ".kdbx", ".keytab"];

/// How much is looked through for a private key: at the beginning of a file, and around what is read.
pub(super) const HEAD: usize = 256 << 10;

/// Refuses a path that looks like that of a secret.
pub(super) fn refuse(path: &Path) -> Result<(), ToolError> {
    match looks_secret(path) {
        true => Err(refused(path)),
        false => Ok(()),
    }
}

/// Whether a path looks like that of a secret.
pub(super) fn looks_secret(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.to_ascii_lowercase();
    DIRECTORIES
        .iter()
        .any(|directory| path.starts_with(directory))
        || NAMES.contains(&name.as_str())
        || ENDINGS.iter().any(|ending| name.ends_with(ending))
        || (name.starts_with("ssh_host_") && name.ends_with("_key"))
}

/// Why such a file is not read.
pub(in crate::builtin) fn refused(path: &Path) -> ToolError {
    ToolError::Refused(format!(
        "{} holds secrets, or looks so: no tool reads or writes it, for anybody. Look at it on the host",
        path.display()
    ))
}

/// Whether bytes have the first line of a private key (RFC 7468).
pub(in crate::builtin) fn has_private_key(bytes: &[u8]) -> bool {
    let begin = b"-----BEGIN ";
    let key = b"PRIVATE KEY";
    let begins = bytes
        .windows(begin.len())
        .enumerate()
        .filter(|(_, part)| part == begin);
    begins
        .map(|(place, _)| &bytes[place + begin.len()..])
        .any(|rest| {
            let line = &rest[..rest.len().min(40)];
            line.windows(key.len()).any(|part| part == key)
        })
}

/// Whether a file begins with a private key, or has one near its beginning.
pub(super) fn is_private_key(file: impl AsFd) -> Result<bool, ToolError> {
    Ok(has_private_key(&super::read::window(&file, 0, HEAD)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_names() {
        for path in [
            "/etc/shadow",
            "/etc/gshadow-",
            "/etc/ssl/private/x.pem",
            "/srv/tls/Server.KEY",
            "/run/credentials/a.service/token",
            "/etc/ssh/ssh_host_ed25519_key",
            "/root/.ssh/id_ed25519",
        ] {
            assert!(looks_secret(Path::new(path)), "{path}");
        }
        for path in [
            "/etc/passwd",
            "/etc/ssh/ssh_host_ed25519_key.pub",
            "/etc/ssl/certs/ca.pem",
            "/etc/login.defs",
            "/run/secretsauce",
        ] {
            assert!(!looks_secret(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn private_keys_are_known_by_their_first_line() {
        assert!(has_private_key(b"x\n-----BEGIN PRIVATE KEY-----\n"));
        assert!(has_private_key(b"-----BEGIN OPENSSH PRIVATE KEY-----"));
        assert!(!has_private_key(b"-----BEGIN CERTIFICATE-----\nPRIVATE"));
        assert!(!has_private_key(b"-----BEGIN "));
    }
}
