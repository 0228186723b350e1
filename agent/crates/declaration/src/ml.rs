//! The section `ml`: the model that the search in the ledger uses instead of the built-in embedding.

use std::path::PathBuf;

use crate::builtin::In;
use crate::define::{record, words};
use crate::values::AbsolutePath;

words! {
    /// What a model runs on.
    pub enum ExecutionProvider {
        /// The processor.
        Cpu = "cpu",
        /// NVIDIA's CUDA, where the build has it.
        Cuda = "cuda",
        /// NVIDIA's TensorRT, where the build has it.
        TensorRt = "tensorrt",
        /// DirectML, where the build has it.
        DirectMl = "directml",
        /// Core ML, where the build has it.
        CoreMl = "coreml",
    }
}

record! {
    /// The model that the search in the ledger uses.
    pub struct Ml: Default {
        /// The directory with `model.onnx` and `tokenizer.json`, a sentence model with 384 dimensions such as
        /// all-MiniLM-L6-v2. Without one, the search uses the built-in embedding.
        model: Option<PathBuf> as Option<AbsolutePath> = None,
        /// What the model runs on. What the build does not have is refused when the model is to be used, with the
        /// reason, and the search uses the built-in embedding.
        execution_provider ("executionProvider"): ExecutionProvider = ExecutionProvider::Cpu,
        /// How many texts the model embeds side by side, each on a thread.
        num_threads ("numThreads"): u32 as In<1, 1024> = 4,
    }
}
