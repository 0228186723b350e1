//! The processes that look after containers: one that ends leaves a container that does not run.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::daemon::keeper::{Poke, Trigger};

/// The process ids of LXC's monitors of the containers below a directory.
///
/// A monitor calls itself `[lxc monitor] DIRECTORY NAME`; one in the foreground keeps the words that it was
/// started with, `lxc-start -F -P DIRECTORY -n NAME`.
pub(super) fn of_containers(directory: &Path) -> Vec<i32> {
    let directory = directory.as_os_str().as_bytes();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id: &i32| {
        // Anybody may call a process anything.
        let of_root = fs::metadata(format!("/proc/{id}")).is_ok_and(|process| process.uid() == 0);
        if !of_root {
            return false;
        }
        let words = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let ours = words.starts_with(b"[lxc monitor] ") || words.starts_with(b"lxc-start\0");
        ours && words.windows(directory.len()).any(|part| part == directory)
    })
    .collect()
}

/// Tells when a process has ended.
pub(super) async fn run(id: i32, poke: &Poke) -> io::Result<()> {
    let Some(id) = Pid::from_raw(id) else {
        return Ok(());
    };
    match pidfd_open(id, PidfdFlags::NONBLOCK) {
        Ok(process) => {
            let _ = super::readiness(&process)?.readable().await?;
        }
        // It was quicker.
        Err(rustix::io::Errno::SRCH) => {}
        Err(error) => return Err(error.into()),
    }
    poke.send(Trigger::Event("a container ended"));
    Ok(())
}
