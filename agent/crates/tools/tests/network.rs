//! Links, addresses, routes, neighbours and peers, with `ip -json` as the witness.
#![allow(clippy::unwrap_used)]

mod fixture;

use std::time::Duration;

use fixture::{call, item, registry, texts};
use serde_json::{Value, json};
use tools::{Registry, Role, ToolError};

/// How long the kernel may take over what it does by itself.
const PATIENCE: Duration = Duration::from_secs(60);

fn ip(arguments: &str) -> Value {
    let all: Vec<_> = ["-json", "-details"]
        .into_iter()
        .chain(arguments.split(' '))
        .collect();
    serde_json::from_str(&lab::run("ip", &all)).unwrap()
}

fn machine() -> Option<(lab::Machine, Registry)> {
    let machine = lab::Machine::new("needs root for a network namespace")?;
    for arguments in [
        "link add left type veth peer name right",
        "link add br0 type bridge",
        "link set left master br0 up",
        "link set right up",
        "link set br0 up",
        "address add 10.9.0.1/24 dev br0",
        "address add 2001:db8::1/64 dev br0 nodad",
        "route add default via 10.9.0.254 metric 7",
        "route add 10.20.0.0/16 dev right table 300",
        "route add blackhole 10.30.0.0/16",
        "neigh add 10.9.0.5 lladdr 02:00:00:00:00:05 nud permanent dev br0",
        "neigh add 2001:db8::5 lladdr 02:00:00:00:00:06 nud stale dev br0",
    ] {
        lab::run("ip", &arguments.split(' ').collect::<Vec<_>>());
    }
    let registry = registry(machine.dir(), "");
    Some((machine, registry))
}

#[test]
fn links_are_those_that_ip_shows() {
    let Some((_machine, registry)) = machine() else {
        return;
    };
    let ask = |arguments| call(&registry, Role::Viewer, "net_list_links", arguments).unwrap();
    // Down, so that the counters stand still.
    lab::run("ip", &["link", "set", "right", "down"]);
    // The kernel takes its time over the other end, and over the bridge.
    lab::wait_for("the state", PATIENCE, || {
        let shown = ip("link show");
        let state = |name: &str| item(&shown, "ifname", name)["operstate"].clone();
        (state("left") == "LOWERLAYERDOWN" && state("br0") == "DOWN").then_some(())
    });
    let listed = ask(json!({}));
    let shown = ip("-statistics link show");
    let (listed, shown) = (
        listed["links"].as_array().unwrap(),
        shown.as_array().unwrap(),
    );
    assert_eq!(listed.len(), shown.len());
    for (link, shown) in listed.iter().zip(shown) {
        for (ours, theirs) in [
            ("name", "ifname"),
            ("index", "ifindex"),
            ("mac", "address"),
            ("mtu", "mtu"),
            ("state", "operstate"),
            ("controller", "master"),
            ("peer", "link"),
        ] {
            assert_eq!(link[ours], shown[theirs], "{ours} of {}", link["name"]);
        }
        assert_eq!(link["kind"], shown["linkinfo"]["info_kind"]);
        for (ours, direction, theirs) in [
            ("rx_packets", "rx", "packets"),
            ("tx_bytes", "tx", "bytes"),
            ("rx_dropped", "rx", "dropped"),
        ] {
            assert_eq!(
                link["statistics"][ours],
                shown["stats64"][direction][theirs]
            );
        }
    }
    assert_eq!(
        texts(&ask(json!({ "kind": "veth" }))["links"], "name"),
        ["right", "left"]
    );
    assert_eq!(
        texts(&ask(json!({ "controller": "br0" }))["links"], "name"),
        ["left"]
    );
    assert_eq!(
        texts(&ask(json!({ "link": "lo" }))["links"], "name"),
        ["lo"]
    );
}

#[test]
fn pages_cover_everything_once() {
    let Some((_machine, registry)) = machine() else {
        return;
    };
    let mut names = Vec::new();
    let mut cursor = Value::Null;
    loop {
        let mut arguments = json!({ "limit": 1 });
        if cursor.is_string() {
            arguments["cursor"] = cursor;
        }
        let page = call(&registry, Role::Viewer, "net_list_links", arguments).unwrap();
        names.extend(texts(&page["links"], "name"));
        cursor = page["next_cursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!(names, ["lo", "right", "left", "br0"]);
    for wrong in [
        json!({ "limit": 0 }),
        json!({ "cursor": "x" }),
        json!({ "colour": 1 }),
    ] {
        let error = call(&registry, Role::Viewer, "net_list_links", wrong).unwrap_err();
        assert!(matches!(error, ToolError::Invalid(_)), "{error}");
    }
}

#[test]
fn addresses_routes_and_neighbours_are_those_that_ip_shows() {
    let Some((_machine, registry)) = machine() else {
        return;
    };
    let ask = |name, arguments| call(&registry, Role::Viewer, name, arguments).unwrap();
    let listed = ask(
        "net_list_addresses",
        json!({ "link": "br0", "family": "ipv4" }),
    );
    let address = &listed["addresses"][0];
    assert_eq!(address["address"], "10.9.0.1/24");
    assert_eq!(
        (&address["scope"], &address["flags"]),
        (&json!("global"), &json!([]))
    );
    // The kernel adds addresses and routes of its own at any time.
    lab::wait_for("both to see the same", PATIENCE, || {
        let all = ask("net_list_addresses", json!({}));
        let shown = ip("address show");
        let of = |link: &Value| link["addr_info"].as_array().unwrap().len();
        let shown: usize = shown.as_array().unwrap().iter().map(of).sum();
        (all["addresses"].as_array().unwrap().len() == shown).then_some(())
    });

    let listed = ask("net_list_routes", json!({ "family": "ipv4" }));
    let routes = &listed["routes"];
    let shown = ip("-4 route show");
    assert_eq!(
        routes.as_array().unwrap().len(),
        shown.as_array().unwrap().len()
    );
    let default = item(routes, "destination", "0.0.0.0/0");
    let theirs = item(&shown, "dst", "default");
    assert_eq!(default["gateway"], theirs["gateway"]);
    assert_eq!(default["link"], theirs["dev"]);
    assert_eq!(default["metric"], theirs["metric"]);
    assert_eq!(default["protocol"], theirs["protocol"]);
    assert_eq!(default["scope"], theirs["scope"]);
    let hole = item(routes, "destination", "10.30.0.0/16");
    assert_eq!(
        (&hole["kind"], &hole["link"]),
        (&json!("blackhole"), &Value::Null)
    );
    let other = ask("net_list_routes", json!({ "table": 300 }));
    assert_eq!(texts(&other["routes"], "destination"), ["10.20.0.0/16"]);
    lab::wait_for("both to see the same", PATIENCE, || {
        let all = ask(
            "net_list_routes",
            json!({ "all_tables": true, "limit": 1000 }),
        );
        let four = ip("-4 route show table all").as_array().unwrap().len();
        let six = ip("-6 route show table all").as_array().unwrap().len();
        (all["routes"].as_array().unwrap().len() == four + six).then_some(())
    });

    let listed = ask("net_list_neighbours", json!({ "link": "br0" }));
    let shown = ip("neigh show dev br0");
    assert_eq!(
        listed["neighbours"].as_array().unwrap().len(),
        shown.as_array().unwrap().len()
    );
    for neighbour in listed["neighbours"].as_array().unwrap() {
        let theirs = item(&shown, "dst", neighbour["address"].as_str().unwrap());
        assert_eq!(neighbour["mac"], theirs["lladdr"]);
        assert_eq!(neighbour["state"], theirs["state"][0]);
    }
    let six = ask(
        "net_list_neighbours",
        json!({ "family": "ipv6", "link": "br0" }),
    );
    assert_eq!(six["neighbours"][0]["address"], "2001:db8::5");
}

#[test]
fn what_is_not_there_is_said() {
    let Some((_machine, registry)) = machine() else {
        return;
    };
    for tool in [
        "net_list_links",
        "net_list_addresses",
        "net_list_routes",
        "net_list_neighbours",
    ] {
        let error = call(&registry, Role::Viewer, tool, json!({ "link": "nolink0" })).unwrap_err();
        assert!(matches!(error, ToolError::NotFound(_)), "{error}");
        assert!(error.to_string().contains("nolink0"));
    }
    let both = json!({ "table": 300, "all_tables": true });
    let error = call(&registry, Role::Viewer, "net_list_routes", both).unwrap_err();
    assert!(matches!(error, ToolError::Invalid(_)), "{error}");
}

#[test]
fn peers_are_told_without_their_secrets() {
    let Some((machine, registry)) = machine() else {
        return;
    };
    let ask = |arguments| call(&registry, Role::Viewer, "net_list_peers", arguments);
    assert_eq!(
        ask(json!({})).unwrap(),
        json!({ "peers": [], "unreadable": [] })
    );
    let Some(mesh) = machine.mesh() else {
        return;
    };
    let link = lab::ENDS[0].0;
    let peer = || ask(json!({ "link": link })).unwrap()["peers"][0].clone();
    let quiet = json!({
        "link": link, "public_key": mesh.key(1), "state": "unreached", "endpoint": "127.0.0.1:51821",
        "allowed_addresses": ["10.8.0.2/32", "2001:db8:8::/64"], "last_handshake": null,
        "rx_bytes": 0, "tx_bytes": 0, "keepalive_seconds": null,
    });
    assert_eq!(peer(), quiet);
    mesh.speak();
    let told = lab::wait_for("a handshake", std::time::Duration::from_secs(60), || {
        Some(peer()).filter(|peer| peer["state"] == "connected" && peer["rx_bytes"] != 0)
    });
    assert!(told["last_handshake"].is_string(), "{told}");
    let all = ask(json!({})).unwrap();
    assert_eq!(texts(&all["peers"], "link"), ["nm0", "nm1"]);
    let secret = std::fs::read_to_string(machine.dir().join("nm0.key")).unwrap();
    assert!(!all.to_string().contains(secret.trim()));
    // One that cannot be read hides no other.
    lab::run("mount", &["-t", "tmpfs", "tmpfs", "/run/wireguard"]);
    let socket = std::os::unix::net::UnixListener::bind("/run/wireguard/nm1.sock").unwrap();
    let liar = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let mut line = socket.accept().unwrap().0;
        line.read_exact(&mut [0; b"get=1\n\n".len()]).unwrap();
        line.write_all(b"rubbish\n\n").unwrap();
    });
    let all = ask(json!({})).unwrap();
    liar.join().unwrap();
    assert_eq!(all["peers"], json!([]));
    let unreadable = &all["unreadable"];
    assert_eq!(texts(unreadable, "link"), ["nm1"]);
    assert!(
        unreadable[0]["error"]
            .as_str()
            .unwrap()
            .contains("without `=`")
    );
    let missing = ask(json!({ "link": "nolink0" })).unwrap_err();
    assert!(matches!(missing, ToolError::NotFound(_)), "{missing}");
}
