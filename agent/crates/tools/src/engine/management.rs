//! The branch we sit on: the links that carry the default routes and the caller's SSH session.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::process::Command;

use netlink::Netlink;

/// The names of the links whose loss would cut the administrator off, who may have come from `client`; `None`
/// where that cannot be told, and each link may be one.
pub(crate) fn links(client: Option<IpAddr>) -> Option<BTreeSet<String>> {
    find(client)
        .inspect_err(|error| {
            log::warn!("cannot tell which links carry the management path: {error}")
        })
        .ok()
}

/// The links of `disrupted` that are among them.
pub(crate) fn touched<'a>(
    disrupted: impl IntoIterator<Item = &'a String>,
    links: Option<&BTreeSet<String>>,
) -> BTreeSet<String> {
    let disrupted = disrupted.into_iter();
    disrupted
        .filter(|link| links.is_none_or(|links| links.contains(*link)))
        .cloned()
        .collect()
}

fn find(client: Option<IpAddr>) -> Result<BTreeSet<String>, netlink::Error> {
    let netlink = Netlink::open()?;
    let mut indexes: BTreeSet<u32> = netlink
        .routes()?
        .iter()
        .filter(|route| route.is_default())
        .map(|route| route.link)
        .collect();
    if let Some(client) = client
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

/// The address that this process's SSH session comes from, as sshd sets it in `SSH_CONNECTION`.
pub fn ssh_client() -> Option<IpAddr> {
    let connection = std::env::var("SSH_CONNECTION").ok()?;
    connection.split(' ').next()?.parse().ok()
}

/// Whether systemd is still on its way to the machine's default target (systemctl(1), `is-system-running`).
pub fn machine_is_starting() -> bool {
    let output = Command::new("systemctl").arg("is-system-running").output();
    output.is_ok_and(|output| matches!(output.stdout.trim_ascii(), b"initializing" | b"starting"))
}
