//! Links, against the kernel in a network namespace of its own.
#![allow(clippy::unwrap_used)]

mod witness;

use netlink::Error;
use witness::{PATIENCE, ip, machine, net, pair};

#[test]
fn links_are_those_that_ip_shows() {
    let Some((_machine, netlink)) = machine() else {
        return;
    };
    let (left, right) = pair(&netlink);
    lab::run("ip", &["link", "add", "br0", "type", "bridge"]);
    lab::run("ip", &["link", "set", "left", "master", "br0"]);
    lab::run(
        "ip",
        &["link", "set", "left", "mtu", "1400", "promisc", "on"],
    );
    netlink.set_alias(left.index, "ours: left").unwrap();

    let shown = ip(&["link", "show"]);
    let links = netlink.links().unwrap();
    assert_eq!(links.len(), shown.as_array().unwrap().len());
    for (link, shown) in links.iter().zip(shown.as_array().unwrap()) {
        assert_eq!(link.index, shown["ifindex"]);
        assert_eq!(link.name, *shown["ifname"].as_str().unwrap());
        assert_eq!(link.mtu, shown["mtu"]);
        assert_eq!(link.alias.as_deref(), shown["ifalias"].as_str());
        assert_eq!(
            link.kind.as_deref(),
            shown["linkinfo"]["info_kind"].as_str()
        );
        let flags = shown["flags"].as_array().unwrap();
        assert_eq!(link.up, flags.contains(&"UP".into()));
        assert_eq!(link.carrier, flags.contains(&"LOWER_UP".into()));
        assert_eq!(link.promiscuous, flags.contains(&"PROMISC".into()));
        let mac = link
            .mac
            .unwrap()
            .map(|byte| format!("{byte:02x}"))
            .join(":");
        assert_eq!(mac, *shown["address"].as_str().unwrap());
    }
    let left = netlink.link("left").unwrap().unwrap();
    let bridge = netlink.link("br0").unwrap().unwrap();
    assert_eq!(left.controller, Some(bridge.index));
    assert_eq!(left.peer, Some(right.index));
    assert_eq!(left.kind.as_deref(), Some("veth"));
    assert_eq!(left.mtu, 1400);
    assert!(left.up && left.carrier && left.promiscuous);
    assert!(!right.promiscuous);
}

#[test]
fn a_link_goes_up_down_and_away() {
    let Some((_machine, netlink)) = machine() else {
        return;
    };
    let (left, _) = pair(&netlink);
    netlink.set_down(left.index).unwrap();
    assert!(!netlink.link("left").unwrap().unwrap().up);
    assert_eq!(ip(&["link", "show", "left"])[0]["operstate"], "DOWN");

    netlink.set_alias(left.index, "words").unwrap();
    netlink.set_alias(left.index, "").unwrap();
    assert_eq!(
        ip(&["link", "show", "left"])[0]["ifalias"]
            .as_str()
            .unwrap_or_default(),
        ""
    );
    assert_eq!(netlink.link("left").unwrap().unwrap().alias, None);

    netlink.delete_link(left.index).unwrap();
    netlink.delete_link(left.index).unwrap();
    assert_eq!(netlink.link("right").unwrap(), None);
    assert_eq!(netlink.link("a name that no link has").unwrap(), None);
    assert!(
        !lab::output("ip", &["link", "show", "left"])
            .status
            .success()
    );
    let error = netlink.set_up(left.index).unwrap_err();
    assert_eq!(error.errno(), Some(rustix::io::Errno::NODEV));
}

#[test]
fn a_pair_is_made_once_and_never_of_foreign_ends() {
    let Some((_machine, netlink)) = machine() else {
        return;
    };
    let (left, right) = pair(&netlink);
    netlink.create_veth("left", "right").unwrap();
    netlink.create_veth("right", "left").unwrap();
    assert_eq!(netlink.link("left").unwrap().unwrap().index, left.index);
    assert_eq!(netlink.link("right").unwrap().unwrap().index, right.index);

    for (one, other) in [("left", "third"), ("third", "left"), ("lo", "left")] {
        let error = netlink.create_veth(one, other).unwrap_err();
        assert_eq!(error.errno(), Some(rustix::io::Errno::EXIST), "{error}");
    }
    assert_eq!(netlink.link("third").unwrap(), None);
    let error = netlink.create_veth("left", "sixteen-bytes-xx").unwrap_err();
    assert!(matches!(error, Error::Name(name) if name == "sixteen-bytes-xx"));
}

#[test]
fn the_other_end_in_another_namespace_is_no_peer_here() {
    let Some((_machine, netlink)) = machine() else {
        return;
    };
    let (_, right) = pair(&netlink);
    let mut other = std::process::Command::new("unshare")
        .args(["--net", "sleep", "60"])
        .spawn()
        .unwrap();
    let pid = other.id().to_string();
    let ours = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
    lab::wait_for("another namespace", PATIENCE, || {
        let theirs = std::fs::read_link(format!("/proc/{pid}/ns/net")).ok()?;
        (theirs != ours).then_some(())
    });
    lab::run("ip", &["link", "set", "left", "netns", &pid]);
    let here = netlink.link("right").unwrap().unwrap();
    assert_eq!((here.index, here.peer), (right.index, None));
    assert!(!here.carrier);
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn many_links_are_listed_while_others_come_and_go() {
    let Some((_machine, netlink)) = machine() else {
        return;
    };
    for n in 0..150 {
        netlink
            .create_veth(&format!("a{n}"), &format!("b{n}"))
            .unwrap();
    }
    std::thread::scope(|scope| {
        let churn = scope.spawn(|| {
            for n in 0..60 {
                netlink.create_veth("here", "there").unwrap();
                let index = netlink.link("here").unwrap().unwrap().index;
                netlink
                    .add_address(index, net(&format!("10.200.{n}.1/24")))
                    .unwrap();
                netlink.delete_link(index).unwrap();
            }
        });
        while !churn.is_finished() {
            let links = netlink.links().unwrap();
            let kept = links
                .iter()
                .filter(|link| link.name.starts_with(['a', 'b']))
                .count();
            assert_eq!(kept, 300);
        }
        churn.join().unwrap();
    });
    assert_eq!(netlink.links().unwrap().len(), 301);
}
