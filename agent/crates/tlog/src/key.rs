//! Keys in the text form of signed notes.

use std::fmt;
use std::str::FromStr;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use sha2::{Digest, Sha256};

use crate::encode;

/// A text is not a key, or a key cannot be used so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The name of a key is empty, too long, or has spaces, control characters or `+`.
    #[error("`{}` cannot name a key: 1 to 255 bytes without spaces and `+`", .0.escape_debug())]
    Name(String),
    /// A verifier key has another form.
    #[error("not a verifier key: NAME+ID+KEY is wanted, such as example.org/log+4f1a9a3c+AQ…")]
    Verifier,
    /// A signing key has another form. The text is not shown, since it may be a secret.
    #[error("not a signing key: PRIVATE+KEY+NAME+ID+KEY is wanted")]
    Signing,
    /// The algorithm is not known here.
    #[error(
        "the key is for signatures of type {0:#04x}; known are 0x01 (Ed25519) and 0x04 (cosignatures)"
    )]
    Algorithm(u8),
    /// The identifier does not fit name and key.
    #[error(
        "the key's identifier is {found:08x}, but name and key make {expected:08x}: part of it was changed"
    )]
    Identifier {
        /// What the text says.
        found: u32,
        /// What it must be.
        expected: u32,
    },
    /// A key for something else than what is to be signed or verified.
    #[error("the key `{name}` is for {}, not for {}", .found.what(), .expected.what())]
    Purpose {
        /// The key's name.
        name: KeyName,
        /// What it is for.
        found: Algorithm,
        /// What is needed.
        expected: Algorithm,
    },
    /// The system has no random numbers.
    #[error("no random numbers: {0}")]
    Random(String),
}

/// What a key signs (the signature types of C2SP `signed-note`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// 0x01: Ed25519 over the text of a note. Logs sign so.
    Ed25519,
    /// 0x04: Ed25519 over a time and the text of a checkpoint (C2SP `tlog-cosignature`). Witnesses sign so.
    Cosignature,
}

impl Algorithm {
    /// The byte that stands for it.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::Cosignature => 0x04,
        }
    }

    const fn from_byte(byte: u8) -> Result<Self, KeyError> {
        match byte {
            0x01 => Ok(Self::Ed25519),
            0x04 => Ok(Self::Cosignature),
            byte => Err(KeyError::Algorithm(byte)),
        }
    }

    const fn what(self) -> &'static str {
        match self {
            Self::Ed25519 => "a log's signatures (0x01)",
            Self::Cosignature => "a witness's cosignatures (0x04)",
        }
    }
}

/// The name of a key, and the origin of a log: 1 to 255 bytes without spaces, control characters and `+`.
///
/// It should be a URL without its scheme, such as `example.org/log`. It need not lead anywhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyName(String);

impl KeyName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bad = |c: char| c == '+' || c.is_whitespace() || c.is_control();
        // 255 bytes are what later forms of the cosignature can hold.
        match (1..=255).contains(&text.len()) && !text.contains(bad) {
            true => Ok(Self(text.to_owned())),
            false => Err(KeyError::Name(text.chars().take(64).collect())),
        }
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What everybody may know of a key: its name, what it signs, and how its signatures are checked.
///
/// Its text is `NAME+ID+KEY`: the identifier in 8 hexadecimal digits, and the Base64 of the algorithm's byte and the key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VerifierKey {
    name: KeyName,
    id: u32,
    algorithm: Algorithm,
    public: [u8; 32],
}

impl VerifierKey {
    fn new(name: KeyName, algorithm: Algorithm, public: [u8; 32]) -> Self {
        let id = identifier(&name, algorithm, &public);
        Self {
            name,
            id,
            algorithm,
            public,
        }
    }

    /// The key's name.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The first four bytes of the SHA-256 over name, newline, algorithm and key.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// What the key signs.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The same key, if it is for this.
    pub fn for_purpose(self, expected: Algorithm) -> Result<Self, KeyError> {
        match self.algorithm == expected {
            true => Ok(self),
            false => Err(KeyError::Purpose {
                name: self.name,
                found: self.algorithm,
                expected,
            }),
        }
    }

    /// Whether these bytes sign this message. The message of a cosignature has its time in it.
    pub(crate) fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.public)
            .verify(message, signature)
            .is_ok()
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Verifier);
        };
        let (name, found, algorithm, public) = split(name, id, key).ok_or(KeyError::Verifier)?;
        let key = Self::new(name?, Algorithm::from_byte(algorithm)?, public);
        match key.id == found {
            true => Ok(key),
            false => Err(KeyError::Identifier {
                found,
                expected: key.id,
            }),
        }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = encode::base64(&with_algorithm(self.algorithm, &self.public));
        write!(f, "{}+{:08x}+{key}", self.name, self.id)
    }
}

/// A key that signs. It has no `Display`, and its `Debug` shows what everybody may know.
pub struct SigningKey {
    verifier: VerifierKey,
    pair: Ed25519KeyPair,
}

impl SigningKey {
    /// The text of a new key: `PRIVATE+KEY+NAME+ID+KEY`. It is a secret; keep it in a [`crate::KeyFile`].
    pub fn generate(name: &KeyName, algorithm: Algorithm) -> Result<String, KeyError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| KeyError::Random(error.to_string()))?;
        let key = Self::from_seed(name.clone(), algorithm, &seed)?;
        let secret = encode::base64(&with_algorithm(algorithm, &seed));
        Ok(format!(
            "PRIVATE+KEY+{name}+{:08x}+{secret}",
            key.verifier.id
        ))
    }

    fn from_seed(name: KeyName, algorithm: Algorithm, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Signing)?;
        let public = pair
            .public_key()
            .as_ref()
            .try_into()
            .map_err(|_| KeyError::Signing)?;
        Ok(Self {
            verifier: VerifierKey::new(name, algorithm, public),
            pair,
        })
    }

    /// What others check its signatures by.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The same key, if it is for this.
    pub fn for_purpose(self, expected: Algorithm) -> Result<Self, KeyError> {
        let verifier = self.verifier.for_purpose(expected)?;
        Ok(Self {
            verifier,
            pair: self.pair,
        })
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut bytes = [0; 64];
        let signature = self.pair.sign(message);
        bytes.copy_from_slice(signature.as_ref());
        bytes
    }
}

impl FromStr for SigningKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let rest = text.strip_prefix("PRIVATE+KEY+").ok_or(KeyError::Signing)?;
        let mut parts = rest.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Signing);
        };
        let (name, found, algorithm, seed) = split(name, id, key).ok_or(KeyError::Signing)?;
        let key = Self::from_seed(name?, Algorithm::from_byte(algorithm)?, &seed)?;
        match key.verifier.id == found {
            true => Ok(key),
            false => Err(KeyError::Identifier {
                found,
                expected: key.verifier.id,
            }),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("verifier", &self.verifier)
            .finish_non_exhaustive()
    }
}

type Parts = (Result<KeyName, KeyError>, u32, u8, [u8; 32]);

fn split(name: &str, id: &str, key: &str) -> Option<Parts> {
    let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    // 33 bytes are 44 characters of Base64.
    if id.len() != 8 || !id.bytes().all(hexadecimal) || key.len() != 44 {
        return None;
    }
    let (algorithm, key) = encode::bytes(key)?
        .split_first()
        .map(|(a, key)| (*a, key.to_vec()))?;
    Some((
        name.parse(),
        u32::from_str_radix(id, 16).ok()?,
        algorithm,
        key.try_into().ok()?,
    ))
}

fn with_algorithm(algorithm: Algorithm, key: &[u8; 32]) -> Vec<u8> {
    let mut bytes = vec![algorithm.byte()];
    bytes.extend_from_slice(key);
    bytes
}

fn identifier(name: &KeyName, algorithm: Algorithm, public: &[u8; 32]) -> u32 {
    let digest = Sha256::new()
        .chain_update(name.as_str())
        .chain_update([b'\n', algorithm.byte()])
        .chain_update(public)
        .finalize();
    let mut id = [0; 4];
    id.copy_from_slice(&digest[..4]);
    u32::from_be_bytes(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key pair of Go's golang.org/x/mod/sumdb/note, which is in its documentation.
    const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const PETER_SECRET: &str =
        "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";

    #[test]
    fn the_pair_of_another_implementation_is_read() {
        let key: VerifierKey = PETER.parse().unwrap();
        assert_eq!(key.to_string(), PETER);
        assert_eq!(key.id(), 0xc74f_20a3);
        let secret: SigningKey = PETER_SECRET.parse().unwrap();
        assert_eq!(secret.verifier(), &key);
        assert!(!format!("{secret:?}").contains("AYEKFALV"));
    }

    #[test]
    fn new_keys_differ_and_are_read_back() {
        let name: KeyName = "example.org/log".parse().unwrap();
        for algorithm in [Algorithm::Ed25519, Algorithm::Cosignature] {
            let text = SigningKey::generate(&name, algorithm).unwrap();
            assert_ne!(text, SigningKey::generate(&name, algorithm).unwrap());
            let key: SigningKey = text.parse().unwrap();
            let verifier: VerifierKey = key.verifier().to_string().parse().unwrap();
            assert_eq!(&verifier, key.verifier());
            assert!(verifier.signed(b"text", &key.sign(b"text")));
            assert!(!verifier.signed(b"texts", &key.sign(b"text")));
        }
    }

    #[test]
    fn what_was_changed_is_found() {
        let other_name = PETER.replace("Peter", "Pater").parse::<VerifierKey>();
        assert!(
            matches!(other_name, Err(KeyError::Identifier { .. })),
            "{other_name:?}"
        );
        let unknown =
            "a+00000000+/wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".parse::<VerifierKey>();
        assert_eq!(unknown, Err(KeyError::Algorithm(0xff)));
        for bad in [
            "",
            "a",
            "a+b",
            "a+c74f20a3",
            "a+c74f20a3+",
            "a+C74F20A3+ARpc",
            PETER_SECRET,
        ] {
            assert!(bad.parse::<VerifierKey>().is_err(), "{bad}");
        }
    }

    #[test]
    fn names_have_no_spaces() {
        for bad in [
            "",
            "a b",
            "a+b",
            "a\u{2003}b",
            "a\nb",
            "a\0",
            &"a".repeat(256),
        ] {
            assert!(bad.parse::<KeyName>().is_err(), "{bad}");
        }
        assert!("example.org/lög".parse::<KeyName>().is_ok());
    }
}
