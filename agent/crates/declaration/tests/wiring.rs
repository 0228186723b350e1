//! Ports and addresses that follow from names.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use declaration::{BridgeName, ContainerName, Declaration, Network, wiring};
use proptest::prelude::*;
use serde_json::json;

fn name(text: &str) -> ContainerName {
    text.parse().unwrap()
}

fn port(container: &str, network: Network) -> Option<String> {
    name(container).port(network).map(|port| port.to_string())
}

#[test]
fn a_port_is_named_after_its_container() {
    assert_eq!(
        port("web-01", Network::Socket).as_deref(),
        Some("sock_web-01")
    );
    assert_eq!(
        port("web-01", Network::Mesh).as_deref(),
        Some("mesh_web-01")
    );
    assert_eq!(port("web-01", Network::None), None);
    assert_eq!(
        port("0123456789", Network::Socket).as_deref(),
        Some("sock_0123456789")
    );
    // printf %s a-longer-name | sha256sum
    assert_eq!(
        port("a-longer-name", Network::Socket).as_deref(),
        Some("sock_2df22ae142")
    );
}

#[test]
fn an_ethernet_address_is_local_and_unicast() {
    // printf %s web-01 | sha256sum: 0b9d9f06cc8c…
    assert_eq!(
        wiring::mac(&name("web-01")).to_string(),
        "0a:9d:9f:06:cc:8c"
    );
}

/// A declaration with these containers, each on one of two bridges.
fn declaration(containers: &BTreeSet<String>, first_bridge: impl Fn(&str) -> bool) -> Declaration {
    let containers: serde_json::Map<_, _> = containers
        .iter()
        .map(|name| {
            let bridge = if first_bridge(name) { "br0" } else { "br1" };
            (name.clone(), json!({ "template": "t", "bridge": bridge }))
        })
        .collect();
    let document = json!({
        "version": "1.0",
        "plugins": {
            "ovs": { "bridges": { "br0": {}, "br1": {} } },
            "lxc": { "templates": { "t": { "recipe": "busybox" } }, "containers": containers },
        },
    });
    Declaration::from_json(&document.to_string()).unwrap()
}

fn bridge(text: &str) -> BridgeName {
    text.parse().unwrap()
}

#[test]
fn a_bridge_that_is_full_of_containers_has_a_number_for_each() {
    let names: BTreeSet<_> = (0..20_000).map(|number| format!("c{number}")).collect();
    let ports = wiring::ofports(&declaration(&names, |_| true), &bridge("br0"));
    assert_eq!(ports.len(), 20_000);
    assert_eq!(ports.values().collect::<BTreeSet<_>>().len(), 20_000);
}

proptest! {
    #[test]
    fn port_numbers_are_distinct_and_in_range(
        names in proptest::collection::btree_set("[a-z][a-z0-9]{0,12}", 0..60)
    ) {
        let declaration = declaration(&names, |name| name < "m");
        let ports = wiring::ofports(&declaration, &bridge("br0"));
        let expected: BTreeSet<_> = names
            .iter()
            .filter(|text| text.as_str() < "m")
            .filter_map(|text| name(text).port(Network::Socket))
            .collect();
        prop_assert_eq!(ports.keys().cloned().collect::<BTreeSet<_>>(), expected);
        prop_assert_eq!(ports.values().collect::<BTreeSet<_>>().len(), ports.len());
        prop_assert!(ports.values().all(|number| (1024..=61_023).contains(number)));
    }

    #[test]
    fn ports_are_names_that_the_kernel_takes(text in "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?") {
        for network in [Network::Socket, Network::Mesh] {
            let port = name(&text).port(network).unwrap();
            prop_assert!(port.as_str().len() <= 15);
        }
        let first = wiring::mac(&name(&text)).0[0];
        prop_assert_eq!(first & 0b11, 0b10);
    }
}
