//! The branch we sit on: the links that carry the default routes and the caller's SSH session.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::process::Command;

use netlink::Netlink;

/// The names of the links whose loss would cut the administrator off.
pub(crate) fn links() -> BTreeSet<String> {
    find().unwrap_or_else(|error| {
        log::warn!("cannot tell which links carry the management path: {error}");
        BTreeSet::new()
    })
}

fn find() -> Result<BTreeSet<String>, netlink::Error> {
    let netlink = Netlink::open()?;
    let mut indexes: BTreeSet<u32> = netlink
        .routes()?
        .iter()
        .filter(|route| route.is_default())
        .map(|route| route.link)
        .collect();
    if let Some(client) = ssh_client()
        && let Some(route) = netlink.route_to(client)?
    {
        indexes.insert(route.link);
    }
    let links = netlink.links()?;
    let mut names = BTreeSet::new();
    for link in &links {
        // A bridge carries what its ports carry, and the other way round.
        let carried = indexes.contains(&link.index)
            || link
                .controller
                .is_some_and(|index| indexes.contains(&index));
        if carried && link.name != "lo" {
            names.insert(link.name.clone());
        }
    }
    Ok(names)
}

/// The client's address, from `SSH_CONNECTION` as sshd sets it.
fn ssh_client() -> Option<IpAddr> {
    let connection = std::env::var("SSH_CONNECTION").ok()?;
    connection.split(' ').next()?.parse().ok()
}

/// Whether systemd is still on its way to the machine's default target (systemctl(1), `is-system-running`).
pub fn machine_is_starting() -> bool {
    let output = Command::new("systemctl").arg("is-system-running").output();
    output.is_ok_and(|output| matches!(output.stdout.trim_ascii(), b"initializing" | b"starting"))
}
