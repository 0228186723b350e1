//! The model in this very process: for measurements, which know what they load.

use std::path::Path;
use std::sync::Mutex;

use search::{EmbedError, Embedder, Embedding, ModelId};

use crate::sentence::Sentence;
use crate::{Error, Files};

/// A model that is loaded, and stays until it is dropped.
pub struct InProcess {
    id: ModelId,
    sentence: Mutex<Sentence>,
}

impl InProcess {
    /// Loads the model in a directory, for so many texts side by side.
    pub fn load(directory: &Path, threads: usize) -> Result<Self, Error> {
        let files = Files::at(directory);
        let (model, tokenizer) = files.read()?;
        let sentence = Sentence::new(&files, model, &tokenizer, threads)?;
        Ok(Self {
            id: sentence.id().clone(),
            sentence: Mutex::new(sentence),
        })
    }
}

impl Embedder for InProcess {
    fn id(&self) -> ModelId {
        self.id.clone()
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Embedding>, EmbedError> {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        let sentence = self
            .sentence
            .lock()
            .map_err(|error| EmbedError(error.to_string()))?;
        sentence.embed(&texts).map_err(EmbedError)
    }
}
