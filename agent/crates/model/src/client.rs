//! The asker's side: starts the worker when there is something to embed, and does without it in between.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use search::{DIMENSIONS, EmbedError, Embedder, Embedding, ModelId};

use crate::files::{Files, Stamp};
use crate::frame::{self, GOOD};
use crate::within::{Within, ready};
use crate::{Error, Provider};

/// How long the worker may take to read the model, or to hear a question and answer all of it.
const PATIENCE: Duration = Duration::from_secs(60);

const TOO_LATE: Error = Error::Broken("did not answer within a minute");

/// How many texts are sent at once.
const BATCH: usize = 64;

/// The longest text that is sent, in bytes; no more of it counts.
const LONGEST: usize = 64 << 10;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The directory with the model.
    pub directory: PathBuf,
    /// What it is to run on.
    pub provider: Provider,
    /// The program that is the worker, and its arguments: it calls [`crate::work`] with standard input and output.
    pub worker: (PathBuf, Vec<OsString>),
}

/// A model, which runs in a process of its own while it is used.
#[derive(Debug)]
pub struct Model {
    settings: Settings,
    id: ModelId,
    stamps: [Stamp; 2],
    worker: Mutex<Option<Worker>>,
}

#[derive(Debug)]
struct Worker {
    process: OwnedFd,
    id: u32,
    threads: usize,
    input: ChildStdin,
    output: ChildStdout,
}

/// Whether it makes sense to ask again.
enum Asked {
    /// It had ended before it was asked, as it does when it is idle.
    Gone,
    Failed(Error),
}

impl From<Error> for Asked {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Model {
    /// A model that is loaded when it is first used. Its files are read once, for their name.
    pub fn open(settings: Settings) -> Result<Self, Error> {
        if let Some(why) = settings.provider.why_not() {
            let provider = settings.provider;
            return Err(Error::Provider { provider, why });
        }
        let files = Files::at(&settings.directory);
        Ok(Self {
            stamps: files.stamps()?,
            id: files.id()?,
            settings,
            worker: Mutex::default(),
        })
    }

    /// What was asked for.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether its files are still those that it was opened with.
    pub fn is_current(&self) -> bool {
        let now = Files::at(&self.settings.directory).stamps();
        now.is_ok_and(|now| now == self.stamps)
    }

    /// The worker's process and how many texts it embeds side by side, if it runs.
    pub fn worker(&self) -> Option<(u32, usize)> {
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        let worker = worker.as_ref()?;
        let alive = !hung_up(worker.output.as_fd());
        alive.then_some((worker.id, worker.threads))
    }

    fn ask(&self, texts: &[&str]) -> Result<Vec<Embedding>, Error> {
        let mut worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        // One that was there may have gone to rest, at this very moment too.
        if let Some(running) = worker.as_mut() {
            match request(running, texts) {
                Ok(vectors) => return Ok(vectors),
                Err(Asked::Gone) => *worker = None,
                Err(Asked::Failed(error)) => {
                    *worker = None;
                    return Err(error);
                }
            }
        }
        let mut fresh = self.start()?;
        let answer = match request(&mut fresh, texts) {
            Ok(vectors) => vectors,
            Err(Asked::Gone) => return Err(Error::Broken("ended instead of an answer")),
            Err(Asked::Failed(error)) => return Err(error),
        };
        *worker = Some(fresh);
        Ok(answer)
    }

    fn start(&self) -> Result<Worker, Error> {
        let failed = |doing| move |source| Error::Process { doing, source };
        let (program, arguments) = &self.settings.worker;
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            // The runtime's own threads only read the model: one is enough.
            .env("RTEN_NUM_THREADS", "1")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed("cannot be started"))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::Broken("has no standard input"));
        };
        let id = child.id();
        let process = handle(&child).map_err(failed("cannot be watched"))?;
        collect(child);
        let mut worker = Worker {
            process,
            id,
            threads: 0,
            input,
            output,
        };
        let hello = match answer(&mut worker, Instant::now() + PATIENCE) {
            Ok(hello) => hello,
            Err(Asked::Gone) => return Err(Error::Broken("ended before it was ready")),
            Err(Asked::Failed(error)) => return Err(error),
        };
        let hello = String::from_utf8_lossy(&hello);
        let (id, threads) = hello
            .split_once(' ')
            .ok_or(Error::Broken("said what nobody understands"))?;
        if id != self.id.as_str() {
            return Err(Error::Exchanged);
        }
        worker.threads = threads.parse().unwrap_or_default();
        Ok(worker)
    }
}

impl Embedder for Model {
    fn id(&self) -> ModelId {
        self.id.clone()
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Embedding>, EmbedError> {
        let mut all = Vec::with_capacity(texts.len());
        for texts in texts.chunks(BATCH) {
            let vectors = self.ask(texts);
            all.extend(vectors.map_err(|error| EmbedError(error.to_string()))?);
        }
        Ok(all)
    }

    fn batch(&self) -> usize {
        BATCH
    }
}

/// A worker that is no longer asked ends, whatever it is doing.
impl Drop for Worker {
    fn drop(&mut self) {
        let _ = pidfd_send_signal(&self.process, Signal::KILL);
    }
}

fn handle(child: &Child) -> io::Result<OwnedFd> {
    let id = Pid::from_child(child);
    Ok(pidfd_open(id, PidfdFlags::empty())?)
}

/// Takes note of the worker's end, so that it does not stay as a zombie.
fn collect(mut child: Child) {
    let name = std::thread::Builder::new().name("model".to_owned());
    let waiting = name.stack_size(64 << 10).spawn(move || child.wait());
    if let Err(error) = waiting {
        log::warn!("nobody waits for the model's process: {error}");
    }
}

fn request(worker: &mut Worker, texts: &[&str]) -> Result<Vec<Embedding>, Asked> {
    let cut: Vec<&str> = texts.iter().map(|text| crate::cut(text, LONGEST)).collect();
    let request = serde_json::to_vec(&cut).map_err(|_| Error::Broken("could not be asked"))?;
    let until = Instant::now() + PATIENCE;
    if hung_up(worker.output.as_fd()) {
        return Err(Asked::Gone);
    }
    match frame::write(&mut Within::new(&mut worker.input, until), &[&request]) {
        Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(TOO_LATE.into()),
        Err(_) => return Err(Asked::Gone),
        Ok(()) => {}
    }
    let answer = answer(worker, until)?;
    let (numbers, rest) = answer.as_chunks::<4>();
    let numbers: Vec<f32> = numbers
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect();
    let (vectors, more) = numbers.as_chunks::<DIMENSIONS>();
    match vectors.len() == texts.len() && rest.is_empty() && more.is_empty() {
        true => Ok(vectors
            .iter()
            .map(|vector| Embedding::new(*vector))
            .collect()),
        false => Err(Error::Broken("gave another number of vectors than texts").into()),
    }
}

/// What the worker answers, if it is good, and whole by then.
fn answer(worker: &mut Worker, until: Instant) -> Result<Vec<u8>, Asked> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::TimedOut => TOO_LATE,
        _ => Error::Process {
            doing: "cannot be heard",
            source,
        },
    };
    let read = frame::read(&mut Within::new(&mut worker.output, until));
    let Some(mut answer) = read.map_err(failed)? else {
        return Err(Asked::Gone);
    };
    match answer.first() {
        Some(&GOOD) => Ok(answer.split_off(1)),
        Some(_) => Err(Error::Worker(String::from_utf8_lossy(&answer[1..]).into_owned()).into()),
        None => Err(Error::Broken("gave an empty answer").into()),
    }
}

fn hung_up(output: BorrowedFd<'_>) -> bool {
    ready(output, PollFlags::IN, Duration::ZERO).unwrap_or(true)
}
