//! From the database and the kernel to the normal form.

use ipnet::IpNet;
use reconcile::PluginError;

use super::links::Links;
use super::state::{BridgeState, PortState, UNMADE, UNPAIRED};
use super::switch::{Bridge, CONTAINER, PEER, Port};

/// A bridge: of its addresses those that we gave it and it still has. A foreign one shows those of
/// `wanted` that it has.
pub(super) fn bridge(
    links: &Links,
    name: &str,
    bridge: &Bridge,
    wanted: &[IpNet],
) -> Result<BridgeState, PluginError> {
    let mut addresses = if bridge.is_ours() {
        bridge.addresses()
    } else {
        wanted.to_vec()
    };
    let present = links.addresses(name)?;
    addresses.retain(|address| present.contains(address));
    addresses.sort();
    addresses.dedup();
    // A dead ovs-vswitchd leaves its taps behind, without a carrier.
    let made = links.find(name)?.is_some_and(|link| link.carrier);
    Ok(BridgeState {
        datapath: format!("{}{}", bridge.datapath, if made { "" } else { UNMADE }),
        fail_mode: bridge.fail_mode.clone(),
        addresses,
    })
}

/// A port with its interface.
pub(super) fn port(links: &Links, name: &str, port: &Port) -> Result<PortState, PluginError> {
    let peer = port.external_ids.get(PEER).cloned();
    let kind = match (port.kind.as_str(), &peer) {
        ("", Some(_)) if links.is_paired(name)? => "veth",
        ("", Some(_)) => UNPAIRED,
        ("" | "system", None) => "system",
        (other, _) => other,
    };
    let uplink = match port.moved() {
        Some(moved) => moved.is_done(links, name, &port.bridge)?,
        None => false,
    };
    let small = |number: Option<i64>| number.and_then(|number| u16::try_from(number).ok());
    Ok(PortState {
        bridge: port.bridge.clone(),
        kind: kind.to_owned(),
        tag: small(port.tag),
        peer,
        uplink,
        ofport: small(port.ofport_request),
        up: match kind {
            // Only who uses an internal port knows when it should be up.
            "internal" => true,
            _ => links.find(name)?.is_none_or(|link| link.up),
        },
        container: port.external_ids.get(CONTAINER).cloned(),
    })
}
