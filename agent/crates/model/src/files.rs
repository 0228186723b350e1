//! The files of a model, and the name that they give it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use search::ModelId;
use sha2::{Digest, Sha256};

use crate::Error;

/// The name of the model's file.
pub const MODEL: &str = "model.onnx";

/// The name of the tokenizer's file.
pub const TOKENIZER: &str = "tokenizer.json";

/// The largest model that is read, in bytes: 512 MiB. MiniLM-L6 has 23 MB with int8 weights, and 90 MB with f32.
pub const LARGEST_MODEL: u64 = 512 << 20;

/// The largest tokenizer that is read, in bytes: 32 MiB.
pub const LARGEST_TOKENIZER: u64 = 32 << 20;

/// Which way of making a vector of the model's output this is; a change asks for a new number.
const METHOD: u32 = 1;

/// What a file was when it was looked at: device, number, size, time of change in seconds and nanoseconds.
pub(crate) type Stamp = (u64, u64, u64, i64, i64);

/// A directory with a model.
#[derive(Debug, Clone)]
pub struct Files {
    /// The model's file.
    pub model: PathBuf,
    /// The tokenizer's file.
    pub tokenizer: PathBuf,
}

impl Files {
    /// The files of the model in a directory; whether they are good is seen when they are read.
    pub fn at(directory: &Path) -> Self {
        Self {
            model: directory.join(MODEL),
            tokenizer: directory.join(TOKENIZER),
        }
    }

    /// Reads both files, whole.
    #[cfg(feature = "onnx")]
    pub(crate) fn read(&self) -> Result<(Vec<u8>, Vec<u8>), Error> {
        Ok((
            bytes(&self.model, LARGEST_MODEL)?,
            bytes(&self.tokenizer, LARGEST_TOKENIZER)?,
        ))
    }

    /// What tells these files from others, without reading them.
    pub(crate) fn stamps(&self) -> Result<[Stamp; 2], Error> {
        let stamp = |path: &Path| {
            let file = fs::metadata(path).map_err(|source| unreadable(path, source))?;
            Ok::<Stamp, Error>((
                file.dev(),
                file.ino(),
                file.size(),
                file.ctime(),
                file.ctime_nsec(),
            ))
        };
        Ok([stamp(&self.model)?, stamp(&self.tokenizer)?])
    }

    /// The name of the model: its files' content decides, and how vectors are made of its output.
    pub fn id(&self) -> Result<ModelId, Error> {
        let digest = |path: &Path, most| {
            let mut digest = Sha256::new();
            let mut file = open(path, most)?.take(most);
            let mut part = vec![0; 64 << 10];
            loop {
                match file.read(&mut part) {
                    Ok(0) => return Ok::<[u8; 32], Error>(digest.finalize().into()),
                    Ok(length) => digest.update(&part[..length]),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(source) => return Err(unreadable(path, source)),
                }
            }
        };
        Ok(name(
            digest(&self.model, LARGEST_MODEL)?,
            digest(&self.tokenizer, LARGEST_TOKENIZER)?,
        ))
    }
}

/// The name of a model with this content.
#[cfg(any(test, feature = "onnx"))]
pub(crate) fn id_of(model: &[u8], tokenizer: &[u8]) -> ModelId {
    name(
        Sha256::digest(model).into(),
        Sha256::digest(tokenizer).into(),
    )
}

fn name(model: [u8; 32], tokenizer: [u8; 32]) -> ModelId {
    let both = Sha256::digest([model, tokenizer].concat());
    let name = format!("onnx-{METHOD}-{}", hex::encode(&both[..8]));
    // Letters, digits and dashes alone, which is what a name may have.
    name.parse().unwrap_or_else(|_| ModelId::built_in())
}

fn open(path: &Path, most: u64) -> Result<File, Error> {
    let file = File::open(path).map_err(|source| unreadable(path, source))?;
    let size = file.metadata().map_err(|source| unreadable(path, source))?;
    if !size.is_file() {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "it is no file");
        return Err(unreadable(path, source));
    }
    match size.len() > most {
        true => Err(Error::TooLarge {
            path: path.to_owned(),
            most: most >> 20,
        }),
        false => Ok(file),
    }
}

#[cfg(feature = "onnx")]
fn bytes(path: &Path, most: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let read = open(path, most)?.take(most).read_to_end(&mut bytes);
    read.map_err(|source| unreadable(path, source))?;
    Ok(bytes)
}

fn unreadable(path: &Path, source: io::Error) -> Error {
    Error::Unreadable {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_names_it() {
        let directory = tempfile::tempdir().unwrap();
        let files = Files::at(directory.path());
        assert!(matches!(files.id(), Err(Error::Unreadable { path, .. }) if path == files.model));
        fs::write(&files.model, "one").unwrap();
        fs::write(&files.tokenizer, "two").unwrap();
        let id = files.id().unwrap();
        assert!(id.as_str().starts_with("onnx-1-"), "{id}");
        assert_eq!(id, id_of(b"one", b"two"));
        fs::write(&files.tokenizer, "three").unwrap();
        assert_ne!(files.id().unwrap(), id);
    }

    #[test]
    fn what_is_no_file_of_a_sensible_size_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let files = Files::at(directory.path());
        fs::create_dir(&files.model).unwrap();
        assert!(matches!(files.id(), Err(Error::Unreadable { .. })));
        fs::remove_dir(&files.model).unwrap();
        let huge = File::create(&files.model).unwrap();
        huge.set_len(LARGEST_MODEL + 1).unwrap();
        assert!(matches!(files.id(), Err(Error::TooLarge { most: 512, .. })));
    }
}
