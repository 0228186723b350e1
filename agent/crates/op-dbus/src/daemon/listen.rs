//! The sockets that the JSON-RPC door listens on: handed over by systemd, or made here.

use std::fs;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::net::UnixListener;
use tools::Accounts;

use crate::failure::Failure;

/// The group whose members reach the sockets.
const GROUP: &str = "opdbus";

/// Sockets that are open.
#[derive(Default)]
pub(super) struct Listeners {
    waiting: Vec<UnixListener>,
    open: Vec<PathBuf>,
    /// Those that this process made, to be taken away at its end.
    own: Vec<PathBuf>,
    complete: bool,
}

impl Drop for Listeners {
    fn drop(&mut self) {
        for path in &self.own {
            let _ = fs::remove_file(path);
        }
    }
}

/// Takes over what systemd listens on for us (sd_listen_fds(3)).
pub(super) fn handed_over() -> Result<Listeners, Failure> {
    let mut listeners = Listeners::default();
    let Ok(sockets) = sd_notify::listen_fds() else {
        return Ok(listeners);
    };
    for raw in sockets {
        #[allow(unsafe_code)]
        // SAFETY: systemd hands each of these over once, and nothing else here takes them.
        let socket = unsafe { OwnedFd::from_raw_fd(raw) };
        let socket = StdListener::from(socket);
        let address = socket.local_addr().context("read a socket of systemd")?;
        let path = address.as_pathname().map(Path::to_owned);
        let path = path.context("systemd handed over a socket without a path")?;
        listeners.waiting.push(asynchronous(socket)?);
        listeners.open.push(path);
    }
    Ok(listeners)
}

fn asynchronous(socket: StdListener) -> Result<UnixListener, Failure> {
    socket
        .set_nonblocking(true)
        .context("prepare a socket for many callers")?;
    Ok(UnixListener::from_std(socket).context("listen on a socket")?)
}

impl Listeners {
    /// Makes a socket, unless systemd handed it over or it was made before.
    pub(super) fn add(&mut self, path: &Path) -> Result<(), Failure> {
        if self.open.iter().any(|open| open == path) {
            return Ok(());
        }
        self.waiting.push(make(path)?);
        self.open.push(path.to_owned());
        self.own.push(path.to_owned());
        Ok(())
    }

    /// All are open that there should be.
    pub(super) fn complete(&mut self) {
        self.complete = true;
    }

    /// Whether all are open that there should be.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Refuses if another daemon has a socket that is to be made later.
    pub(super) fn expect(&self, path: &Path) -> Result<(), Failure> {
        match self.open.iter().any(|open| open == path) {
            true => Ok(()),
            false => refuse_if_taken(path),
        }
    }

    /// The sockets that nobody serves yet.
    pub(super) fn take(&mut self) -> Vec<UnixListener> {
        std::mem::take(&mut self.waiting)
    }
}

/// Nobody answers on a socket that a killed daemon left behind; who answers is another daemon.
fn refuse_if_taken(path: &Path) -> Result<(), Failure> {
    match std::os::unix::net::UnixStream::connect(path) {
        Err(_) => Ok(()),
        Ok(_) => Err(Failure::Refused(format!(
            "another daemon listens on {}: `systemctl status op-dbusd` shows it",
            path.display()
        ))),
    }
}

fn make(path: &Path) -> Result<UnixListener, Failure> {
    let doing = || format!("listen on {}", path.display());
    let group = Accounts::read().gid(GROUP);
    if let Some(directory) = path.parent()
        && !directory.exists()
    {
        fs::create_dir_all(directory).with_context(doing)?;
        permit(directory, 0o750, group).with_context(doing)?;
    }
    refuse_if_taken(path)?;
    let _ = fs::remove_file(path);
    let socket = StdListener::bind(path).with_context(doing)?;
    permit(path, 0o660, group).with_context(doing)?;
    asynchronous(socket)
}

/// For root, and for the members of the group where there is one.
fn permit(path: &Path, mode: u32, group: Option<u32>) -> std::io::Result<()> {
    chown(path, Some(0), Some(group.unwrap_or(0)))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}
