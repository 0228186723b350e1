//! Files and directories (inotify(7)).

use std::io;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};

use crate::daemon::keeper::{Poke, Trigger};

/// Watches one file, by way of its directory: it may be replaced, and it may come only later.
pub(super) async fn entry(path: &Path, poke: &Poke) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let flags = WatchFlags::CLOSE_WRITE
        | WatchFlags::CREATE
        | WatchFlags::DELETE
        | WatchFlags::MOVED_FROM
        | WatchFlags::MOVED_TO
        | WatchFlags::ATTRIB;
    let name = path
        .file_name()
        .map(|name| name.as_encoded_bytes().to_vec());
    let is_it = |found: Option<&[u8]>| found.is_none() || found == name.as_deref();
    listen(&[directory.to_owned()], flags, is_it, || {
        poke.send(Trigger::Declaration);
    })
    .await
}

/// Watches what comes and goes in directories, and the directories themselves.
pub(super) async fn directories(paths: &[PathBuf], poke: &Poke) -> io::Result<()> {
    let flags = WatchFlags::CREATE
        | WatchFlags::DELETE
        | WatchFlags::MOVED_FROM
        | WatchFlags::MOVED_TO
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF;
    listen(
        paths,
        flags,
        |_| true,
        || {
            poke.send(Trigger::Event("a directory of the base changed"));
        },
    )
    .await
}

/// Waits until a file of this name is put into a directory in the place of another, or until nothing more can be seen.
pub(in crate::daemon) async fn replaced(
    directory: &Path,
    name: &str,
    tell: impl Fn(),
) -> io::Result<()> {
    let flags = WatchFlags::MOVED_TO | WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
    let is_it = |found: Option<&[u8]>| found.is_none_or(|found| found == name.as_bytes());
    listen(&[directory.to_owned()], flags, is_it, tell).await
}

async fn listen(
    paths: &[PathBuf],
    flags: WatchFlags,
    matters: impl Fn(Option<&[u8]>) -> bool,
    tell: impl Fn(),
) -> io::Result<()> {
    let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
    for path in paths {
        inotify::add_watch(&inotify, path, flags | WatchFlags::ONLYDIR)?;
    }
    let readable = super::readiness(&inotify)?;
    loop {
        let mut ready = readable.readable().await?;
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&inotify, &mut buffer);
        let mut told = false;
        loop {
            match reader.next() {
                Ok(event) => {
                    told |= matters(event.file_name().map(std::ffi::CStr::to_bytes));
                }
                Err(rustix::io::Errno::AGAIN) => break,
                Err(error) => return Err(error.into()),
            }
        }
        ready.clear_ready();
        if told {
            tell();
        }
    }
}
