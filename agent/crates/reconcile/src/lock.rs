//! One run at a time, and one process that keeps a host.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

/// How long the lock may be held by one who only looks whether it is free.
const GLANCE: Duration = Duration::from_millis(500);
/// How often it is tried meanwhile.
const PAUSE: Duration = Duration::from_millis(10);

/// Held while a run goes on; released when dropped, or by the kernel when its process dies.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

/// Why the lock could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else runs.
    #[error("another run is going on: {holder}. Wait for its end, then try again")]
    Held {
        /// The holder's process id and command, in words.
        holder: String,
    },
    /// Another process keeps this host.
    #[error(
        "a daemon keeps this host, or a command that must be alone: {holder}. `systemctl status op-dbusd` shows it, \
         and `systemctl stop op-dbusd.service op-dbusd.socket` ends it"
    )]
    Kept {
        /// The holder's process id and command, in words.
        holder: String,
    },
    /// The lock file cannot be used.
    #[error("cannot lock {path}: {source}")]
    Io {
        /// The lock file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl RunLock {
    /// Takes the lock, or says who goes on having it. `command` is what the next one will be told of this run.
    pub fn acquire(path: &Path, command: &str) -> Result<Self, LockError> {
        let begun = Instant::now();
        loop {
            match take(path, command)? {
                Ok(file) => return Ok(Self { _file: file }),
                Err(_) if begun.elapsed() < GLANCE => std::thread::sleep(PAUSE),
                Err(holder) => return Err(LockError::Held { holder }),
            }
        }
    }

    /// Whether nobody has the lock.
    pub fn is_free(path: &Path) -> bool {
        take(path, "a look").is_ok_and(|taken| taken.is_ok())
    }
}

/// What the daemon of a host holds for as long as it lives, and a command that must be alone for as long as it takes.
/// The kernel releases it when its process dies, so that a file that was left behind says nothing.
#[derive(Debug)]
pub struct KeeperLock {
    _file: File,
}

impl KeeperLock {
    /// Takes the lock, or says who has it. `command` is what others will be told of this process.
    pub fn acquire(path: &Path, command: &str) -> Result<Self, LockError> {
        let file = take(path, command)?.map_err(|holder| LockError::Kept { holder })?;
        Ok(Self { _file: file })
    }
}

/// Takes a lock and writes down who has it; or gives what its holder wrote.
fn take(path: &Path, command: &str) -> Result<Result<File, String>, LockError> {
    let failed = |source| LockError::Io {
        path: path.to_owned(),
        source,
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(failed)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut holder = String::new();
            file.read_to_string(&mut holder).map_err(failed)?;
            return Ok(Err(holder.trim().to_owned()));
        }
        Err(errno) => return Err(failed(errno.into())),
    }
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "process {} ({command})", std::process::id())
    };
    write(&mut file).map_err(failed)?;
    Ok(Ok(file))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn who_only_looks_is_in_nobodys_way_and_who_runs_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let glance = take(&path, "a look").unwrap().unwrap();
        let (begun, begins) = mpsc::channel();
        std::thread::scope(|scope| {
            let path = &path;
            let waiting = scope.spawn(move || {
                begun.send(()).unwrap();
                RunLock::acquire(path, "apply")
            });
            begins.recv().unwrap();
            drop(glance);
            let held = waiting.join().unwrap().unwrap();
            assert!(!RunLock::is_free(path));
            let refused = RunLock::acquire(path, "confirm").unwrap_err().to_string();
            assert!(refused.contains("(apply)"), "{refused}");
            drop(held);
        });
        assert!(RunLock::is_free(&path));
    }
}
