//! A Unix socket that sends and receives at the same time, so that neither side waits for the other.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use crate::error::{Error, Result};
use crate::wire::Message;

/// How much is read at once, in bytes: one message of the greatest length.
const CHUNK: usize = 64 << 10;
/// Pause before another try to connect to a switch whose queue is full.
const PAUSE: Duration = Duration::from_millis(10);
/// How many chunks [`Socket::drain`] reads at once, so that it ends however fast the peer talks.
const CHUNKS: usize = 256;

/// What a message means to the one who waits.
pub(crate) enum Step<T> {
    /// It is about something else.
    Ignored,
    /// It is a part of the answer.
    Part,
    /// The answer is complete.
    Done(T),
}

/// A connected socket with what is still to be sent and what is not yet understood.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: UnixStream,
    outbox: Vec<u8>,
    sent: usize,
    inbox: Vec<u8>,
    taken: usize,
}

impl Socket {
    /// Connects, within `patience` also where the switch hangs and its queue is full.
    pub(crate) fn connect(path: &Path, patience: Duration) -> Result<Self> {
        let deadline = Instant::now() + patience;
        let failed = |errno: Errno| Error::Connect {
            path: path.to_owned(),
            source: errno.into(),
        };
        let address = SocketAddrUnix::new(path).map_err(failed)?;
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
        let fd = fd.map_err(failed)?;
        loop {
            match connect(&fd, &address) {
                Ok(()) => break,
                Err(Errno::AGAIN) if Instant::now() < deadline => std::thread::sleep(PAUSE),
                Err(Errno::AGAIN) => return Err(Error::TimedOut(patience)),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(failed(errno)),
            }
        }
        Ok(Self {
            stream: fd.into(),
            outbox: Vec::new(),
            sent: 0,
            inbox: Vec::new(),
            taken: 0,
        })
    }

    /// Puts bytes behind what is to be sent; [`Self::exchange`] sends them.
    pub(crate) fn queue(&mut self, bytes: &[u8]) {
        self.outbox.extend_from_slice(bytes);
    }

    /// Sends all that is queued and hands each message that comes to `handle` until it is done.
    /// `handle` may queue bytes by writing them to its second argument. Gives up when nothing
    /// useful happened for as long as `patience`.
    pub(crate) fn exchange<T>(
        &mut self,
        patience: Duration,
        mut handle: impl FnMut(Message<'_>, &mut Vec<u8>) -> Result<Step<T>>,
    ) -> Result<T> {
        let mut deadline = Instant::now() + patience;
        loop {
            while let Some((message, length)) =
                Message::first(&self.inbox[self.taken..]).inspect_err(|_| hang_up(&self.stream))?
            {
                let step = handle(message, &mut self.outbox);
                self.taken += length;
                match step {
                    Ok(Step::Ignored) => {}
                    Ok(Step::Part) => deadline = Instant::now() + patience,
                    Ok(Step::Done(answer)) => return Ok(answer),
                    Err(error) => {
                        if let Error::Garbage(_) = error {
                            hang_up(&self.stream);
                        }
                        return Err(error);
                    }
                }
            }
            let ready = self.wait(deadline, patience)?;
            if ready.contains(PollFlags::OUT) && self.send()? {
                deadline = Instant::now() + patience;
            }
            if ready.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                self.receive()?;
            }
        }
    }

    /// Hands each message that is there already to `handle`, which may queue bytes by writing them to
    /// its second argument, and sends as much of these as goes without waiting.
    pub(crate) fn drain(
        &mut self,
        mut handle: impl FnMut(Message<'_>, &mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        for _ in 0..CHUNKS {
            while let Some((message, length)) = Message::first(&self.inbox[self.taken..])? {
                let handled = handle(message, &mut self.outbox);
                self.taken += length;
                handled?;
            }
            if !self.receive()? {
                break;
            }
        }
        while self.sent < self.outbox.len() && self.send()? {}
        Ok(())
    }

    fn wait(&self, deadline: Instant, patience: Duration) -> Result<PollFlags> {
        let mut wanted = PollFlags::IN;
        wanted.set(PollFlags::OUT, self.sent < self.outbox.len());
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::TimedOut(patience));
            }
            let mut fds = [PollFd::new(&self.stream, wanted)];
            match poll(&mut fds, Timespec::try_from(left).ok().as_ref()) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(fds[0].revents()),
                Err(errno) => return Err(Error::Io(errno.into())),
            }
        }
    }

    /// Sends as much as goes now; whether that is anything.
    fn send(&mut self) -> Result<bool> {
        match self.stream.write(&self.outbox[self.sent..]) {
            Ok(length) => self.sent += length,
            Err(error) if later(error.kind()) => return Ok(false),
            // What the switch said before it went still waits to be read.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => self.sent = self.outbox.len(),
            Err(error) => return Err(error.into()),
        }
        if self.sent == self.outbox.len() {
            self.outbox.clear();
            self.sent = 0;
        }
        Ok(true)
    }

    /// Reads what is there, at most one chunk; whether that was anything.
    fn receive(&mut self) -> Result<bool> {
        self.inbox.drain(..self.taken);
        self.taken = 0;
        let mut chunk = [0; CHUNK];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(Error::PeerGone),
            Ok(length) => {
                self.inbox.extend_from_slice(&chunk[..length]);
                Ok(true)
            }
            Err(error) if later(error.kind()) => Ok(false),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Err(Error::PeerGone),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// After garbage nothing that comes can be trusted to begin where a message begins.
fn hang_up(stream: &UnixStream) {
    let _ = stream.shutdown(Shutdown::Both);
}

fn later(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
