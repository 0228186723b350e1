//! The host's end of a container's link.

use std::time::{Duration, Instant};

use netlink::{LinkName, Netlink};
use reconcile::PluginError;

/// How long the switch may take to take a new link in.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(2);

/// Sets a port up after the switch has taken it in.
///
/// ovs-vswitchd reads a new link's flags, adds one, and writes them back: what LXC set in between is lost.
/// Where no switch takes the link in, it is set up after a while all the same.
pub(super) fn set_up(port: &str) -> Result<(), PluginError> {
    let failed = |error| PluginError::failed(format!("set {port} up"), error);
    let port: LinkName = port.parse().map_err(failed)?;
    let netlink = Netlink::open().map_err(failed)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let link = netlink.link(port.as_str()).map_err(failed)?;
        let late = Instant::now() >= deadline;
        match link {
            Some(link) if link.promiscuous || late => {
                return netlink.set_up(link.index).map_err(failed);
            }
            None if late => return Ok(()),
            _ => std::thread::sleep(PAUSE),
        }
    }
}

/// Lets the port answer no question for an address of the host (`arp_ignore`, Linux
/// Documentation/networking/ip-sysctl.rst).
///
/// A switch in user space gets copies of packets, and the kernel sees them too: it would answer for the
/// bridge's address on the port, and drop as misdirected what a container then sends there.
pub(super) fn keep_from_answering(port: &str) -> Result<(), PluginError> {
    let failed = |error| PluginError::failed(format!("keep {port} from answering"), error);
    let port: LinkName = port.parse().map_err(failed)?;
    let setting = format!("/proc/sys/net/ipv4/conf/{port}/arp_ignore");
    // Without it the container still works, but for a strict packet filter on the host.
    if let Err(error) = std::fs::write(&setting, "8") {
        log::warn!("{setting}: {error}");
    }
    Ok(())
}
