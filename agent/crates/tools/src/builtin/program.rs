//! Programs that are run for a caller: bounded in what they write and how long they take.

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use schemars::JsonSchema;
use serde::Serialize;

use crate::call::Call;
use crate::error::ToolError;

/// The most that is kept of each output, in bytes.
const LARGEST: usize = 256 << 10;
/// How often it is looked whether the caller took the call back.
const LOOK: Duration = Duration::from_millis(50);
/// How long a command that is told to end has for it before it is killed.
const GRACE: Duration = Duration::from_secs(2);

/// How a command ended.
#[derive(Serialize, JsonSchema)]
pub(super) struct Finished {
    /// What was run.
    name: String,
    /// Its exit status; null if a signal ended it.
    exit_status: Option<i32>,
    /// The number of the signal that ended it.
    signal: Option<i32>,
    /// How long it ran, in milliseconds.
    duration_ms: u64,
    /// What it wrote to standard output; bytes that are not UTF-8 are replaced.
    stdout: String,
    /// Whether it wrote more there than the 256 KiB that are kept.
    stdout_cut: bool,
    /// What it wrote to standard error.
    stderr: String,
    /// Whether it wrote more there than the 256 KiB that are kept.
    stderr_cut: bool,
}

/// Runs a program to its end in a process group of its own, without anything to read. It is killed with all that
/// it started when the caller takes the call back, at the call's deadline, and after `limit`.
pub(super) fn run(
    call: &Call<'_>,
    name: &str,
    mut command: Command,
    limit: Duration,
) -> Result<Finished, ToolError> {
    let begun = Instant::now();
    let program = command.get_program().to_string_lossy().into_owned();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| ToolError::failed(&format!("start {program}"), error))?;
    let mut group = Group {
        child,
        reaped: false,
    };
    let failed = |error: std::io::Error| ToolError::failed(&format!("run {program}"), error);
    let mut outputs = Outputs::of(&mut group.child).map_err(failed)?;
    let ended = outputs.follow(&group, || {
        call.check()?;
        match begun.elapsed() < limit {
            true => Ok(()),
            false => Err(ToolError::Failed(format!(
                "{name} did not end within {} s and was killed; `timeout_seconds` gives it longer",
                limit.as_secs()
            ))),
        }
    });
    if let Err(error) = ended {
        group.end();
        return Err(error);
    }
    let status = group.wait().map_err(failed)?;
    Ok(Finished {
        name: name.to_owned(),
        exit_status: status.code(),
        signal: status.signal(),
        duration_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        stdout: outputs.stdout.text(),
        stdout_cut: outputs.stdout.cut,
        stderr: outputs.stderr.text(),
        stderr_cut: outputs.stderr.cut,
    })
}

/// A process with those that it started, in a process group of their own. None outlives the call on the way
/// of an error.
struct Group {
    child: Child,
    reaped: bool,
}

impl Group {
    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    /// Sends a signal to all of them. Their number stays theirs until the first is waited for.
    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid().filter(|_| !self.reaped) {
            let _ = kill_process_group(pid, signal);
        }
    }

    /// Has them end, and kills those that do not.
    fn end(&mut self) {
        self.signal(Signal::TERM);
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline && !self.is_over(LOOK) {}
        self.signal(Signal::KILL);
        let _ = self.wait();
    }

    /// Whether the first of them ends within `limit`; it is not waited for, so that its number stays.
    fn is_over(&self, limit: Duration) -> bool {
        let Some(fd) = self
            .pid()
            .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
        else {
            return true;
        };
        let limit = Timespec::try_from(limit).ok();
        let mut fds = [PollFd::new(&fd, PollFlags::IN)];
        poll(&mut fds, limit.as_ref()).is_ok_and(|ready| ready > 0)
    }

    fn wait(&mut self) -> std::io::Result<ExitStatus> {
        let status = self.child.wait()?;
        self.reaped = true;
        Ok(status)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.reaped {
            self.signal(Signal::KILL);
            let _ = self.wait();
        }
    }
}

/// What comes out of one end.
struct Output {
    pipe: Option<Box<dyn Pipe>>,
    bytes: Vec<u8>,
    cut: bool,
}

trait Pipe: Read + AsFd {}
impl<T: Read + AsFd> Pipe for T {}

impl Output {
    fn of(pipe: Option<impl Pipe + 'static>) -> std::io::Result<Self> {
        if let Some(pipe) = &pipe {
            fcntl_setfl(pipe, fcntl_getfl(pipe)? | OFlags::NONBLOCK)?;
        }
        Ok(Self {
            pipe: pipe.map(|pipe| Box::new(pipe) as Box<dyn Pipe>),
            bytes: Vec::new(),
            cut: false,
        })
    }

    /// Takes what is there, at most so much that others get their turn.
    fn take(&mut self) {
        let mut chunk = [0; 16 << 10];
        for _ in 0..64 {
            let Some(pipe) = &mut self.pipe else {
                return;
            };
            match pipe.read(&mut chunk) {
                Ok(0) => self.pipe = None,
                Ok(length) => {
                    let room = LARGEST - self.bytes.len();
                    self.cut |= length > room;
                    self.bytes.extend_from_slice(&chunk[..length.min(room)]);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(_) => self.pipe = None,
            }
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

struct Outputs {
    stdout: Output,
    stderr: Output,
}

impl Outputs {
    fn of(child: &mut Child) -> std::io::Result<Self> {
        Ok(Self {
            stdout: Output::of(child.stdout.take())?,
            stderr: Output::of(child.stderr.take())?,
        })
    }

    /// Reads until the process has ended, whoever else may still hold the pipes.
    fn follow(
        &mut self,
        group: &Group,
        go_on: impl Fn() -> Result<(), ToolError>,
    ) -> Result<(), ToolError> {
        let failed = |errno: Errno| ToolError::failed("wait for the command", errno);
        let pid = group.pid().ok_or_else(|| failed(Errno::SRCH))?;
        let process = pidfd_open(pid, PidfdFlags::empty()).map_err(failed)?;
        let look = Timespec::try_from(LOOK).ok();
        loop {
            go_on()?;
            let outputs = [&self.stdout, &self.stderr];
            let pipes = outputs.iter().filter_map(|output| output.pipe.as_ref());
            let mut fds = vec![PollFd::new(&process, PollFlags::IN)];
            fds.extend(pipes.map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)));
            match poll(&mut fds, look.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(failed(errno)),
            }
            let over = !fds[0].revents().is_empty();
            self.stdout.take();
            self.stderr.take();
            if over {
                return Ok(());
            }
        }
    }
}
