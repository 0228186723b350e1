//! Serves a client on a socket with two threads: one reads and answers, one writes what the first cannot.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;

use rustix::net::{SendFlags, send};

use super::outbox::{Closed, Output};
use super::session::{Flow, Options, Server};

/// How the two threads and whoever has something for the client agree.
struct Signal {
    /// The reader sends what comes up; nobody need be woken.
    reading: AtomicBool,
    pending: Mutex<bool>,
    bell: Condvar,
    /// Closed when the session is over: a thread may be in the middle of a write that never ends.
    stream: UnixStream,
}

impl Signal {
    fn pending(&self) -> MutexGuard<'_, bool> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, closed: bool) {
        if closed {
            let _ = self.stream.shutdown(Shutdown::Both);
        }
        if !self.reading.load(Ordering::SeqCst) {
            self.ring();
        }
    }

    fn ring(&self) {
        *self.pending() = true;
        self.bell.notify_one();
    }

    fn wait(&self) {
        let mut pending = self.pending();
        while !*pending {
            let waited = self.bell.wait(pending);
            pending = waited.unwrap_or_else(PoisonError::into_inner);
        }
        *pending = false;
    }
}

/// The sending side: what is left of a write, and the stream. Only who has the lock takes the output.
struct Sender {
    stream: UnixStream,
    output: Output,
    rest: Mutex<Vec<u8>>,
}

impl Sender {
    /// Sends as much as goes without waiting; whether something is left.
    fn send(&self) -> io::Result<bool> {
        let mut rest = match self.rest.try_lock() {
            Ok(rest) => rest,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(true),
        };
        loop {
            if rest.is_empty() {
                *rest = self.output.take();
            }
            if rest.is_empty() {
                return Ok(false);
            }
            match send(
                &self.stream,
                &rest,
                SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
            ) {
                Ok(sent) => drop(rest.drain(..sent)),
                Err(rustix::io::Errno::AGAIN) => return Ok(true),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends all, however long it takes.
    fn flush(&self) -> io::Result<()> {
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if rest.is_empty() {
                *rest = self.output.take();
            }
            if rest.is_empty() {
                return Ok(());
            }
            (&self.stream).write_all(&rest)?;
            rest.clear();
        }
    }
}

/// Serves one client until it hangs up, misbehaves, or reads too slowly; then says why.
pub fn serve(server: &Server, stream: UnixStream, options: Options) -> io::Result<Closed> {
    let signal = Arc::new(Signal {
        reading: AtomicBool::new(false),
        pending: Mutex::new(false),
        bell: Condvar::new(),
        stream: stream.try_clone()?,
    });
    let woken = Arc::clone(&signal);
    let waker = move |closed: Option<&Closed>| woken.wake(closed.is_some());
    let sending = stream.try_clone()?;
    let mut session = server.connect(options, Box::new(waker));
    let output = session.output().clone();
    let sender = Sender {
        stream: sending,
        output: output.clone(),
        rest: Mutex::default(),
    };
    thread::scope(|scope| {
        let writer = thread::Builder::new().name("ovsdb-writer".to_owned());
        let writer = writer.spawn_scoped(scope, || {
            while output.closed().is_none() && sender.flush().is_ok() {
                signal.wait();
            }
            // The reader sees the end of the stream.
            let _ = stream.shutdown(Shutdown::Both);
        })?;
        let read = read(&stream, &sender, &signal, |bytes| session.receive(bytes));
        let why = output.closed().unwrap_or(Closed::Done);
        output.close(Closed::Done);
        signal.ring();
        let _ = writer.join();
        read.map(|()| why)
    })
}

fn read(
    mut stream: &UnixStream,
    sender: &Sender,
    signal: &Signal,
    mut receive: impl FnMut(&[u8]) -> Result<Flow, Closed>,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        signal.reading.store(true, Ordering::SeqCst);
        let mut flow = receive(&buffer[..length]);
        while flow == Ok(Flow::Drain) {
            sender.flush()?;
            flow = receive(&[]);
        }
        loop {
            let is_left = sender.send()?;
            signal.reading.store(false, Ordering::SeqCst);
            if is_left {
                signal.ring();
                break;
            }
            if sender.output.is_empty() {
                break;
            }
            signal.reading.store(true, Ordering::SeqCst);
        }
        if flow.is_err() {
            return Ok(());
        }
    }
}
