//! Everything that there is, against `ip` in a network namespace of its own.
#![allow(clippy::unwrap_used)]

mod witness;

use netlink::NeighbourState;
use serde_json::Value;
use witness::{PATIENCE, addr, ip, machine, pair};

fn numbers(shown: &Value, keys: &[&str]) -> Vec<u64> {
    keys.iter()
        .map(|key| shown[key].as_u64().unwrap())
        .collect()
}

#[test]
fn statistics_and_states_are_those_that_ip_shows() {
    let Some((_machine, netlink)) = machine() else {
        return;
    };
    pair(&netlink);
    lab::run("ip", &["link", "add", "br0", "type", "bridge"]);
    lab::run("ip", &["address", "add", "10.9.0.1/24", "dev", "left"]);
    // Asks in vain, and so sends.
    let _ = lab::output("ping", &["-c", "1", "-W", "1", "10.9.0.77"]);
    lab::run("ip", &["link", "set", "left", "down"]);
    // The kernel takes its time over the other end.
    lab::wait_for("the state", PATIENCE, || {
        let shown = ip(&["link", "show", "right"]);
        (shown[0]["operstate"] == "LOWERLAYERDOWN").then_some(())
    });

    let links = netlink.link_statistics().unwrap();
    let shown = ip(&["-s", "link", "show"]);
    assert_eq!(links.len(), shown.as_array().unwrap().len());
    for ((link, state, statistics), shown) in links.iter().zip(shown.as_array().unwrap()) {
        assert_eq!(link.name, *shown["ifname"].as_str().unwrap());
        assert_eq!(state.word(), shown["operstate"].as_str().unwrap());
        let statistics = statistics.unwrap();
        let (rx, tx) = (&shown["stats64"]["rx"], &shown["stats64"]["tx"]);
        assert_eq!(
            numbers(rx, &["packets", "bytes", "errors", "dropped", "multicast"]),
            [
                statistics.rx_packets,
                statistics.rx_bytes,
                statistics.rx_errors,
                statistics.rx_dropped,
                statistics.multicast
            ]
        );
        assert_eq!(
            numbers(tx, &["packets", "bytes", "errors", "dropped", "collisions"]),
            [
                statistics.tx_packets,
                statistics.tx_bytes,
                statistics.tx_errors,
                statistics.tx_dropped,
                statistics.collisions
            ]
        );
    }
}

#[test]
fn addresses_are_those_that_ip_shows() {
    let Some((_machine, netlink)) = machine() else {
        return;
    };
    pair(&netlink);
    // So that none is found to be nobody else's between the two looks.
    std::fs::write("/proc/sys/net/ipv6/conf/left/dad_transmits", "1000").unwrap();
    for arguments in [
        "10.9.0.1/24 brd + dev left label left:one",
        "10.9.0.2/24 dev left",
        "10.9.1.1 peer 10.9.1.2/32 dev right",
        "2001:db8::1/64 dev left valid_lft 500 preferred_lft 0",
        "2001:db8::2/64 dev left nodad",
    ] {
        let all: Vec<_> = ["address", "add"]
            .into_iter()
            .chain(arguments.split(' '))
            .collect();
        lab::run("ip", &all);
    }
    let listed = netlink.all_addresses().unwrap();
    let shown = ip(&["address", "show"]);
    let links = shown.as_array().unwrap().iter();
    let shown: Vec<_> = links
        .flat_map(|link| {
            let index = link["ifindex"].as_u64().unwrap();
            let addresses = link["addr_info"].as_array().unwrap().iter();
            addresses.map(move |address| (index, address))
        })
        .collect();
    assert_eq!(listed.len(), shown.len());
    for (entry, (index, shown)) in listed.iter().zip(shown) {
        let text = |key: &str| shown[key].as_str().map(str::to_owned);
        let flag = |key: &str| shown[key].as_bool().unwrap_or_default();
        assert_eq!(u64::from(entry.link), index);
        assert_eq!(entry.net.addr().to_string(), text("local").unwrap());
        assert_eq!(u64::from(entry.net.prefix_len()), shown["prefixlen"]);
        assert_eq!(entry.peer.map(|peer| peer.to_string()), text("address"));
        assert_eq!(entry.broadcast.map(|it| it.to_string()), text("broadcast"));
        assert_eq!(entry.label, text("label"));
        let scope = match entry.scope {
            0 => "global",
            253 => "link",
            254 => "host",
            _ => "?",
        };
        assert_eq!(scope, text("scope").unwrap());
        assert_eq!(entry.deprecated, flag("deprecated"));
        assert_eq!(entry.tentative, flag("tentative"));
        assert!(!entry.temporary && !entry.duplicate);
        // `ip` has the largest number for ever, and a second may have gone by.
        let lifetime = |seconds: Option<u32>| u64::from(seconds.unwrap_or(u32::MAX));
        let shown = |key: &str| shown[key].as_u64().unwrap();
        assert!(lifetime(entry.valid).abs_diff(shown("valid_life_time")) <= 1);
        assert!(lifetime(entry.preferred).abs_diff(shown("preferred_life_time")) <= 1);
    }
}

#[test]
fn routes_of_all_tables_are_those_that_ip_shows() {
    let Some((_machine, netlink)) = machine() else {
        return;
    };
    pair(&netlink);
    for arguments in [
        "address add 10.9.0.1/24 dev left",
        "address add 2001:db8::1/64 dev left nodad",
        "route add default via 10.9.0.254 metric 50 proto dhcp",
        "route add 10.20.0.0/16 table 300 dev right scope link src 10.9.0.1",
        "route add unreachable 10.30.0.0/16",
        "route add blackhole 2001:db8:1::/48",
        "route add 10.40.0.0/16 nexthop via 10.9.0.2 nexthop dev right onlink via 10.77.0.1",
        "-6 route add default via fe80::1 dev left",
    ] {
        lab::run("ip", &arguments.split(' ').collect::<Vec<_>>());
    }
    // The kernel takes its time over the route of the address itself.
    lab::wait_for("the route", PATIENCE, || {
        let shown = ip(&["-6", "route", "show", "table", "local"]);
        let mut routes = shown.as_array().unwrap().iter();
        let is_there = routes.any(|route| route["dst"] == "2001:db8::1");
        is_there.then_some(())
    });
    let shown: Vec<Value> = ["-4", "-6"]
        .into_iter()
        .flat_map(|family| {
            let list = ip(&[family, "-N", "route", "show", "table", "all"]);
            list.as_array().unwrap().clone()
        })
        .collect();
    let of_shown = |route: &Value| {
        let destination = match (route["dst"].as_str().unwrap(), route["family"].as_str()) {
            ("default", _) => "default".to_owned(),
            (net, _) => net
                .trim_end_matches("/32")
                .trim_end_matches("/128")
                .to_owned(),
        };
        let table = route["table"].as_str().unwrap_or("254").to_owned();
        let protocol = route["protocol"].as_str().unwrap().to_owned();
        let kind = route["type"].as_str().unwrap_or("1").to_owned();
        let metric = route["metric"].as_u64().unwrap_or_default();
        (table, destination, kind, protocol, metric)
    };
    let mut shown: Vec<_> = shown
        .iter()
        .flat_map(|route| {
            let hops = route["nexthops"].as_array().map_or(1, Vec::len);
            std::iter::repeat_n(of_shown(route), hops)
        })
        .collect();
    let listed = netlink.all_routes().unwrap();
    let mut mine: Vec<_> = listed
        .iter()
        .map(|route| {
            let destination = match route.destination {
                net if net.prefix_len() == 0 => "default".to_owned(),
                net if net.prefix_len() == net.max_prefix_len() => net.addr().to_string(),
                net => net.to_string(),
            };
            (
                route.table.to_string(),
                destination,
                route.kind.to_string(),
                route.protocol.to_string(),
                u64::from(route.metric),
            )
        })
        .collect();
    shown.sort();
    mine.sort();
    assert_eq!(mine, shown);

    let left = netlink.link("left").unwrap().unwrap().index;
    let default = listed
        .iter()
        .find(|route| route.table == 254 && route.destination.prefix_len() == 0)
        .unwrap();
    assert_eq!(default.gateway, Some(addr("10.9.0.254")));
    assert_eq!(
        (default.link, default.metric, default.protocol),
        (Some(left), 50, 16)
    );
    let other = listed.iter().find(|route| route.table == 300).unwrap();
    assert_eq!((other.scope, other.source), (253, Some(addr("10.9.0.1"))));
    let hops: Vec<_> = listed
        .iter()
        .filter(|route| route.destination == witness::net("10.40.0.0/16"))
        .map(|route| (route.gateway, route.onlink))
        .collect();
    assert_eq!(
        hops,
        [
            (Some(addr("10.9.0.2")), false),
            (Some(addr("10.77.0.1")), true)
        ]
    );
    let nowhere = listed.iter().find(|route| route.kind == 7).unwrap();
    assert_eq!((nowhere.link, nowhere.gateway), (None, None));
}

#[test]
fn neighbours_are_those_that_ip_shows() {
    let Some((_machine, netlink)) = machine() else {
        return;
    };
    pair(&netlink);
    lab::run("ip", &["address", "add", "10.9.0.1/24", "dev", "left"]);
    for arguments in [
        "add 10.9.0.5 lladdr 02:00:00:00:00:05 nud permanent dev left",
        "add 10.9.0.6 lladdr 02:00:00:00:00:06 nud stale dev left",
        "add 2001:db8::7 lladdr 02:00:00:00:00:07 nud permanent router dev right",
    ] {
        let all: Vec<_> = std::iter::once("neigh")
            .chain(arguments.split(' '))
            .collect();
        lab::run("ip", &all);
    }
    let listed = netlink.neighbours().unwrap();
    let listed: Vec<_> = listed
        .into_iter()
        .filter(|neighbour| neighbour.state != NeighbourState::Noarp)
        .collect();
    let shown = ip(&["neigh", "show"]);
    let shown = shown.as_array().unwrap();
    assert_eq!(listed.len(), shown.len());
    for neighbour in &listed {
        let address = neighbour.address.to_string();
        let shown = shown
            .iter()
            .find(|shown| shown["dst"] == address.as_str())
            .unwrap();
        assert_eq!(neighbour.state.word(), shown["state"][0]);
        let mac = neighbour
            .mac
            .map(|mac| mac.map(|byte| format!("{byte:02x}")).join(":"));
        assert_eq!(mac.as_deref(), shown["lladdr"].as_str());
        // `ip` writes null for yes.
        assert_eq!(neighbour.router, shown.get("router").is_some());
    }
}
