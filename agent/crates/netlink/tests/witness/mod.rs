//! A machine to talk to the kernel of, and `ip` as the witness of what was said.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use lab::Machine;
use netlink::{Link, Netlink};
use serde_json::Value;

/// How long the kernel may take over what it does by itself.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn machine() -> Option<(Machine, Netlink)> {
    let machine = Machine::new("needs root for a network namespace")?;
    let netlink = Netlink::open().unwrap();
    Some((machine, netlink))
}

/// What `ip -j ARGUMENTS` prints; nothing is an empty list to it.
pub fn ip(arguments: &[&str]) -> Value {
    let all: Vec<&str> = [&["-j", "-d"], arguments].concat();
    let text = lab::run("ip", &all);
    if text.trim().is_empty() {
        return Value::Array(Vec::new());
    }
    serde_json::from_str(&text).unwrap()
}

pub fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

pub fn addr(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn pair(netlink: &Netlink) -> (Link, Link) {
    // Else the kernel adds addresses of its own as soon as it has found the carrier, which is at any time.
    std::fs::write("/proc/sys/net/ipv6/conf/default/addr_gen_mode", "1").unwrap();
    netlink.create_veth("left", "right").unwrap();
    let left = netlink.link("left").unwrap().unwrap();
    let right = netlink.link("right").unwrap().unwrap();
    netlink.set_up(left.index).unwrap();
    netlink.set_up(right.index).unwrap();
    // It adds routes for multicast then, however that is set.
    lab::wait_for("the carrier", PATIENCE, || {
        let up = |name| ip(&["link", "show", name])[0]["operstate"] == "UP";
        (up("left") && up("right")).then_some(())
    });
    (left, right)
}
