//! The checks over several values, against slower ones that are plainly right.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use declaration::Declaration;
use ipnet::IpNet;
use proptest::prelude::*;
use serde_json::{Value, json};

fn said(document: &Value) -> Vec<String> {
    match Declaration::from_json(&document.to_string()) {
        Ok(_) => Vec::new(),
        Err(problems) => problems
            .iter()
            .map(|problem| format!("{}: {}", problem.path, problem.found))
            .collect(),
    }
}

/// Whether every node can be taken away, one without open ends after the other.
fn has_order(edges: &BTreeMap<usize, BTreeSet<usize>>) -> bool {
    let mut left = edges.clone();
    loop {
        let free: Vec<_> = left
            .iter()
            .filter(|(_, after)| after.iter().all(|other| !left.contains_key(other)))
            .map(|(node, _)| *node)
            .collect();
        if free.is_empty() {
            return left.is_empty();
        }
        free.iter().for_each(|node| drop(left.remove(node)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_cycle_is_found_where_there_is_one(
        edges in proptest::collection::vec(proptest::collection::btree_set(0..8usize, 0..3), 1..8)
    ) {
        let count = edges.len();
        let edges: BTreeMap<_, BTreeSet<_>> = edges
            .into_iter()
            .enumerate()
            .map(|(node, after)| (node, after.into_iter().filter(|other| *other != node && *other < count).collect()))
            .collect();
        let containers: serde_json::Map<_, _> = edges
            .iter()
            .map(|(node, after)| {
                let after: Vec<_> = after.iter().map(|other| format!("c{other}")).collect();
                (format!("c{node}"), json!({ "template": "t", "network": "none", "after": after }))
            })
            .collect();
        let said = said(&json!({
            "version": "1.0",
            "plugins": { "lxc": { "templates": { "t": { "recipe": "busybox" } }, "containers": containers } },
        }));
        prop_assert_eq!(said.is_empty(), has_order(&edges), "{:?} {:?}", said, edges);
        prop_assert!(said.iter().all(|problem| problem.contains("a cycle: ")));
    }

    #[test]
    fn an_overlap_is_found_where_there_is_one(
        networks in proptest::collection::vec((0..4usize, 0..4u8, 0..4u8, 12..=30u8), 0..8)
    ) {
        let mut bridges: BTreeMap<usize, Vec<IpNet>> = (0..4).map(|bridge| (bridge, Vec::new())).collect();
        for (number, (bridge, second, third, length)) in networks.into_iter().enumerate() {
            let address = format!("10.{}.{}.{}/{length}", second * 16, third * 16, 2 + 4 * number);
            bridges.get_mut(&bridge).unwrap().push(address.parse().unwrap());
        }
        let overlap = bridges.iter().any(|(bridge, networks)| {
            bridges.iter().filter(|(other, _)| *other != bridge).any(|(_, others)| {
                networks.iter().any(|network| others.iter().any(|other| {
                    network.contains(&other.network()) || other.contains(&network.network())
                }))
            })
        });
        let documents: serde_json::Map<_, _> = bridges
            .iter()
            .map(|(bridge, networks)| (format!("br{bridge}"), json!({ "addresses": networks })))
            .collect();
        let said = said(&json!({ "version": "1.0", "plugins": { "ovs": { "bridges": documents } } }));
        let found = said.iter().any(|problem| problem.contains("which overlaps"));
        prop_assert_eq!(found, overlap, "{:?} {:?}", said, bridges);
    }
}

/// One change to a good document makes one problem, at the place of the change.
#[test]
fn one_mistake_is_one_problem() {
    let good = json!({
        "version": "1.0",
        "plugins": {
            "btrfs": { "base": { "path": "/srv", "image": "/images/a.img", "size": "1GiB" } },
            "ovs": { "bridges": {
                "br0": { "uplinks": ["eth0"], "addresses": ["10.0.0.1/24"], "ports": { "p0": { "type": "veth", "peer": "p1" } } },
                "br1": { "addresses": ["10.0.1.1/24"] },
            } },
            "openflow": { "bridges": { "br0": {
                "mesh": { "prefix": "10.9.0.0/16", "port": "p0" },
                "flows": [
                    { "match": { "ip_proto": 6, "tcp_dst": 1, "ip_dst": "10.0.0.0/8" }, "actions": [{ "output": "sock_a" }] },
                    { "priority": 1, "actions": ["drop"] },
                ],
            } } },
            "lxc": {
                "templates": { "t": { "recipe": "busybox" } },
                "containers": {
                    "a": { "template": "t", "bridge": "br0", "address": "10.0.0.2/24", "gateway": "10.0.0.1" },
                    "b": { "template": "t", "bridge": "br0", "address": "10.0.0.3/24", "after": ["a"] },
                },
            },
        },
    });
    assert_eq!(said(&good), [""; 0]);
    let mut link_local = good.clone();
    let container = &mut link_local["plugins"]["lxc"]["containers"]["a"];
    container["address"] = json!("fd00::2/64");
    container["gateway"] = json!("fe80::1");
    assert_eq!(said(&link_local), [""; 0]);
    for (place, value) in [
        ("/version", json!(2)),
        ("/plugins/btrfs/base/image", json!("/srv/a.img")),
        ("/plugins/btrfs/base/size", json!(null)),
        ("/plugins/btrfs/base/size", json!(127)),
        ("/plugins/btrfs/base/path", json!("srv")),
        ("/plugins/ovs/bridges/br0/uplinks/0", json!("br1")),
        (
            "/plugins/ovs/bridges/br1/addresses/0",
            json!("10.0.0.129/25"),
        ),
        ("/plugins/ovs/bridges/br0/ports/p0/peer", json!("eth0")),
        ("/plugins/ovs/bridges/br0/ports/p0/tag", json!(4095)),
        ("/plugins/openflow/bridges/br0/mesh/port", json!("p2")),
        (
            "/plugins/openflow/bridges/br0/flows/0/match/ip_proto",
            json!("tpc"),
        ),
        (
            "/plugins/openflow/bridges/br0/flows/0/match/in_port",
            json!("sock_c"),
        ),
        (
            "/plugins/openflow/bridges/br0/flows/0/actions/0/output",
            json!("sock_c"),
        ),
        ("/plugins/openflow/bridges/br0/flows/1/actions", json!([])),
        ("/plugins/lxc/containers/a/template", json!("u")),
        ("/plugins/lxc/containers/a/gateway", json!("10.0.1.1")),
        ("/plugins/lxc/containers/a/gateway", json!("fe80::1")),
        ("/plugins/lxc/containers/b/bridge", json!("br2")),
        ("/plugins/lxc/containers/b/address", json!("10.0.0.2/24")),
        ("/plugins/lxc/containers/b/address", json!("10.0.2.3/24")),
        ("/plugins/lxc/containers/b/after/0", json!("c")),
    ] {
        let mut bad = good.clone();
        match bad.pointer_mut(place) {
            Some(there) => *there = value,
            None => {
                let (parent, key) = place.rsplit_once('/').unwrap();
                bad.pointer_mut(parent).unwrap()[key] = value;
            }
        }
        let said = said(&bad);
        assert_eq!(said.len(), 1, "{place}: {said:#?}");
        let path = said[0]
            .split(':')
            .next()
            .unwrap()
            .replace('[', ".")
            .replace(']', "");
        assert_eq!(path.replace('.', "/"), place[1..], "{said:?}");
    }
}
