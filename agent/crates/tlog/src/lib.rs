//! Logs that prove themselves to others: signed notes, checkpoints, Merkle trees in tiles, proofs and witnesses.
//!
//! The formats are those of [C2SP](https://c2sp.org): `signed-note`, `tlog-checkpoint`, `tlog-tiles`, `tlog-proof`,
//! `tlog-cosignature` (version 1, Ed25519) and `tlog-witness`. The tree is that of RFC 6962 §2.1 with SHA-256; hashing
//! and proofs are the library `tlog_tiles`'s, signatures are `ring`'s.
//!
//! | to do | look at |
//! |---|---|
//! | make and keep a key | [`SigningKey`], [`KeyFile`] |
//! | grow a tree, and keep it | [`Tree`], [`Tiles`] |
//! | sign its head | [`Checkpoint::sign`], [`SignedCheckpoint`] |
//! | prove that an entry is in it | [`Prover`], [`Proof`] |
//! | check what others prove | [`Proof::verify`], [`check_inclusion`], [`check_consistency`] |
//! | watch over other logs | [`Witness`], [`AddCheckpoint`], [`Answer`] |
//!
//! Whatever is parsed may be hostile: everything has a bound, and nothing panics.

mod checkpoint;
mod encode;
mod key;
mod key_file;
mod note;
mod proof;
mod prover;
mod tile;
mod tree;
mod witness;

pub use checkpoint::{Checkpoint, CheckpointError, Cosigned, SignedCheckpoint};
pub use key::{Algorithm, KeyError, KeyName, SigningKey, VerifierKey};
pub use key_file::{KeyFile, KeyFileError};
pub use note::{MAX_NOTE, MAX_SIGNATURES, Note, NoteError, Signature, Verified};
pub use proof::{MAX_PROOF, Proof, ProofError};
pub use prover::{Prover, check_consistency, check_inclusion};
pub use tile::{Difference, Found, TileError, TileId, Tiles};
pub use tlog_tiles::{EMPTY_HASH, HASH_SIZE, Hash};
pub use tree::Tree;
pub use witness::{AddCheckpoint, Answer, MAX_REQUEST, RequestError, Witness, WitnessError};

/// Leaves that a tree may have: far more than will ever be, and no sum of positions overflows.
pub const MAX_SIZE: u64 = 1 << 48;

/// The hash of a leaf: SHA-256 over a zero byte and the data (RFC 6962 §2.1).
pub fn leaf_hash(data: &[u8]) -> Hash {
    tlog_tiles::record_hash(data)
}
