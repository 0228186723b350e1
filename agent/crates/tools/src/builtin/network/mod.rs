//! Links, addresses, routes, neighbours and peers, as the kernel has them.

mod items;
mod peers;

use netlink::{MAIN_TABLE, NeighbourState, Netlink};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use items::{Addresses, Family, Links, Names, Neighbours, Routes};

use crate::call::Call;
use crate::error::ToolError;
use crate::page::{Page, page};
use crate::tool::{Domain, Tool};

#[derive(Deserialize, JsonSchema)]
struct OfLinks {
    /// Only the link of this name.
    #[serde(default)]
    link: Option<String>,
    /// Only links of this kind, in the kernel's word: `veth`, `bridge`, `tun`, `openvswitch`. Hardware
    /// and the loopback link have none.
    #[serde(default)]
    kind: Option<String>,
    /// Only the ports of this link, such as a bridge.
    #[serde(default)]
    controller: Option<String>,
    #[serde(flatten)]
    page: Page,
}

#[derive(Deserialize, JsonSchema)]
struct OfLink {
    /// Only those of the link of this name.
    #[serde(default)]
    link: Option<String>,
    /// Only those of this version of IP.
    #[serde(default)]
    family: Option<Family>,
    #[serde(flatten)]
    page: Page,
}

#[derive(Deserialize, JsonSchema)]
struct OfTable {
    /// Only those over the link of this name.
    #[serde(default)]
    link: Option<String>,
    /// Only those of this version of IP.
    #[serde(default)]
    family: Option<Family>,
    /// The number of a routing table, such as 254 (main, the default), 255 (local), 253 (default).
    #[serde(default)]
    table: Option<u32>,
    /// Those of all tables.
    #[serde(default)]
    all_tables: bool,
    #[serde(flatten)]
    page: Page,
}

pub(super) fn tools() -> Vec<Tool> {
    let domain = Domain::Network;
    vec![
        Tool::read(
            domain,
            "net_list_links",
            "List links",
            "Lists the network interfaces of this host, with their state and what they have carried.",
            list_links,
        )
.says(&["list network interfaces", "which NICs are there?"])
        .example(json!({}))
        .example(json!({ "kind": "veth" })),
        Tool::read(
            domain,
            "net_list_addresses",
            "List addresses",
            "Lists the IP addresses of this host's links.",
            list_addresses,
        )
.says(&["show IP addresses", "which addresses does eth0 have?", "ipv6 addresses"])
        .example(json!({ "family": "ipv4" })),
        Tool::read(
            domain,
            "net_list_routes",
            "List routes",
            "Lists the routes of the main routing table, of another one, or of all.",
            list_routes,
        )
.says(&["show the routes", "routing table", "routes over eth0"])
        .example(json!({}))
        .example(json!({ "family": "ipv6", "all_tables": true })),
        Tool::read(
            domain,
            "net_list_neighbours",
            "List neighbours",
            "Lists the hosts on this host's links that the kernel knows, with their hardware addresses \
             (ARP, NDP). Those that need no asking (multicast, loopback) are left out.",
            list_neighbours,
        )
.says(&["show the neighbours", "arp table", "neighbours on eth0"])
        .example(json!({ "link": "eth0" })),
        Tool::read(
            domain,
            "net_list_peers",
            "List mesh peers",
            "Lists the peers of this host's WireGuard links, with where they are and when they were last \
             heard of: those of a Netmaker mesh, and of tunnels. Secret keys are not told.",
            peers::list,
        )
.says(&["list the mesh peers", "who is in the mesh?", "wireguard peers of nm0"])
        .example(json!({})),
    ]
}

fn failed(error: netlink::Error) -> ToolError {
    ToolError::Failed(error.to_string())
}

fn list_links(_: &Call<'_>, input: OfLinks) -> Result<Links, ToolError> {
    let netlink = Netlink::open().map_err(failed)?;
    let all = netlink.link_statistics().map_err(failed)?;
    let names = Names::of(all.iter().map(|(link, ..)| link));
    let only = names.index(input.link.as_ref())?;
    let controller = names.index(input.controller.as_ref())?;
    let items = all
        .into_iter()
        .filter(|(link, ..)| {
            only.is_none_or(|index| link.index == index)
                && (input.kind.is_none() || link.kind == input.kind)
                && (controller.is_none() || link.controller == controller)
        })
        .map(|(link, state, statistics)| items::link(&names, link, state, statistics))
        .collect();
    let (links, next_cursor) = page(items, &input.page)?;
    Ok(Links { links, next_cursor })
}

fn list_addresses(_: &Call<'_>, input: OfLink) -> Result<Addresses, ToolError> {
    let netlink = Netlink::open().map_err(failed)?;
    let names = Names::read(&netlink)?;
    let only = names.index(input.link.as_ref())?;
    let all = netlink.all_addresses().map_err(failed)?;
    let items = all
        .into_iter()
        .filter(|entry| only.is_none_or(|index| entry.link == index))
        .map(|entry| items::address(&names, &entry))
        .filter(|item| input.family.is_none_or(|family| item.family == family))
        .collect();
    let (addresses, next_cursor) = page(items, &input.page)?;
    Ok(Addresses {
        addresses,
        next_cursor,
    })
}

fn list_routes(_: &Call<'_>, input: OfTable) -> Result<Routes, ToolError> {
    if input.all_tables && input.table.is_some() {
        return Err(ToolError::Invalid(
            "`table` and `all_tables` exclude each other: give one of them".to_owned(),
        ));
    }
    let netlink = Netlink::open().map_err(failed)?;
    let names = Names::read(&netlink)?;
    let only = names.index(input.link.as_ref())?;
    let table = input.table.unwrap_or(MAIN_TABLE);
    let all = netlink.all_routes().map_err(failed)?;
    let items = all
        .into_iter()
        .filter(|entry| {
            (input.all_tables || entry.table == table) && (only.is_none() || entry.link == only)
        })
        .map(|entry| items::route(&names, &entry))
        .filter(|item| input.family.is_none_or(|family| item.family == family))
        .collect();
    let (routes, next_cursor) = page(items, &input.page)?;
    Ok(Routes {
        routes,
        next_cursor,
    })
}

fn list_neighbours(_: &Call<'_>, input: OfLink) -> Result<Neighbours, ToolError> {
    let netlink = Netlink::open().map_err(failed)?;
    let names = Names::read(&netlink)?;
    let only = names.index(input.link.as_ref())?;
    let all = netlink.neighbours().map_err(failed)?;
    let items = all
        .into_iter()
        .filter(|entry| entry.state != NeighbourState::Noarp)
        .filter(|entry| only.is_none_or(|index| entry.link == index))
        .map(|entry| items::neighbour(&names, &entry))
        .filter(|item| input.family.is_none_or(|family| item.family == family))
        .collect();
    let (neighbours, next_cursor) = page(items, &input.page)?;
    Ok(Neighbours {
        neighbours,
        next_cursor,
    })
}
