//! Find documents by their words and by likeness, without a model.
//!
//! An [`entries::EntryIndex`] holds any number of entries of a ledger on disk, and takes questions apart into filters
//! and words. An [`Index`] holds a few thousand short texts, such as the names and descriptions of tools. Words are matched by
//! SQLite's FTS5 (BM25), likeness by a built-in embedding ([`embed`]) that is the same on every machine, and the two
//! ranks are fused (reciprocal rank fusion).

mod concepts;
mod embedder;
mod embedding;
pub mod entries;
mod fusion;
mod index;
mod tokens;
pub mod when;
mod words;

pub use embedder::{BuiltIn, EmbedError, Embedder, ModelId, NotAModelId};
pub use embedding::{DIMENSIONS, Embedding, VERSION, embed};
pub use index::{Document, Error, Hit, Index, Method};
pub use tokens::stems;
