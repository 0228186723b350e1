//! Uplinks: what they bring to the bridge, and take back.

use lab::run;
use reconcile::{Change, Direction, Outcome, plan};

use crate::fixture::Rig;

pub(crate) const BRIDGES: &str = "{br0: {datapath: netdev, uplinks: [eth0]}}";

/// A link to somewhere, with addresses and routes.
pub(crate) fn cable() {
    for arguments in [
        "link add eth0 type veth peer name cable",
        "link set eth0 up",
        "link set cable up",
        "addr add 192.0.2.10/24 dev eth0",
        "addr add 192.0.2.11/24 dev eth0",
        "addr add 2001:db8::10/64 dev eth0 nodad",
        "route add default via 192.0.2.1 dev eth0 metric 100",
        "route add 198.51.100.0/24 via 192.0.2.2 dev eth0 src 192.0.2.11",
        "-6 route add default via 2001:db8::1 dev eth0",
    ] {
        run("ip", &arguments.split(' ').collect::<Vec<_>>());
    }
}

/// Addresses and routes of a link, without its name.
pub(crate) fn holdings(link: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for arguments in [
        &["-o", "addr", "show", "dev", link, "scope", "global"][..],
        &["route", "show", "dev", link, "proto", "boot"],
        &["-6", "route", "show", "dev", link, "proto", "boot"],
    ] {
        let output = lab::output("ip", arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        let words = |line: &str| {
            let known =
                |word: &&str| !["linkdown", "tentative", "nodad", "secondary"].contains(word);
            let line: Vec<_> = line.split_whitespace().filter(known).collect();
            line.join(" ").replace(link, "LINK")
        };
        // The first word of an address is the number of its link.
        lines.extend(text.lines().map(|line| match line.split_once(": ") {
            Some((_, rest)) => words(rest),
            None => words(line),
        }));
    }
    lines.sort();
    lines
}

#[test]
fn an_uplink_brings_its_addresses_and_routes_and_takes_them_back() {
    let Some(rig) = Rig::new() else { return };
    lab::veth("eth0", "cable");
    run("ip", &["link", "set", "eth0", "up"]);
    run("ip", &["link", "set", "cable", "up"]);
    run("ip", &["addr", "add", "192.0.2.10/24", "dev", "eth0"]);
    run(
        "ip",
        &[
            "route",
            "add",
            "default",
            "via",
            "192.0.2.1",
            "dev",
            "eth0",
            "metric",
            "100",
        ],
    );
    run(
        "ip",
        &[
            "route",
            "add",
            "198.51.100.0/24",
            "via",
            "192.0.2.2",
            "dev",
            "eth0",
        ],
    );
    let routes = || run("ip", &["route", "show", "proto", "boot"]);
    let before = routes();
    let bridges = "{br0: {datapath: netdev, uplinks: [eth0]}}";
    let first = plan(&rig.plugins(bridges)).unwrap();
    let touched: Vec<_> = first
        .changes
        .iter()
        .flat_map(|change| change.disrupts.clone())
        .collect();
    assert!(touched.contains(&"eth0".to_owned()), "{touched:?}");
    rig.apply(bridges);
    assert!(rig.link("br0").contains("192.0.2.10/24") && !rig.link("eth0").contains("192.0.2.10"));
    assert_eq!(routes(), before.replace("dev eth0", "dev br0"));
    rig.apply("{br0: {datapath: netdev}}");
    assert!(rig.link("eth0").contains("192.0.2.10/24") && !rig.link("br0").contains("192.0.2.10"));
    assert_eq!(routes(), before);
    // And with the bridge at once.
    rig.apply(bridges);
    rig.apply("{}");
    assert!(rig.link("eth0").contains("192.0.2.10/24"));
    assert_eq!(routes(), before);
    // An uplink that is not there changes nothing.
    assert!(matches!(
        rig.try_apply("{br0: {datapath: netdev, uplinks: [nonesuch]}}"),
        Outcome::RolledBack { .. }
    ));
    assert_eq!(rig.ovs.bridges(), "");
}

#[test]
fn both_families_move_with_all_their_routes() {
    let Some(rig) = Rig::new() else { return };
    cable();
    let route = "-6 route add 2001:db8:7::/48 via 2001:db8::2 dev eth0 src 2001:db8::10";
    run("ip", &route.split(' ').collect::<Vec<_>>());
    let before = holdings("eth0");
    assert_eq!(before.len(), 7, "{before:#?}");
    rig.apply(BRIDGES);
    assert_eq!(holdings("br0"), before);
    assert_eq!(holdings("eth0"), [""; 0]);
    // To another bridge, then back home.
    rig.apply("{br0: {datapath: netdev}, br1: {datapath: netdev, uplinks: [eth0]}}");
    assert_eq!(holdings("br1"), before);
    assert_eq!(holdings("br0"), [""; 0]);
    // As a plain port it keeps nothing on the bridge.
    rig.apply("{br1: {datapath: netdev, ports: {eth0: {type: system}}}}");
    assert_eq!(holdings("eth0"), before);
    assert_eq!(rig.get("port", "eth0", "external_ids"), "{op-dbus=\"1\"}");
    rig.apply("{}");
    assert_eq!(holdings("eth0"), before);
}

#[test]
fn an_interrupted_move_goes_on_or_back() {
    let Some(rig) = Rig::new() else { return };
    cable();
    let before = holdings("eth0");
    let changes = rig.plan(BRIDGES);
    let back: Vec<_> = changes.iter().rev().map(Change::inverse).collect();
    // As a crash would leave it: some of it, or all of it, is where it was.
    let interruptions: [&[&str]; 3] = [
        &[
            "addr del 192.0.2.11/24 dev br0",
            "addr add 192.0.2.11/24 dev eth0",
        ],
        &["addr add 192.0.2.10/24 dev eth0"],
        &["-6 route del default dev br0", "route del default dev br0"],
    ];
    for interruption in interruptions {
        for direction in [Direction::Forward, Direction::Undo] {
            rig.carry_out(&changes, Direction::Forward);
            for arguments in interruption {
                run("ip", &arguments.split(' ').collect::<Vec<_>>());
            }
            assert_eq!(rig.plan(BRIDGES).len(), 1, "{interruption:?}");
            if direction == Direction::Forward {
                rig.apply(BRIDGES);
                assert_eq!(holdings("br0"), before, "{interruption:?}");
                assert_eq!(holdings("eth0"), [""; 0], "{interruption:?}");
            }
            rig.carry_out(&back, Direction::Undo);
            assert_eq!(holdings("eth0"), before, "{interruption:?}");
        }
    }
}

#[test]
fn a_link_that_was_set_up_anew_brings_what_it_has_now() {
    let Some(rig) = Rig::new() else { return };
    cable();
    rig.apply(BRIDGES);
    // As after a boot: the database knows, the kernel does not, and the network has changed.
    for arguments in [
        "addr flush dev br0 scope global",
        "-6 route flush dev br0 proto boot",
        "addr add 203.0.113.5/24 dev eth0",
    ] {
        run("ip", &arguments.split(' ').collect::<Vec<_>>());
    }
    rig.apply(BRIDGES);
    assert_eq!(holdings("br0").len(), 1, "{:?}", holdings("br0"));
    assert!(rig.link("br0").contains("203.0.113.5/24"));
    rig.apply("{}");
    assert!(rig.link("eth0").contains("203.0.113.5/24"));
}

#[test]
fn an_address_that_is_declared_too_stays_with_the_bridge() {
    let Some(rig) = Rig::new() else { return };
    cable();
    let before = holdings("eth0");
    let declared =
        |rest: &str| format!("{{br0: {{datapath: netdev, addresses: [192.0.2.10/24]{rest}}}}}");
    rig.apply(&declared(", uplinks: [eth0]"));
    assert_eq!(holdings("br0"), before);
    rig.apply(BRIDGES);
    assert_eq!(holdings("br0"), before);
    rig.apply(&declared(", uplinks: [eth0]"));
    rig.apply(&declared(""));
    assert!(rig.link("br0").contains("192.0.2.10/24"));
    assert_eq!(holdings("eth0"), before);
}

#[test]
fn an_uplink_that_is_gone_can_be_given_up() {
    let Some(rig) = Rig::new() else { return };
    cable();
    rig.apply(BRIDGES);
    run("ip", &["link", "del", "eth0"]);
    rig.apply("{br0: {datapath: netdev}}");
    assert_eq!(rig.ovs.vsctl(&["list-ports", "br0"]).trim(), "");
}

#[test]
fn a_link_that_joins_a_bridge_is_disrupted_whether_it_is_an_uplink_or_not() {
    let Some(rig) = Rig::new() else { return };
    cable();
    let changes = rig.plan("{br0: {datapath: netdev, ports: {eth0: {type: system}}}}");
    let touched: Vec<_> = changes.iter().flat_map(|change| &change.disrupts).collect();
    assert_eq!(touched, ["eth0", "br0"]);
    rig.apply(BRIDGES);
    let changes = rig.plan("{br0: {datapath: netdev, fail_mode: secure, uplinks: [eth0]}}");
    assert_eq!(changes[0].disrupts, ["br0", "eth0"]);
}
