//! The worker process: reads the model, then embeds what standard input brings until it has been idle for long enough.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use numa::Placement;

use crate::Error;

/// What a worker is to do.
#[derive(Debug, Clone)]
pub struct Job {
    /// The directory with the model.
    pub directory: PathBuf,
    /// How many texts are embedded side by side.
    pub threads: usize,
    /// How long nothing may be asked before it ends.
    pub idle: Duration,
    /// Where its threads and their memory go.
    pub placement: Option<Placement>,
}

/// Does a job until nobody asks any more.
///
/// # Errors
///
/// Where the asker is gone or cannot be understood. What is wrong with the model is told to the asker.
#[cfg(feature = "onnx")]
pub fn work(job: &Job, mut from: impl Read + AsFd, mut to: impl Write) -> Result<(), Error> {
    use crate::frame::{self, BAD, GOOD};

    let broken = |source| Error::Process {
        doing: "lost its asker",
        source,
    };
    let sentence = match load(job) {
        Ok(sentence) => sentence,
        Err(error) => {
            return frame::write(&mut to, &[&[BAD], error.to_string().as_bytes()]).map_err(broken);
        }
    };
    let hello = format!("{} {}", sentence.id(), sentence.threads());
    frame::write(&mut to, &[&[GOOD], hello.as_bytes()]).map_err(broken)?;
    while waits(&from, job.idle).map_err(broken)? {
        let Some(request) = frame::read(&mut from).map_err(broken)? else {
            break;
        };
        let texts: Vec<String> = serde_json::from_slice(&request)
            .map_err(|_| Error::Broken("was asked what it does not understand"))?;
        let written = match sentence.embed(&texts) {
            Ok(vectors) => {
                let numbers = vectors.iter().flat_map(|vector| vector.as_slice());
                let bytes: Vec<u8> = numbers.flat_map(|number| number.to_le_bytes()).collect();
                frame::write(&mut to, &[&[GOOD], &bytes])
            }
            Err(why) => frame::write(&mut to, &[&[BAD], why.as_bytes()]),
        };
        written.map_err(broken)?;
    }
    Ok(())
}

/// Says that this build cannot do it.
#[cfg(not(feature = "onnx"))]
pub fn work(_: &Job, _: impl Read + AsFd, mut to: impl Write) -> Result<(), Error> {
    use crate::frame::{self, BAD};

    let why = Error::NotBuilt.to_string();
    frame::write(&mut to, &[&[BAD], why.as_bytes()]).map_err(|source| Error::Process {
        doing: "lost its asker",
        source,
    })
}

#[cfg(feature = "onnx")]
fn load(job: &Job) -> Result<crate::sentence::Sentence, Error> {
    let files = crate::Files::at(&job.directory);
    let (model, tokenizer) = files.read()?;
    crate::confine::confine()?;
    // Threads that are started from here on are where this one is.
    if let Some(placement) = &job.placement {
        numa::Placer::new(placement.clone())?.place()?;
    }
    crate::sentence::Sentence::new(&files, model, &tokenizer, job.threads)
}

/// Whether something comes within a time.
#[cfg(feature = "onnx")]
fn waits(from: &impl AsFd, time: Duration) -> std::io::Result<bool> {
    crate::within::ready(from.as_fd(), rustix::event::PollFlags::IN, time)
}
