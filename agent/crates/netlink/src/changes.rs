//! The kernel's own word that something changed.

use std::os::fd::{AsFd, BorrowedFd};
use std::{fmt, io};

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// `RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE` of
/// `linux/rtnetlink.h`.
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;
/// Larger than what the kernel sends at once.
const BUFFER: usize = 32 << 10;

/// A line on which the kernel tells of every change of links, addresses and routes in the network namespace in
/// which it was opened.
pub struct Changes {
    socket: Socket,
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").finish_non_exhaustive()
    }
}

impl Changes {
    /// Opens a line.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind(&SocketAddr::new(0, GROUPS))?;
        socket.set_non_blocking(true)?;
        Ok(Self { socket })
    }

    /// Takes in all that was told so far, without waiting; `true` if there was something. A line that was too
    /// slow to read lost something, which counts as well.
    pub fn drain(&self) -> io::Result<bool> {
        let mut told = false;
        let mut buffer = Vec::with_capacity(BUFFER);
        loop {
            buffer.clear();
            match self.socket.recv(&mut buffer, 0) {
                Ok(_) => told = true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(told),
                Err(error)
                    if error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error()) =>
                {
                    told = true;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for Changes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
