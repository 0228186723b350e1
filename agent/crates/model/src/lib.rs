//! Embeddings by a sentence model in an ONNX file, in a process of its own.
//!
//! [`Model`] is a [`search::Embedder`] that starts a worker process when a text is to be embedded, and lets it go when
//! nothing has been asked for a while: then all of its memory is back. A model that is broken, hostile or too large
//! can end the worker, and not the program that asks. The worker is [`work`], which takes the feature `onnx`; without
//! it there is an error that says so.
//!
//! A model is a directory with `model.onnx` and `tokenizer.json`, such as all-MiniLM-L6-v2 with int8 weights. The
//! vectors are the means of its tokens' vectors, brought to length 1.

mod client;
#[cfg(feature = "onnx")]
mod confine;
mod files;
mod frame;
#[cfg(feature = "onnx")]
mod onnx;
#[cfg(feature = "onnx")]
mod sentence;
mod within;
mod worker;

pub use client::{Model, Settings};
pub use files::{Files, LARGEST_MODEL, LARGEST_TOKENIZER, MODEL, TOKENIZER};
pub use worker::{Job, work};

use std::fmt;
use std::io;
use std::path::PathBuf;

/// What a model can run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// The processor.
    Cpu,
    /// NVIDIA's CUDA.
    Cuda,
    /// NVIDIA's TensorRT.
    TensorRt,
    /// DirectML, which Windows has.
    DirectMl,
    /// Core ML, which macOS has.
    CoreMl,
}

impl Provider {
    /// What this build runs models on; nothing without the feature `onnx`.
    pub const BUILT: &[Self] = match cfg!(feature = "onnx") {
        true => &[Self::Cpu],
        false => &[],
    };

    /// Why this cannot be used by any build of this version, if it cannot.
    fn why_not(self) -> Option<&'static str> {
        match self {
            Self::Cpu => None,
            Self::Cuda | Self::TensorRt => Some(
                "its runtime is a library of NVIDIA's that this build does not link: set it to `cpu`",
            ),
            Self::DirectMl => Some("it is there on Windows only: set it to `cpu`"),
            Self::CoreMl => Some("it is there on macOS only: set it to `cpu`"),
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::TensorRt => "tensorrt",
            Self::DirectMl => "directml",
            Self::CoreMl => "coreml",
        })
    }
}

/// Why there is no embedding by the model.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The model cannot run on this.
    #[error("the model cannot run on `{provider}`: {why}")]
    Provider {
        /// What was asked for.
        provider: Provider,
        /// Why not.
        why: &'static str,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is larger than any that is meant.
    #[error("{} has more than {most} MiB, and no model that fits here has", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most, in MiB.
        most: u64,
    },
    /// The program has nothing that reads models.
    #[error("this build cannot run models: it was made without the feature `model`")]
    NotBuilt,
    /// A file is none of this kind, or damaged.
    #[error("{} is no tokenizer that is known here, or it is damaged: {why}", .path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A file is none of this kind, or damaged.
    #[error("{} is no sentence model that is known here, or it is damaged: {why}", .path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The worker process could not be started, spoken to, or waited for.
    #[error("the model's process {doing}: {source}")]
    Process {
        /// What went wrong.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
    /// What the worker says, in its own words.
    #[error("{0}")]
    Worker(String),
    /// The worker ended, or said what nobody understands.
    #[error("the model's process {0}")]
    Broken(&'static str),
    /// The files are not those that the id was made of.
    #[error("the model's files were exchanged while they were in use: try again")]
    Exchanged,
    /// Threads could not be placed.
    #[error("place the model's threads: {0}")]
    Numa(#[from] numa::Error),
}

/// The beginning of a text, of at most so many bytes.
fn cut(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
