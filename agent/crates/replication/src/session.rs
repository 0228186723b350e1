//! The sending end.

use std::io::{BufReader, Read};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use btrfs::Content;
use btrfs::stream::Outline;
use rustix::fs::{FlockOperation, Mode, OFlags, fcntl_getfl, fcntl_setfl, flock, open};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::error::{Error, Result, failed};
use crate::lineage::{Step, Transfer};
use crate::local::manifest;
use crate::name::Name;
use crate::reach::Reach;
use crate::receiver::{WriteError, wait_readable, write_all};
use crate::wire::{Answer, Held, LONGEST_FRAME, Offer, Request, VERSION, hear};

/// How often it is told how far a transfer is.
const TELL: Duration = Duration::from_millis(250);
/// How often it is looked whether to go on.
const LOOK: Duration = Duration::from_millis(100);
/// How long a far end that was given up may take to remove what it received.
const GRACE: Duration = Duration::from_secs(10);
/// How long its complaint may take to be heard after its end.
const HEARING: Duration = Duration::from_secs(1);
/// How much the far end may complain, in bytes.
const COMPLAINT: usize = 4 << 10;

/// How far a transfer is.
#[derive(Debug, Clone)]
pub struct Progress<'a> {
    /// The snapshot.
    pub snapshot: &'a Name,
    /// Its subvolume.
    pub subvolume: &'a Name,
    /// Bytes of the stream that were sent.
    pub bytes: u64,
    /// About how many there will be, once that is known.
    pub total: Option<u64>,
    /// Bytes a second, on the average so far.
    pub rate: u64,
}

impl Progress<'_> {
    /// About how long it will still take, where that is known.
    pub fn left(&self) -> Option<Duration> {
        let left = self.total?.checked_sub(self.bytes)?;
        (self.rate > 0).then(|| Duration::from_secs(left / self.rate))
    }
}

/// Who watches.
pub trait Observer: Sync {
    /// Whether to go on.
    fn go_on(&self) -> Result<()>;
    /// Hears how far it is, a few times a second.
    fn progress(&self, progress: &Progress<'_>);
}

/// A subvolume that the far end has now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its name.
    pub subvolume: Name,
    /// The snapshot that the stream built on.
    pub parent: Option<Name>,
    /// Bytes of the stream.
    pub bytes: u64,
    /// How long it took, with receiving and verifying.
    pub time: Duration,
    /// What the far end found in it.
    pub checked: Option<String>,
}

/// A far end that listens. Dropping it breaks off what is under way, and the far end removes what it has of that.
pub struct Session<'a> {
    far: String,
    child: Child,
    input: Option<OwnedFd>,
    answers: Receiver<Result<Answer>>,
    /// What it complains of, in pieces.
    complaints: Receiver<String>,
    observer: &'a dyn Observer,
    held: Vec<Held>,
}

impl<'a> Session<'a> {
    /// Begins a far end, and hears what it holds.
    pub fn open(reach: &Reach, observer: &'a dyn Observer) -> Result<Self> {
        let far = reach.name();
        let mut command = reach.command()?;
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .spawn()
            .map_err(|error| Error::Unreachable(format!("cannot start {program}: {error}")))?;
        let input = child.stdin.take().map(OwnedFd::from);
        let (tell, answers) = channel();
        if let Some(output) = child.stdout.take() {
            // It ends with the far end.
            std::thread::spawn(move || {
                let mut output = BufReader::new(output);
                while let Some(answer) = hear(&mut output).transpose() {
                    let over = answer.is_err();
                    if tell.send(answer).is_err() || over {
                        return;
                    }
                }
            });
        }
        let (complain, complaints) = channel();
        if let Some(stderr) = child.stderr.take() {
            std::thread::spawn(move || keep(stderr, &complain));
        }
        let mut session = Self {
            far,
            child,
            input,
            answers,
            complaints,
            observer,
            held: Vec::new(),
        };
        if let Some(input) = &session.input {
            let _ = rustix::pipe::fcntl_setpipe_size(input, 1 << 20);
            fcntl_getfl(input)
                .and_then(|flags| fcntl_setfl(input, flags | OFlags::NONBLOCK))
                .map_err(failed("write to", Path::new(&session.far)))?;
        }
        match session.ask(&Request::Hello { version: VERSION })? {
            Answer::Here {
                version: VERSION,
                held,
            } => session.held = held,
            other => return Err(unexpected(&other)),
        }
        Ok(session)
    }

    /// What the far end held when the session began.
    pub fn held(&self) -> &[Held] {
        &self.held
    }

    /// The process that is the far end, or leads to it.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Sends a snapshot. It is whole at the far end when this returns, and else not there.
    pub fn send(&mut self, snapshots: &Path, step: &Step) -> Result<Vec<Sent>> {
        let _in_use = in_use(snapshots, step)?;
        let offer = |transfer: &Transfer| Offer {
            name: transfer.subvolume.clone(),
            uuid: transfer.identity,
            parent: transfer.parent.as_ref().map(|(.., uuid)| *uuid),
        };
        let request = Request::Receive {
            snapshot: step.snapshot.clone(),
            taken: step.taken,
            manifest: manifest(&snapshots.join(&step.snapshot)),
            subvolumes: step.transfers.iter().map(offer).collect(),
        };
        match self.ask(&request)? {
            Answer::Ready => {}
            other => return Err(unexpected(&other)),
        }
        let mut sent = Vec::new();
        for transfer in &step.transfers {
            let begun = Instant::now();
            let bytes = self.stream(&step.snapshot, transfer)?;
            let checked = match self.answer()? {
                Answer::Received { checked } => checked,
                other => return Err(unexpected(&other)),
            };
            sent.push(Sent {
                subvolume: transfer.subvolume.clone(),
                parent: transfer.parent.as_ref().map(|(name, ..)| name.clone()),
                bytes,
                time: begun.elapsed(),
                checked,
            });
        }
        match self.answer()? {
            Answer::Complete => Ok(sent),
            other => Err(unexpected(&other)),
        }
    }

    /// Has the far end keep `keep` snapshots, and those named in `spare`; gives those that it removed.
    pub fn prune(&mut self, keep: u32, spare: Vec<Name>) -> Result<Vec<Name>> {
        match self.ask(&Request::Prune { keep, spare })? {
            Answer::Pruned { names } => Ok(names),
            other => Err(unexpected(&other)),
        }
    }

    fn stream(&mut self, snapshot: &Name, transfer: &Transfer) -> Result<u64> {
        let parent = transfer.parent.as_ref().map(|(_, path, _)| path.as_path());
        let estimate = Estimate::start(&transfer.path, parent);
        let mut sending = btrfs::send(&transfer.path, parent, Content::Whole)?;
        let begun = Instant::now();
        let mut told = begun;
        let mut bytes = 0;
        let mut buffer = vec![0; 4 + (LONGEST_FRAME >> 1)];
        loop {
            if let Some(pipe) = sending.pipe() {
                wait_readable(&pipe, &|| self.observer.go_on())?;
            }
            let length = sending
                .read(&mut buffer[4..])
                .map_err(failed("read the stream of", &transfer.path))?;
            if length == 0 {
                break;
            }
            let head = u32::try_from(length).unwrap_or_default().to_le_bytes();
            buffer[..4].copy_from_slice(&head);
            self.write(&buffer[..4 + length])?;
            bytes += length as u64;
            if told.elapsed() >= TELL {
                told = Instant::now();
                let passed = begun.elapsed().as_millis().max(1);
                let rate = u128::from(bytes) * 1000 / passed;
                self.observer.progress(&Progress {
                    snapshot,
                    subvolume: &transfer.subvolume,
                    bytes,
                    total: estimate.total(),
                    rate: u64::try_from(rate).unwrap_or(u64::MAX),
                });
            }
        }
        sending.finish()?;
        self.write(&[0; 4])?;
        Ok(bytes)
    }

    fn ask(&mut self, request: &Request) -> Result<Answer> {
        let mut line =
            serde_json::to_vec(request).map_err(|error| Error::Protocol(error.to_string()))?;
        line.push(b'\n');
        self.write(&line)?;
        self.answer()
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(input) = &self.input else {
            return Err(self.gone());
        };
        match write_all(input, bytes, &|| self.observer.go_on()) {
            Ok(()) => Ok(()),
            Err(WriteError::Stop(error)) => Err(error),
            // What it said before it closed its end is the reason.
            Err(WriteError::Io(_)) => Err(match self.answer() {
                Err(error) => error,
                Ok(other) => unexpected(&other),
            }),
        }
    }

    fn answer(&mut self) -> Result<Answer> {
        loop {
            match self.answers.recv_timeout(LOOK) {
                Ok(Ok(Answer::Failed { text })) => return Err(Error::Far(text)),
                Ok(answer) => return answer,
                Err(RecvTimeoutError::Timeout) => self.observer.go_on()?,
                Err(RecvTimeoutError::Disconnected) => return Err(self.gone()),
            }
        }
    }

    /// Says why there is no far end any more.
    fn gone(&mut self) -> Error {
        self.input = None;
        let status = self.wait(GRACE).unwrap_or_else(|| "hangs".to_owned());
        // It may be heard after the end itself; who inherited the stream may hold it for longer.
        let heard = Instant::now();
        let next = || {
            let left = HEARING.saturating_sub(heard.elapsed());
            self.complaints.recv_timeout(left).ok()
        };
        let complaint: String = std::iter::from_fn(next).collect();
        let text = match complaint.trim() {
            "" => format!("{} ({status})", self.far),
            complaint => format!("{} ({status}): {complaint}", self.far),
        };
        match self.held.is_empty() && complaint.contains("ssh") {
            true => Error::Unreachable(text),
            false => Error::Gone(text),
        }
    }

    fn wait(&mut self, limit: Duration) -> Option<String> {
        let deadline = Instant::now() + limit;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status.to_string()),
                Ok(None) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                _ => return None,
            }
        }
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        // The far end takes this as the end, and removes what is not whole.
        self.input = None;
        if self.wait(GRACE).is_none() {
            let id = i32::try_from(self.child.id()).ok();
            if let Some(id) = id.and_then(Pid::from_raw) {
                let _ = kill_process_group(id, Signal::KILL);
            }
            let _ = self.child.wait();
        }
    }
}

/// Shares the locks on a snapshot and on those that it builds on, so that none of them is deleted meanwhile.
fn in_use(snapshots: &Path, step: &Step) -> Result<Vec<OwnedFd>> {
    let parents = step.transfers.iter().filter_map(|it| it.parent.as_ref());
    let mut names: Vec<&Name> = parents.map(|(name, ..)| name).collect();
    names.push(&step.snapshot);
    let lock = |name: &Name| {
        let path = snapshots.join(name);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = open(&path, flags, Mode::empty()).map_err(failed("open", &path))?;
        match flock(&directory, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(directory),
            Err(Errno::WOULDBLOCK) => Err(Error::Refused(format!("{name} is being deleted"))),
            Err(errno) => Err(failed("lock", &path)(errno)),
        }
    };
    names.into_iter().map(lock).collect()
}

fn unexpected(answer: &Answer) -> Error {
    Error::Protocol(format!("it answered {answer:?} out of turn"))
}

/// Keeps the beginning of what somebody complains of, and hears the rest.
fn keep(mut from: impl Read, complain: &Sender<String>) {
    let mut piece = [0; 512];
    let mut kept = 0;
    while let Ok(length @ 1..) = from.read(&mut piece) {
        if kept < COMPLAINT {
            let text = String::from_utf8_lossy(&piece[..length]);
            // Nobody may be there any more to whom it matters.
            let _ = complain.send(text.into_owned());
            kept += length;
        }
    }
}

/// Counts beside a transfer how long it will be.
struct Estimate {
    total: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Estimate {
    fn start(path: &Path, parent: Option<&Path>) -> Self {
        let (total, stop) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (path, parent) = (path.to_owned(), parent.map(Path::to_owned));
        let (result, ended) = (Arc::clone(&total), Arc::clone(&stop));
        let thread = std::thread::Builder::new()
            .name("estimate".to_owned())
            .spawn(move || {
                if let Some(bytes) = count(&path, parent.as_deref(), &ended) {
                    result.store(bytes, Ordering::Release);
                }
            });
        Self {
            total,
            stop,
            thread: thread.ok(),
        }
    }

    fn total(&self) -> Option<u64> {
        match self.total.load(Ordering::Acquire) {
            0 => None,
            bytes => Some(bytes),
        }
    }
}

impl Drop for Estimate {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Until it ends, the kernel lets nobody delete the snapshot.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The length of a stream, by having the kernel make it with lengths instead of data.
fn count(path: &Path, parent: Option<&Path>, ended: &AtomicBool) -> Option<u64> {
    let mut sending = btrfs::send(path, parent, Content::Lengths).ok()?;
    let mut outline = Outline::default();
    let mut buffer = vec![0; 64 << 10];
    let mut bytes = 0;
    loop {
        let length = sending.read(&mut buffer).ok()?;
        if length == 0 {
            break;
        }
        if ended.load(Ordering::Acquire) {
            return None;
        }
        outline.feed(&buffer[..length]).ok()?;
        bytes += length as u64;
    }
    sending.finish().ok()?;
    Some(bytes + outline.data())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    impl Observer for Nobody {
        fn go_on(&self) -> Result<()> {
            Ok(())
        }

        fn progress(&self, _: &Progress<'_>) {}
    }

    #[test]
    fn what_a_far_end_complains_of_is_heard_after_its_end_too() {
        let late = "(sleep 0.2; echo 'ssh: nobody listens' >&2) >&- & exit 255";
        let reach = Reach::Here {
            program: ["sh", "-c", late].map(Into::into).into(),
            path: "/far".into(),
        };
        let error = Session::open(&reach, &Nobody).err().unwrap();
        assert!(
            matches!(&error, Error::Unreachable(text) if text.contains("nobody listens")),
            "{error}"
        );
    }
}
