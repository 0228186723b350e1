//! Addresses, against the kernel in a network namespace of its own.
#![allow(clippy::unwrap_used)]

mod witness;

use ipnet::IpNet;
use netlink::Netlink;
use witness::{ip, machine, net, pair};

fn addresses(netlink: &Netlink, index: u32) -> Vec<IpNet> {
    let global = netlink.addresses(index).unwrap().into_iter();
    global.filter(|a| a.scope_global).map(|a| a.net).collect()
}

#[test]
fn addresses_come_and_go() {
    let Some((_machine, netlink)) = machine() else {
        return;
    };
    let (left, right) = pair(&netlink);
    // The second of a prefix is told after the first ones.
    let nets = [
        "10.1.2.3/24",
        "192.0.2.1/32",
        "10.1.2.4/24",
        "2001:db8::1/64",
    ]
    .map(net);
    for one in nets {
        netlink.add_address(left.index, one).unwrap();
        netlink.add_address(left.index, one).unwrap();
    }
    assert_eq!(addresses(&netlink, left.index), nets);
    assert_eq!(addresses(&netlink, right.index), []);
    let shown = ip(&["address", "show", "dev", "left"]);
    let shown: Vec<IpNet> = shown[0]["addr_info"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|a| a["scope"] == "global")
        .map(|a| {
            net(&format!(
                "{}/{}",
                a["local"].as_str().unwrap(),
                a["prefixlen"]
            ))
        })
        .collect();
    assert_eq!(shown, nets);

    for one in [nets[2], nets[0], nets[1]] {
        netlink.delete_address(left.index, one).unwrap();
        netlink.delete_address(left.index, one).unwrap();
    }
    assert_eq!(addresses(&netlink, left.index), nets[3..]);
    netlink.delete_address(9999, nets[0]).unwrap();
    assert!(netlink.add_address(9999, nets[0]).is_err());
}

#[test]
fn scope_and_lifetime_of_addresses_are_told() {
    let Some((_machine, netlink)) = machine() else {
        return;
    };
    let (left, _) = pair(&netlink);
    netlink
        .add_address(left.index, net("169.254.7.7/16"))
        .unwrap();
    lab::run(
        "ip",
        &[
            "address",
            "add",
            "10.7.0.1/24",
            "dev",
            "left",
            "valid_lft",
            "600",
            "preferred_lft",
            "600",
        ],
    );
    lab::run(
        "ip",
        &[
            "address",
            "add",
            "10.8.0.1",
            "peer",
            "10.8.0.2/32",
            "dev",
            "left",
        ],
    );
    let all = netlink.addresses(left.index).unwrap();
    let find = |text: &str| all.iter().find(|a| a.net == net(text)).unwrap();
    assert!(!find("169.254.7.7/16").scope_global);
    assert!(find("169.254.7.7/16").permanent);
    assert!(find("10.7.0.1/24").scope_global);
    assert!(!find("10.7.0.1/24").permanent);
    assert!(find("10.8.0.1/32").scope_global);
    let lo = netlink.link("lo").unwrap().unwrap();
    netlink.add_address(lo.index, net("127.0.0.9/8")).unwrap();
    assert!(
        netlink
            .addresses(lo.index)
            .unwrap()
            .iter()
            .all(|a| !a.scope_global)
    );
    assert!(netlink.addresses(9999).is_err());
}
