//! Pipes with a deadline: whoever is at the other end may hang at any byte.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// So much a pipe takes at once without waiting when it takes anything (`PIPE_BUF`, pipe(7)).
const AT_ONCE: usize = 4096;

/// A pipe until a time; later reads and writes fail with `TimedOut`.
pub(crate) struct Within<'a, T> {
    pipe: &'a mut T,
    until: Instant,
}

impl<'a, T: AsFd> Within<'a, T> {
    pub(crate) fn new(pipe: &'a mut T, until: Instant) -> Self {
        Self { pipe, until }
    }

    fn wait(&self, what: PollFlags) -> io::Result<()> {
        let left = self.until.saturating_duration_since(Instant::now());
        match ready(self.pipe.as_fd(), what, left)? {
            true => Ok(()),
            false => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl<T: AsFd + Read> Read for Within<'_, T> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.wait(PollFlags::IN)?;
        self.pipe.read(into)
    }
}

impl<T: AsFd + Write> Write for Within<'_, T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.wait(PollFlags::OUT)?;
        self.pipe.write(&bytes[..bytes.len().min(AT_ONCE)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pipe.flush()
    }
}

/// Whether there is something to read or room to write, or the end, within a time.
pub(crate) fn ready(pipe: BorrowedFd<'_>, what: PollFlags, time: Duration) -> io::Result<bool> {
    let until = Instant::now() + time;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&pipe, what)], Some(&left)) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(50)
    }

    #[test]
    fn an_answer_that_stops_in_the_middle_is_given_up() {
        let (mut from, mut to) = io::pipe().unwrap();
        // The length of a frame, and less than that of it.
        to.write_all(&[100, 0, 0, 0, 1, 2]).unwrap();
        let error = frame::read(&mut Within::new(&mut from, soon())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn an_answer_that_drips_is_given_up_too() {
        let (mut from, mut to) = io::pipe().unwrap();
        to.write_all(&[0xff, 0xff, 0, 0]).unwrap();
        let dripping = std::thread::spawn(move || {
            while to.write_all(&[0]).is_ok() {
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let error = frame::read(&mut Within::new(&mut from, soon())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(from);
        dripping.join().unwrap();
    }

    #[test]
    fn who_does_not_listen_is_given_up() {
        let (_from, mut to) = io::pipe().unwrap();
        let question = vec![0; 1 << 20];
        let error = frame::write(&mut Within::new(&mut to, soon()), &[&question]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn what_comes_in_time_is_whole() {
        let (mut from, mut to) = io::pipe().unwrap();
        let later = Instant::now() + Duration::from_secs(60);
        let answer = vec![7; 1 << 20];
        let sent = answer.clone();
        let writer = std::thread::spawn(move || {
            frame::write(&mut Within::new(&mut to, later), &[&sent]).unwrap();
        });
        let read = frame::read(&mut Within::new(&mut from, later)).unwrap();
        assert_eq!(read, Some(answer));
        writer.join().unwrap();
    }
}
