//! Signed notes (C2SP `signed-note`): a text, an empty line, and lines with signatures.

use std::fmt;
use std::str::FromStr;

use crate::encode;
use crate::key::{Algorithm, KeyName, SigningKey, VerifierKey};

/// The longest note that is read, in bytes.
pub const MAX_NOTE: usize = 64 * 1024;

/// Signatures that a note may have. Verifiers have to accept 16.
pub const MAX_SIGNATURES: usize = 64;

/// How a signature line begins.
const DASH: &str = "\u{2014} ";

/// A note cannot be read, or is not to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It is longer than [`MAX_NOTE`].
    #[error("the note is longer than {MAX_NOTE} bytes")]
    TooLong,
    /// It has more signatures than [`MAX_SIGNATURES`].
    #[error("the note has more than {MAX_SIGNATURES} signatures")]
    TooManySignatures,
    /// It is not UTF-8, or has control characters.
    #[error("the note is not plain text")]
    NotText,
    /// It has no empty line with signatures behind it.
    #[error("the note has no signatures")]
    Unsigned,
    /// A line behind the last empty one is no signature.
    #[error("line {0} of the note is not a signature")]
    Line(usize),
    /// None of the keys that are trusted signed it.
    #[error("the note is signed by none of the keys that are trusted")]
    Unknown,
    /// A key that is trusted is named, but did not sign this.
    #[error("the signature of `{0}` is not over this text: one of the two was changed or forged")]
    Forged(KeyName),
}

/// A text and its signatures, not yet verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

/// One line of signature.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Signature {
    name: KeyName,
    id: u32,
    bytes: Vec<u8>,
}

/// A signature that was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified<'a> {
    /// Whose it is.
    pub key: &'a VerifierKey,
    /// When it was made, in seconds since 1970; logs do not say.
    pub time: Option<u64>,
}

impl Signature {
    /// The name of the key that it says it is by.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The id of the key that it says it is by.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Whether it says that it is by this key.
    pub fn names(&self, key: &VerifierKey) -> bool {
        &self.name == key.name() && self.id == key.id()
    }

    /// Signs a text as a log does.
    pub(crate) fn of_log(key: &SigningKey, text: &str) -> Self {
        Self::by(key, key.sign(text.as_bytes()).to_vec())
    }

    /// Signs the text of a checkpoint as a witness does, at a time in seconds since 1970.
    pub(crate) fn of_witness(key: &SigningKey, text: &str, time: u64) -> Self {
        let mut bytes = time.to_be_bytes().to_vec();
        bytes.extend_from_slice(&key.sign(cosigned_message(text, time).as_bytes()));
        Self::by(key, bytes)
    }

    fn by(key: &SigningKey, bytes: Vec<u8>) -> Self {
        let verifier = key.verifier();
        Self {
            name: verifier.name().clone(),
            id: verifier.id(),
            bytes,
        }
    }

    /// Verifies it: the time that it was made at, if it has one.
    fn verify(&self, key: &VerifierKey, text: &str) -> Result<Option<u64>, NoteError> {
        let (time, message, signature) = match key.algorithm() {
            Algorithm::Ed25519 => (None, text.to_owned(), self.bytes.as_slice()),
            Algorithm::Cosignature => {
                let (time, signature) = self
                    .bytes
                    .split_first_chunk()
                    .ok_or_else(|| NoteError::Forged(self.name.clone()))?;
                let time = u64::from_be_bytes(*time);
                (Some(time), cosigned_message(text, time), signature)
            }
        };
        let possible = time.is_none_or(|time| i64::try_from(time).is_ok());
        match possible && key.signed(message.as_bytes(), signature) {
            true => Ok(time),
            false => Err(NoteError::Forged(self.name.clone())),
        }
    }
}

/// What a cosignature is over (C2SP `tlog-cosignature`, Ed25519).
fn cosigned_message(text: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

impl FromStr for Signature {
    type Err = NoteError;

    /// Reads a line, without its newline.
    fn from_str(line: &str) -> Result<Self, NoteError> {
        let parts = line
            .strip_prefix(DASH)
            .and_then(|rest| rest.split_once(' '));
        let (name, encoded) = parts.ok_or(NoteError::Line(1))?;
        let name = name.parse().map_err(|_| NoteError::Line(1))?;
        let bytes = encode::bytes(encoded).ok_or(NoteError::Line(1))?;
        match bytes.split_first_chunk() {
            Some((id, bytes)) if !bytes.is_empty() => Ok(Self {
                name,
                id: u32::from_be_bytes(*id),
                bytes: bytes.to_vec(),
            }),
            _ => Err(NoteError::Line(1)),
        }
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.id.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.bytes);
        write!(f, "{DASH}{} {}", self.name, encode::base64(&bytes))
    }
}

impl Note {
    /// A note of a text that is fit to be signed: it ends with a newline and has no control characters.
    pub(crate) fn new(text: String, signature: Signature) -> Result<Self, NoteError> {
        if !text.ends_with('\n') || !plain(&text) {
            return Err(NoteError::NotText);
        }
        Ok(Self {
            text,
            signatures: vec![signature],
        })
    }

    /// Signs a text, which has to end with a newline.
    pub fn sign(text: String, key: &SigningKey) -> Result<Self, NoteError> {
        let signature = Signature::of_log(key, &text);
        Self::new(text, signature)
    }

    /// Reads a note. Nothing is verified yet.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > MAX_NOTE {
            return Err(NoteError::TooLong);
        }
        let all = std::str::from_utf8(bytes).map_err(|_| NoteError::NotText)?;
        if !plain(all) {
            return Err(NoteError::NotText);
        }
        let end = all.rfind("\n\n").ok_or(NoteError::Unsigned)? + 1;
        let text = &all[..end];
        let lines = encode::lines(&all[end + 1..]).ok_or(NoteError::Unsigned)?;
        let first = text.matches('\n').count() + 2;
        let signatures = signature_lines(lines, first)?;
        Ok(Self {
            text: text.to_owned(),
            signatures,
        })
    }

    /// The text, with its last newline. It is to be ignored unless a signature was verified.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All signatures, verified or not.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Verifies what these keys signed, in their order. Signatures by others are ignored.
    ///
    /// # Errors
    /// If one that says it is by such a key is not, or if there is none.
    pub fn verify<'a>(
        &self,
        keys: impl IntoIterator<Item = &'a VerifierKey>,
    ) -> Result<Vec<Verified<'a>>, NoteError> {
        let mut verified = Vec::new();
        for key in keys {
            let mut newest: Option<Verified<'a>> = None;
            for signature in self
                .signatures
                .iter()
                .filter(|signature| signature.names(key))
            {
                let time = signature.verify(key, &self.text)?;
                if newest.is_none_or(|newest| newest.time < time) {
                    newest = Some(Verified { key, time });
                }
            }
            verified.extend(newest);
        }
        match verified.is_empty() {
            true => Err(NoteError::Unknown),
            false => Ok(verified),
        }
    }

    /// Adds a signature, in the place of an older one by the same key.
    pub fn add(&mut self, signature: Signature) -> Result<(), NoteError> {
        let same = |other: &Signature| other.name == signature.name && other.id == signature.id;
        self.signatures.retain(|other| !same(other));
        if self.signatures.len() == MAX_SIGNATURES {
            return Err(NoteError::TooManySignatures);
        }
        self.signatures.push(signature);
        Ok(())
    }
}

/// Reads lines of signatures; `first` is the number of the first one.
pub(crate) fn signature_lines<'a>(
    lines: impl Iterator<Item = &'a str>,
    first: usize,
) -> Result<Vec<Signature>, NoteError> {
    let mut signatures = Vec::new();
    for (position, line) in lines.enumerate() {
        if position == MAX_SIGNATURES {
            return Err(NoteError::TooManySignatures);
        }
        signatures.push(
            line.parse()
                .map_err(|_| NoteError::Line(first + position))?,
        );
    }
    Ok(signatures)
}

fn plain(text: &str) -> bool {
    !text.bytes().any(|byte| byte < 0x20 && byte != b'\n')
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures
            .iter()
            .try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text, key and signature from the documentation of golang.org/x/mod/sumdb/note.
    const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const PETER_SECRET: &str =
        "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    const SIGNED: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n\n\
        — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    #[test]
    fn a_note_of_another_implementation_is_verified_and_made_again() {
        let key: VerifierKey = PETER.parse().unwrap();
        let note = Note::parse(SIGNED.as_bytes()).unwrap();
        assert_eq!(
            note.verify([&key]).unwrap(),
            [Verified {
                key: &key,
                time: None
            }]
        );
        assert_eq!(note.to_string(), SIGNED);
        let secret: SigningKey = PETER_SECRET.parse().unwrap();
        let again = Note::sign(note.text().to_owned(), &secret).unwrap();
        assert_eq!(again.to_string(), SIGNED);
    }

    #[test]
    fn changes_are_found() {
        let key: VerifierKey = PETER.parse().unwrap();
        let other = SigningKey::generate(&"other".parse().unwrap(), Algorithm::Ed25519).unwrap();
        let other: SigningKey = other.parse().unwrap();
        let changed = Note::parse(SIGNED.replace("answer", "Answer").as_bytes()).unwrap();
        assert_eq!(
            changed.verify([&key]),
            Err(NoteError::Forged(key.name().clone()))
        );
        let note = Note::parse(SIGNED.as_bytes()).unwrap();
        assert_eq!(note.verify([other.verifier()]), Err(NoteError::Unknown));
        // A known key's forged signature is not made good by another one.
        let mut both = changed;
        both.add(Signature::of_log(&other, both.text())).unwrap();
        assert!(both.verify([other.verifier()]).is_ok());
        assert!(both.verify([other.verifier(), &key]).is_err());
    }

    #[test]
    fn what_is_no_note_is_refused() {
        let parse = |text: &str| Note::parse(text.as_bytes());
        assert_eq!(parse(""), Err(NoteError::Unsigned));
        assert_eq!(parse("text\n"), Err(NoteError::Unsigned));
        assert_eq!(parse("text\n\n"), Err(NoteError::Unsigned));
        assert_eq!(parse(&SIGNED[..SIGNED.len() - 1]), Err(NoteError::Unsigned));
        assert_eq!(parse(&format!("{SIGNED}more\n")), Err(NoteError::Line(5)));
        assert_eq!(parse(&SIGNED.replace("— ", "- ")), Err(NoteError::Line(4)));
        assert_eq!(parse(&SIGNED.replace("you", "\t")), Err(NoteError::NotText));
        assert_eq!(Note::parse(b"\xff\n\n"), Err(NoteError::NotText));
        assert_eq!(parse(&" ".repeat(MAX_NOTE + 1)), Err(NoteError::TooLong));
        let line = SIGNED.lines().last().unwrap();
        let many = format!("a\n\n{}", format!("{line}\n").repeat(MAX_SIGNATURES + 1));
        assert_eq!(parse(&many), Err(NoteError::TooManySignatures));
        assert!(Note::sign("a".to_owned(), &PETER_SECRET.parse().unwrap()).is_err());
    }
}
