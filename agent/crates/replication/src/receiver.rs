//! One stream into one directory, by `btrfs receive`.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use btrfs::stream::{Outline, Subject};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::error::{Error, Result, failed};
use crate::reach::piped;

/// How long at most until it is looked again whether to go on.
const LOOK: Duration = Duration::from_millis(200);
/// How much of what `btrfs receive` complains of is kept, in bytes.
const COMPLAINT: usize = 16 << 10;
/// How much of a stream is handed over at once, in bytes.
const PIECE: usize = 256 << 10;

/// What a stream may cost.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes of the stream.
    pub bytes: u64,
    /// Commands in it; a command makes or changes one thing.
    pub commands: u64,
    /// From the beginning to the end.
    pub time: Duration,
}

/// Where a stream comes from.
pub(crate) trait Source {
    /// The next piece of it; 0 at its end.
    fn piece(&mut self, buffer: &mut [u8]) -> Result<usize>;
}

struct Plain<R>(R);

impl<R: Read> Source for Plain<R> {
    fn piece(&mut self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => return read.map_err(failed("read", Path::new("the stream"))),
            }
        }
    }
}

/// Receives the stream in `stream` into the directory `into`, out of which nothing in it leads. `accept` looks at what
/// it makes before any of it is made. Gives that, and how many bytes the stream had.
///
/// What was made of a stream that failed is left to the caller to remove.
pub fn receive(
    stream: impl Read,
    into: &Path,
    bounds: &Bounds,
    accept: &dyn Fn(&Subject) -> Result<()>,
) -> Result<(Subject, u64)> {
    receive_from(&mut Plain(stream), into, bounds, None, accept)
}

/// The same from any source. `inherited` stays open as long as `btrfs receive` lives.
pub(crate) fn receive_from(
    source: &mut dyn Source,
    into: &Path,
    bounds: &Bounds,
    inherited: Option<&File>,
    accept: &dyn Fn(&Subject) -> Result<()>,
) -> Result<(Subject, u64)> {
    let deadline = Instant::now() + bounds.time;
    let mut program = Program::start(into, inherited)?;
    let mut outline = Outline::default();
    let mut accepted = false;
    let mut bytes = 0;
    let mut buffer = vec![0; PIECE];
    loop {
        let length = source.piece(&mut buffer)?;
        if length == 0 {
            break;
        }
        bytes += length as u64;
        outline.feed(&buffer[..length])?;
        if bytes > bounds.bytes || outline.commands() > bounds.commands {
            return Err(Error::TooMuch(format!(
                "the stream has more than {} bytes or {} commands",
                bounds.bytes, bounds.commands
            )));
        }
        if let Some(subject) = outline.subject()
            && !accepted
        {
            accept(subject)?;
            accepted = true;
        }
        program.write(&buffer[..length], deadline)?;
    }
    outline.finish()?;
    program.end(deadline)?;
    match outline.subject() {
        Some(subject) => Ok((subject.clone(), bytes)),
        None => Err(btrfs::stream::StreamError::Truncated.into()),
    }
}

/// `btrfs receive`, which ends with this value.
struct Program {
    child: Child,
    input: Option<OwnedFd>,
    complaint: Option<JoinHandle<String>>,
    over: bool,
}

impl Program {
    fn start(into: &Path, inherited: Option<&File>) -> Result<Self> {
        let mut command = piped("btrfs");
        // Chroot: a stream whose paths go through its own symbolic links stays in there all the same.
        command.args(["receive", "-q", "-C", "-e", "--"]).arg(into);
        // As its standard output, which it does not use, a lock lives until the last of the two has ended.
        match inherited {
            Some(file) => command.stdout(
                file.try_clone()
                    .map_err(failed("share the lock of", into))?,
            ),
            None => command.stdout(Stdio::null()),
        };
        let mut child = command.spawn().map_err(|error| {
            Error::Refused(format!(
                "cannot start `btrfs receive`: {error}; install btrfs-progs"
            ))
        })?;
        let input = child.stdin.take().map(OwnedFd::from);
        let complaint = child.stderr.take().map(|mut stderr| {
            std::thread::spawn(move || {
                let mut text = Vec::new();
                let mut piece = [0; 1024];
                while let Ok(length @ 1..) = stderr.read(&mut piece) {
                    let room = COMPLAINT.saturating_sub(text.len());
                    text.extend_from_slice(&piece[..length.min(room)]);
                }
                String::from_utf8_lossy(&text).into_owned()
            })
        });
        let mut program = Self {
            child,
            input,
            complaint,
            over: false,
        };
        if let Some(input) = &mut program.input {
            let _ = rustix::pipe::fcntl_setpipe_size(&*input, 1 << 20);
            let nonblocking = fcntl_getfl(&*input)
                .and_then(|flags| fcntl_setfl(&*input, flags | OFlags::NONBLOCK));
            nonblocking.map_err(failed("write to btrfs receive for", into))?;
        }
        Ok(program)
    }

    fn write(&mut self, bytes: &[u8], deadline: Instant) -> Result<()> {
        let Some(input) = &self.input else {
            return Ok(());
        };
        let in_time = || match Instant::now() < deadline {
            true => Ok(()),
            false => Err(Error::TooMuch("the stream took too long".to_owned())),
        };
        match write_all(input, bytes, &in_time) {
            Err(WriteError::Io(Errno::PIPE)) => {
                // It says itself why it does not take any more.
                self.input = None;
                self.end(deadline)?;
                Err(Error::Unverified(
                    "btrfs receive ended before the stream did".to_owned(),
                ))
            }
            Err(WriteError::Io(errno)) => {
                Err(failed("write to", Path::new("btrfs receive"))(errno))
            }
            Err(WriteError::Stop(error)) => Err(error),
            Ok(()) => Ok(()),
        }
    }

    /// Waits until it has taken in all of it.
    fn end(&mut self, deadline: Instant) -> Result<()> {
        self.input = None;
        let status = loop {
            let waited = self.child.try_wait();
            if let Some(status) = waited.map_err(failed("wait for", Path::new("btrfs receive")))? {
                break status;
            }
            if Instant::now() >= deadline {
                return Err(Error::TooMuch("the stream took too long".to_owned()));
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        self.over = true;
        let complaint = self.complaint.take().and_then(|it| it.join().ok());
        judge(status, &complaint.unwrap_or_default())
    }
}

fn judge(status: ExitStatus, complaint: &str) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    let errors = complaint.lines().filter(|line| line.starts_with("ERROR"));
    let errors: Vec<_> = errors.collect();
    let text = match errors.is_empty() {
        true => complaint.trim().to_owned(),
        false => errors.join("; "),
    };
    Err(Error::Unverified(format!(
        "btrfs receive failed ({status}): {text}"
    )))
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        self.input = None;
        let id = i32::try_from(self.child.id()).ok();
        if let Some(id) = id.and_then(Pid::from_raw) {
            let _ = kill_process_group(id, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

pub(crate) enum WriteError {
    Io(Errno),
    Stop(Error),
}

/// Writes to a pipe that does not block, and asks in between whether to go on.
pub(crate) fn write_all(
    pipe: &impl AsFd,
    mut bytes: &[u8],
    go_on: &dyn Fn() -> Result<()>,
) -> std::result::Result<(), WriteError> {
    while !bytes.is_empty() {
        match rustix::io::write(pipe, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                go_on().map_err(WriteError::Stop)?;
                ready(pipe, PollFlags::OUT, LOOK).map_err(WriteError::Io)?;
            }
            Err(errno) => return Err(WriteError::Io(errno)),
        }
    }
    Ok(())
}

/// Waits until something can be read or written, at most `limit`; whether it can.
pub(crate) fn ready(
    pipe: &impl AsFd,
    what: PollFlags,
    limit: Duration,
) -> std::result::Result<bool, Errno> {
    let limit = Timespec::try_from(limit).ok();
    match poll(&mut [PollFd::new(pipe, what)], limit.as_ref()) {
        Ok(count) => Ok(count > 0),
        Err(Errno::INTR) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Waits until something can be read, and asks in between whether to go on.
pub(crate) fn wait_readable(pipe: &impl AsFd, go_on: &dyn Fn() -> Result<()>) -> Result<()> {
    loop {
        go_on()?;
        let found = ready(pipe, PollFlags::IN, LOOK);
        if found.map_err(failed("wait for", Path::new("the stream")))? {
            return Ok(());
        }
    }
}
