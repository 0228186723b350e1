//! The content of a read-only subvolume as a stream: what `btrfs send` does.

use std::io::{self, PipeReader, Read, pipe};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::thread::{self, JoinHandle};

use rustix::io::Errno;
use rustix::pipe::fcntl_setpipe_size;

use crate::error::{Error, Result, failed};
use crate::kernel;
use crate::subvolume::open_subvolume;

/// `BTRFS_SEND_FLAG_NO_FILE_DATA`.
const NO_FILE_DATA: u64 = 1;
/// How much of a stream lies in the pipe, in bytes: the largest that the kernel gives to anybody.
const PIPE: usize = 1 << 20;

/// How much of the content a stream carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Everything: it can be received.
    Whole,
    /// Lengths in the place of data, for an estimate; see [`crate::stream::Outline::data`].
    Lengths,
}

/// A stream on its way out of the kernel, to be read to its end and then asked how it went.
///
/// Dropping it stops the kernel. Until then the subvolume cannot be deleted or made writable.
#[derive(Debug)]
pub struct Sending {
    pipe: Option<PipeReader>,
    kernel: Option<JoinHandle<Result<()>>>,
}

/// Begins to send the read-only subvolume `path`: all of it, or what differs from `parent`, a read-only subvolume of
/// the same file system that the receiver has as well.
///
/// Takes CAP_SYS_ADMIN. The process has to ignore SIGPIPE, as Rust's programs do.
pub fn send(path: &Path, parent: Option<&Path>, content: Content) -> Result<Sending> {
    let subvolume = open_subvolume(path)?;
    let parent = parent.map(crate::info).transpose()?.map(|info| info.id);
    let (reader, writer) = pipe().map_err(failed("make a pipe for", path))?;
    // A smaller pipe is slower and nothing else.
    let _ = fcntl_setpipe_size(&reader, PIPE);
    let flags = match content {
        Content::Whole => 0,
        Content::Lengths => NO_FILE_DATA,
    };
    let name = path.to_owned();
    let work = move || {
        let sent = kernel::send(subvolume.as_fd(), writer.as_fd(), parent, flags);
        sent.map_err(|errno| match errno {
            // Either of them can be changed, or the parent has left the file system.
            Errno::PERM => Error::Sendable { path: name },
            errno => Error::new("send", &name, errno),
        })
    };
    let kernel = thread::Builder::new()
        .name("btrfs-send".to_owned())
        .spawn(work)
        .map_err(failed("start to send", path))?;
    Ok(Sending {
        pipe: Some(reader),
        kernel: Some(kernel),
    })
}

impl Sending {
    /// How it went, once the stream has been read to its end.
    pub fn finish(mut self) -> Result<()> {
        self.stop()
    }

    fn stop(&mut self) -> Result<()> {
        // Without a reader the kernel ends at its next write.
        self.pipe = None;
        let Some(kernel) = self.kernel.take() else {
            return Ok(());
        };
        kernel.join().unwrap_or_else(|_| {
            Err(Error::Io {
                doing: "send",
                path: Path::new("a subvolume").to_owned(),
                source: io::Error::other("the thread that sent ended by a panic"),
            })
        })
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

impl Read for Sending {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.pipe {
            Some(pipe) => pipe.read(buffer),
            None => Ok(0),
        }
    }
}

impl Sending {
    /// The end that is read from, for who waits for several things at once.
    pub fn pipe(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }
}
