//! Checkpoints (C2SP `tlog-checkpoint`): the signed head of a log's tree.

use std::fmt;

use tlog_tiles::{EMPTY_HASH, Hash};

use crate::MAX_SIZE;
use crate::encode;
use crate::key::{Algorithm, KeyError, KeyName, SigningKey, VerifierKey};
use crate::note::{Note, NoteError, Signature};

/// A checkpoint cannot be read or made, or is not to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note itself.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The key is for something else.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The text is not a checkpoint's.
    #[error("line {line} of the checkpoint is not {wanted}")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wanted there.
        wanted: &'static str,
    },
    /// It is of another log.
    #[error("the checkpoint is of the log `{found}`, not of `{expected}`")]
    Origin {
        /// What it says.
        found: KeyName,
        /// What was wanted.
        expected: KeyName,
    },
}

/// The head of a log's tree.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Which log: the name of its key.
    pub origin: KeyName,
    /// Leaves, at most [`MAX_SIZE`].
    pub size: u64,
    /// The root of the tree.
    pub root: Hash,
    /// Further lines, which mean nothing here. They are signed, too.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// A head without further lines.
    pub fn new(origin: KeyName, size: u64, root: Hash) -> Self {
        Self {
            origin,
            size,
            root,
            extensions: Vec::new(),
        }
    }

    /// Signs it. The key's name has to be the origin.
    pub fn sign(self, key: &SigningKey) -> Result<SignedCheckpoint, CheckpointError> {
        let verifier = key.verifier();
        if verifier.name() != &self.origin {
            let (found, expected) = (self.origin, verifier.name().clone());
            return Err(CheckpointError::Origin { found, expected });
        }
        verifier.clone().for_purpose(Algorithm::Ed25519)?;
        let note = Note::sign(self.to_string(), key)?;
        // What is signed is what can be read: a wrong extension is found here.
        SignedCheckpoint::from_note(note)
    }

    fn parse(text: &str) -> Result<Self, CheckpointError> {
        let wrong = |line, wanted| CheckpointError::Line { line, wanted };
        let mut lines = encode::lines(text).ok_or(wrong(1, "a line"))?;
        let origin = lines.next().and_then(|line| line.parse().ok());
        let origin = origin.ok_or(wrong(1, "the origin of a log"))?;
        let size = lines
            .next()
            .and_then(encode::number)
            .filter(|size| *size <= MAX_SIZE);
        let size = size.ok_or(wrong(2, "the size of a tree"))?;
        let root = lines.next().and_then(encode::hash);
        let root = root.ok_or(wrong(3, "the Base64 of 32 bytes"))?;
        if size == 0 && root != EMPTY_HASH {
            return Err(wrong(3, "the root of the empty tree"));
        }
        let mut extensions = Vec::new();
        for (position, line) in lines.enumerate() {
            if line.is_empty() {
                return Err(wrong(4 + position, "a line with something in it"));
            }
            extensions.push(line.to_owned());
        }
        Ok(Self {
            origin,
            size,
            root,
            extensions,
        })
    }
}

impl fmt::Display for Checkpoint {
    /// The text that is signed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, self.root)?;
        self.extensions
            .iter()
            .try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A checkpoint with signatures: the log's, and those of witnesses.
#[derive(Debug, Clone, PartialEq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Note,
}

/// A cosignature that was verified.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cosigned {
    /// The witness.
    pub name: KeyName,
    /// When it signed, in seconds since 1970, by its own clock.
    pub time: u64,
}

impl SignedCheckpoint {
    /// Reads one. Nothing is verified yet.
    pub fn parse(bytes: &[u8]) -> Result<Self, CheckpointError> {
        Self::from_note(Note::parse(bytes)?)
    }

    fn from_note(note: Note) -> Result<Self, CheckpointError> {
        Ok(Self {
            checkpoint: Checkpoint::parse(note.text())?,
            note,
        })
    }

    /// The head, without a look at who signed it: for programs that only want to know what is said.
    pub fn unverified(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note that it is.
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// The head, if the log with this key signed it and it is that log's.
    pub fn verify(&self, log: &VerifierKey) -> Result<&Checkpoint, CheckpointError> {
        let log = log.clone().for_purpose(Algorithm::Ed25519)?;
        if &self.checkpoint.origin != log.name() {
            let (found, expected) = (self.checkpoint.origin.clone(), log.name().clone());
            return Err(CheckpointError::Origin { found, expected });
        }
        self.note.verify([&log])?;
        Ok(&self.checkpoint)
    }

    /// Which of these witnesses cosigned it; none is no error, a forged one is.
    pub fn cosigned(&self, witnesses: &[VerifierKey]) -> Result<Vec<Cosigned>, CheckpointError> {
        for witness in witnesses {
            witness.clone().for_purpose(Algorithm::Cosignature)?;
        }
        let verified = match self.note.verify(witnesses) {
            Err(NoteError::Unknown) => Vec::new(),
            other => other?,
        };
        let cosigned = |it: &crate::note::Verified<'_>| Cosigned {
            name: it.key.name().clone(),
            time: it.time.unwrap_or_default(),
        };
        Ok(verified.iter().map(cosigned).collect())
    }

    /// A witness's cosignature at a time in seconds since 1970. Whether it may be given is the witness's to know:
    /// see [`crate::Witness`].
    pub fn cosign(&self, witness: &SigningKey, time: u64) -> Result<Signature, CheckpointError> {
        witness
            .verifier()
            .clone()
            .for_purpose(Algorithm::Cosignature)?;
        Ok(Signature::of_witness(witness, self.note.text(), time))
    }

    /// Adds a signature, if it is by one of these witnesses and over this checkpoint; others are left out.
    /// Returns whether it was added.
    pub fn add(
        &mut self,
        signature: Signature,
        witnesses: &[VerifierKey],
    ) -> Result<bool, CheckpointError> {
        let Some(witness) = witnesses.iter().find(|key| signature.names(key)) else {
            return Ok(false);
        };
        let mut with = self.clone();
        with.note.add(signature)?;
        with.cosigned(std::slice::from_ref(witness))?;
        *self = with;
        Ok(true)
    }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, algorithm: Algorithm) -> SigningKey {
        SigningKey::generate(&name.parse().unwrap(), algorithm)
            .unwrap()
            .parse()
            .unwrap()
    }

    fn head(size: u64) -> Checkpoint {
        Checkpoint::new("example.org/log".parse().unwrap(), size, Hash([7; 32]))
    }

    /// The example of C2SP `tlog-cosignature`. The specification gives no keys for it.
    const EXAMPLE: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
        — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
        — witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";

    #[test]
    fn the_example_of_the_specification_is_read() {
        let signed = SignedCheckpoint::parse(EXAMPLE.as_bytes()).unwrap();
        assert_eq!(
            signed.unverified().origin.as_str(),
            "example.com/behind-the-sofa"
        );
        assert_eq!(signed.unverified().size, 20_852_163);
        assert_eq!(signed.note().signatures().len(), 2);
        assert_eq!(signed.to_string(), EXAMPLE);
    }

    #[test]
    fn a_head_is_signed_and_cosigned() {
        let log = key("example.org/log", Algorithm::Ed25519);
        let witnesses = [
            key("w1", Algorithm::Cosignature),
            key("w2", Algorithm::Cosignature),
        ];
        let keys = witnesses.each_ref().map(|key| key.verifier().clone());
        let mut signed = head(3).sign(&log).unwrap();
        assert_eq!(signed.cosigned(&keys).unwrap(), []);
        for (witness, time) in witnesses.iter().zip([1_700_000_000, 1_700_000_001]) {
            let signature = signed.cosign(witness, time).unwrap();
            assert!(signed.add(signature, &keys).unwrap());
        }
        let read = SignedCheckpoint::parse(signed.to_string().as_bytes()).unwrap();
        assert_eq!(read.verify(log.verifier()).unwrap(), &head(3));
        let names: Vec<_> = read
            .cosigned(&keys)
            .unwrap()
            .into_iter()
            .map(|it| (it.name.to_string(), it.time))
            .collect();
        assert_eq!(
            names,
            [
                ("w1".to_owned(), 1_700_000_000),
                ("w2".to_owned(), 1_700_000_001)
            ]
        );
        // The time is signed, too.
        let later = signed.to_string().replace("w1", "w3");
        let later = SignedCheckpoint::parse(later.as_bytes()).unwrap();
        assert_eq!(later.cosigned(&keys).unwrap().len(), 1);
    }

    #[test]
    fn a_cosignature_over_something_else_is_not_added() {
        let log = key("example.org/log", Algorithm::Ed25519);
        let witness = key("w", Algorithm::Cosignature);
        let keys = [witness.verifier().clone()];
        let mut signed = head(3).sign(&log).unwrap();
        let other = head(4).sign(&log).unwrap().cosign(&witness, 1).unwrap();
        assert!(signed.add(other, &keys).is_err());
        assert_eq!(signed.note().signatures().len(), 1);
        let stranger = key("s", Algorithm::Cosignature);
        let by_stranger = signed.cosign(&stranger, 1).unwrap();
        assert!(!signed.add(by_stranger, &keys).unwrap());
    }

    #[test]
    fn keys_serve_one_purpose() {
        let log = key("example.org/log", Algorithm::Ed25519);
        let witness = key("example.org/log", Algorithm::Cosignature);
        assert!(head(3).sign(&witness).is_err());
        let signed = head(3).sign(&log).unwrap();
        assert!(signed.cosign(&log, 1).is_err());
        assert!(signed.verify(witness.verifier()).is_err());
        assert!(signed.cosigned(&[log.verifier().clone()]).is_err());
        let other = key("example.org/other", Algorithm::Ed25519);
        assert!(head(3).sign(&other).is_err());
        assert!(matches!(
            signed.verify(other.verifier()),
            Err(CheckpointError::Origin { .. })
        ));
    }

    #[test]
    fn what_is_no_checkpoint_is_refused() {
        let log = key("a", Algorithm::Ed25519);
        let root = Hash([7; 32]);
        for text in [
            "a\n".to_owned(),
            format!("a\n03\n{root}\n"),
            format!("a\n-3\n{root}\n"),
            format!("a\n{}\n{root}\n", MAX_SIZE + 1),
            format!("a\n0\n{root}\n"),
            format!("a b\n3\n{root}\n"),
            format!("\n3\n{root}\n"),
            "a\n3\nAAAA\n".to_owned(),
            format!("a\n3\n{root}\n\nmore\n"),
        ] {
            let note = Note::sign(text.clone(), &log).unwrap();
            let read = SignedCheckpoint::parse(note.to_string().as_bytes());
            assert!(
                matches!(read, Err(CheckpointError::Line { .. })),
                "{text:?}: {read:?}"
            );
        }
        let empty = Checkpoint::new("a".parse().unwrap(), 0, EMPTY_HASH)
            .sign(&log)
            .unwrap();
        assert_eq!(empty.verify(log.verifier()).unwrap().size, 0);
        let mut with = Checkpoint::new("a".parse().unwrap(), 3, root);
        with.extensions = vec!["two\nlines".to_owned()];
        assert_eq!(
            with.clone()
                .sign(&log)
                .unwrap()
                .unverified()
                .extensions
                .len(),
            2
        );
        with.extensions = vec![String::new()];
        assert!(with.sign(&log).is_err());
    }
}
