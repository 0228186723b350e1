//! Checksums of what a link sends.
//!
//! A virtual link leaves the checksums of TCP and UDP to be filled in by hardware. Open vSwitch's
//! datapath in user space hands packets on as they are, so the receiver drops them all.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use reconcile::PluginError;
use rustix::ioctl::{Opcode, Updater, ioctl};
use rustix::net::{AddressFamily, SocketType, socket};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// `SIOCETHTOOL` of `linux/sockios.h`.
const SIOCETHTOOL: Opcode = 0x8946;
/// `ETHTOOL_STXCSUM` of `linux/ethtool.h`.
const SET_TX_CHECKSUM: u32 = 0x17;
/// `IFNAMSIZ` of `linux/if.h`.
const NAME_SIZE: usize = 16;

/// `struct ethtool_value` of `linux/ethtool.h`.
#[repr(C)]
struct Setting {
    command: u32,
    data: u32,
}

/// `struct ifreq` of `linux/if.h`, of which only the pointer of the union is used.
#[repr(C)]
struct Request {
    name: [u8; NAME_SIZE],
    data: *mut Setting,
    rest: [u8; 16],
}

/// Makes the link `link` in the network namespace of the process `pid` compute the checksums of what it
/// sends. The kernel then also cuts up segments before it sends them (TSO needs checksums).
pub fn disable_tx_checksum(pid: u32, link: &str) -> Result<(), PluginError> {
    let failed = |error: io::Error| {
        PluginError::failed(
            format!("make {link} of process {pid} compute checksums"),
            error,
        )
    };
    if link.is_empty() || link.len() >= NAME_SIZE {
        return Err(failed(io::ErrorKind::InvalidInput.into()));
    }
    let namespace = File::open(format!("/proc/{pid}/ns/net")).map_err(failed)?;
    // A namespace is a thread's: this one's must stay.
    std::thread::scope(|scope| scope.spawn(|| set_within(&namespace, link)).join())
        .unwrap_or_else(|_| Err(io::Error::other("the thread failed")))
        .map_err(failed)
}

fn set_within(namespace: &File, link: &str) -> io::Result<()> {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    let mut setting = Setting {
        command: SET_TX_CHECKSUM,
        data: 0,
    };
    let mut request = Request {
        name: [0; NAME_SIZE],
        data: &raw mut setting,
        rest: [0; 16],
    };
    request.name[..link.len()].copy_from_slice(link.as_bytes());
    #[allow(unsafe_code)]
    // SAFETY: the request is at least as long as the kernel's, and its pointer outlives the call.
    unsafe {
        ioctl(&socket, Updater::<SIOCETHTOOL, Request>::new(&mut request))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_cannot_be_is_refused() {
        for link in ["", "sixteen-letters-"] {
            assert!(disable_tx_checksum(std::process::id(), link).is_err());
        }
        let text = disable_tx_checksum(std::process::id(), "no-such-link").unwrap_err();
        assert!(text.to_string().contains("No such device"), "{text}");
    }
}
