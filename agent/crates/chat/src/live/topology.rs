//! What is connected to what: the host, its bridges and their ports, containers, the mesh, and the way out.

use std::collections::BTreeMap;

use api::Client;
use declaration::{ContainerName, Network};
use serde_json::{Value, json};

use super::told;
use crate::speaker::Speaker;

/// How many nodes are drawn.
const NODES: usize = 500;
/// The hops of the privacy router's chain, in the order in which packets of its users pass them: port and name. The
/// names of the ports are those that the privacy router has unless they are declared.
const CHAIN: [(&str, &str); 3] = [
    ("priv_wg", "WireGuard"),
    ("priv_xray", "Xray"),
    ("priv_warp", "WARP"),
];

/// What tools say.
#[derive(Default)]
struct Seen {
    host: Value,
    containers: Value,
    bridges: Value,
    ports: Value,
    interfaces: Value,
    links: Value,
    routes: Value,
    peers: Value,
}

pub(super) async fn ask(client: &Client, speaker: &Speaker) -> Result<Value, api::Error> {
    let all = || json!({ "limit": 1000 });
    let listed = speaker.call("container_list", all());
    let (host, containers, bridges, ports, interfaces, links, routes, peers) = tokio::join!(
        told(client, speaker, "host_info", json!({})),
        client.call(&listed, |_| {}),
        told(client, speaker, "ovs_list_bridges", all()),
        told(client, speaker, "ovs_list_ports", all()),
        told(client, speaker, "ovs_list_interfaces", all()),
        told(client, speaker, "net_list_links", all()),
        told(client, speaker, "net_list_routes", all()),
        told(client, speaker, "net_list_peers", all()),
    );
    let containers = match containers {
        // Who may not look sees nothing; a host without containers still has a network.
        Err(error)
            if !matches!(
                error.code(),
                Some(api::Code::Unavailable | api::Code::Failed)
            ) =>
        {
            return Err(error);
        }
        containers => containers.unwrap_or_default(),
    };
    Ok(draw(&Seen {
        host,
        containers,
        bridges,
        ports,
        interfaces,
        links,
        routes,
        peers,
    }))
}

/// Nodes and links, each in a stable order.
#[derive(Default)]
struct Drawing {
    nodes: BTreeMap<String, Value>,
    links: BTreeMap<(String, String), Value>,
}

impl Drawing {
    fn node(&mut self, id: &str, kind: &str, label: &str, state: &str, detail: Value) {
        if self.nodes.len() < NODES {
            let node =
                json!({ "id": id, "kind": kind, "label": label, "state": state, "detail": detail });
            self.nodes.insert(id.to_owned(), node);
        }
    }

    fn link(&mut self, from: &str, to: &str, kind: &str, label: Option<&str>) {
        let mut link = json!({ "from": from, "to": to, "kind": kind });
        if let Some(label) = label {
            link["label"] = json!(label);
        }
        self.links.insert((from.to_owned(), to.to_owned()), link);
    }

    fn has(&self, id: &str) -> bool {
        self.nodes.contains_key(id)
    }

    /// Links lead from a node to a node.
    fn done(mut self) -> Value {
        let nodes = std::mem::take(&mut self.nodes);
        self.links
            .retain(|(from, to), _| nodes.contains_key(from) && nodes.contains_key(to));
        json!({
            "nodes": nodes.into_values().collect::<Vec<_>>(),
            "links": self.links.into_values().collect::<Vec<_>>(),
        })
    }
}

fn items<'a>(answer: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    answer[key].as_array().into_iter().flatten()
}

fn text<'a>(item: &'a Value, key: &str) -> &'a str {
    item[key].as_str().unwrap_or_default()
}

fn draw(seen: &Seen) -> Value {
    let mut drawing = Drawing::default();
    let name = seen.host["kernel_hostname"].as_str();
    let name = name.filter(|name| !name.is_empty());
    drawing.node(
        "host",
        "host",
        name.unwrap_or("This host"),
        "up",
        Value::Null,
    );
    switch(&mut drawing, seen);
    containers(&mut drawing, seen);
    ways_out(&mut drawing, seen);
    mesh(&mut drawing, seen);
    chain(&mut drawing);
    drawing.done()
}

fn switch(drawing: &mut Drawing, seen: &Seen) {
    for bridge in items(&seen.bridges, "bridges") {
        let name = text(bridge, "name");
        let id = format!("bridge:{name}");
        let detail =
            json!({ "datapath": bridge["datapath_type"], "fail_mode": bridge["fail_mode"] });
        drawing.node(&id, "bridge", name, "up", detail);
        drawing.link("host", &id, "bridge", None);
    }
    for port in items(&seen.ports, "ports") {
        let (name, bridge) = (text(port, "name"), text(port, "bridge"));
        if name == bridge {
            continue;
        }
        let interface =
            items(&seen.interfaces, "interfaces").find(|interface| text(interface, "port") == name);
        let state = match interface {
            Some(interface) if !interface["error"].is_null() && interface["error"] != "" => "error",
            Some(interface) => interface["link_state"].as_str().unwrap_or("unknown"),
            None => "unknown",
        };
        let id = format!("port:{name}");
        drawing.node(
            &id,
            "port",
            name,
            state,
            json!({ "bridge": bridge, "tag": port["tag"] }),
        );
        drawing.link(&format!("bridge:{bridge}"), &id, "port", None);
    }
}

fn containers(drawing: &mut Drawing, seen: &Seen) {
    for container in items(&seen.containers, "containers") {
        let (name, state) = (text(container, "name"), &container["state"]);
        let id = format!("container:{name}");
        let detail = json!({
            "template": state["template"], "network": state["network"], "address": state["address"],
            "made_by": container["made_by"],
        });
        let running = if state["running"] == true {
            "running"
        } else {
            "stopped"
        };
        drawing.node(&id, "container", name, running, detail);
        let mut ports = ports_of(name)
            .into_iter()
            .map(|port| format!("port:{port}"));
        let port = ports.find(|port| drawing.has(port));
        let bridge = format!("bridge:{}", text(state, "bridge"));
        match port {
            Some(port) => drawing.link(&port, &id, text(state, "network"), None),
            // Who does not run has no port.
            None if drawing.has(&bridge) => {
                drawing.link(&bridge, &id, text(state, "network"), None)
            }
            None => drawing.link("host", &id, "none", None),
        }
    }
}

/// The names that a container's port may have: a long name has a port that does not show it.
fn ports_of(name: &str) -> Vec<String> {
    let Ok(name) = name.parse::<ContainerName>() else {
        return Vec::new();
    };
    let ports = [Network::Socket, Network::Mesh].map(|network| name.port(network));
    ports
        .into_iter()
        .flatten()
        .map(|port| port.to_string())
        .collect()
}

/// The links with a default route, and the ports of bridges that are hardware.
fn ways_out(drawing: &mut Drawing, seen: &Seen) {
    let out = |name: &str| {
        items(&seen.routes, "routes").any(|route| {
            matches!(text(route, "destination"), "default" | "0.0.0.0/0" | "::/0")
                && text(route, "link") == name
        })
    };
    for link in items(&seen.links, "links") {
        let name = text(link, "name");
        let (hardware, leads) = (link["kind"].is_null() && name != "lo", out(name));
        if !hardware && !leads {
            continue;
        }
        let id = format!("uplink:{name}");
        let bridge = format!("bridge:{name}");
        let from = match (drawing.has(&format!("port:{name}")), drawing.has(&bridge)) {
            (true, _) => format!("port:{name}"),
            (_, true) => bridge,
            _ => "host".to_owned(),
        };
        let state = if link["carrier"] == true {
            "up"
        } else {
            "down"
        };
        drawing.node(
            &id,
            "uplink",
            name,
            state,
            json!({ "mac": link["mac"], "mtu": link["mtu"], "kind": link["kind"] }),
        );
        drawing.link(&from, &id, "uplink", None);
        if leads {
            drawing.node("internet", "internet", "Internet", "up", Value::Null);
            drawing.link(&id, "internet", "route", Some("default route"));
        }
    }
}

/// Links of WireGuard, and who is behind them. Those of a program in user space are known by their peers alone.
fn mesh(drawing: &mut Drawing, seen: &Seen) {
    let peers = |name: &str| {
        let name = name.to_owned();
        items(&seen.peers, "peers").filter(move |peer| text(peer, "link") == name)
    };
    for link in items(&seen.links, "links") {
        let name = text(link, "name");
        if link["kind"] != "wireguard" && peers(name).next().is_none() {
            continue;
        }
        let mesh = format!("mesh:{name}");
        let state = if link["up"] == true { "up" } else { "down" };
        drawing.node(&mesh, "tunnel", name, state, json!({ "mtu": link["mtu"] }));
        let port = format!("port:{name}");
        let from = if drawing.has(&port) {
            port
        } else {
            "host".to_owned()
        };
        drawing.link(&from, &mesh, "mesh", None);
        for peer in peers(name) {
            let key = text(peer, "public_key");
            let id = format!("peer:{name}:{key}");
            // People know a peer by its address; what was sent changes too often to be told to all who look.
            let label = peer["allowed_addresses"][0].as_str().unwrap_or(key);
            let detail = json!({
                "public_key": key, "endpoint": peer["endpoint"], "allowed": peer["allowed_addresses"],
                "last_handshake": peer["last_handshake"],
            });
            drawing.node(&id, "peer", label, text(peer, "state"), detail);
            drawing.link(&mesh, &id, "peer", None);
        }
    }
}

/// The privacy router's hops, where all of them are there.
fn chain(drawing: &mut Drawing) {
    if !CHAIN
        .iter()
        .all(|(port, _)| drawing.has(&format!("port:{port}")))
    {
        return;
    }
    let mut before: Option<String> = None;
    for (port, label) in CHAIN {
        let (port, id) = (format!("port:{port}"), format!("hop:{port}"));
        let state = drawing.nodes[&port]["state"]
            .as_str()
            .unwrap_or("unknown")
            .to_owned();
        drawing.node(&id, "hop", label, &state, json!({ "port": port }));
        drawing.link(&port, &id, "privacy", None);
        if let Some(before) = before {
            drawing.link(&before, &id, "privacy", Some("privacy chain"));
        }
        before = Some(id);
    }
    if let Some(last) = before {
        drawing.node("internet", "internet", "Internet", "up", Value::Null);
        drawing.link(&last, "internet", "privacy", Some("privacy chain"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_house_is_drawn() {
        let long: ContainerName = "a-name-that-is-long".parse().unwrap();
        let long_port = long.port(Network::Socket).unwrap().to_string();
        let seen = Seen {
            host: json!({ "kernel_hostname": "edge-01" }),
            containers: json!({ "containers": [
                { "name": long.to_string(), "state": { "running": true, "network": "socket", "bridge": "br0" } },
                { "name": "web-01", "made_by": "command", "state": { "running": true, "network": "socket", "bridge": "br0" } },
                { "name": "a-very-long-name", "made_by": "declaration", "state": { "running": false, "network": "socket", "bridge": "br0" } },
            ]}),
            bridges: json!({ "bridges": [{ "name": "br0", "datapath_type": "netdev" }] }),
            ports: json!({ "ports": [{ "name": "br0", "bridge": "br0" }, { "name": "sock_web-01", "bridge": "br0" },
                { "name": long_port, "bridge": "br0" }, { "name": "eth0", "bridge": "br0" }] }),
            interfaces: json!({ "interfaces": [{ "port": "sock_web-01", "link_state": "up" }] }),
            links: json!({ "links": [
                { "name": "lo", "kind": null }, { "name": "eth0", "kind": null, "carrier": true },
                { "name": "nm0", "kind": "wireguard", "up": true }, { "name": "br0", "kind": "tun", "carrier": true },
                { "name": "wg0", "kind": "tun", "up": false },
            ]}),
            routes: json!({ "routes": [{ "destination": "default", "link": "br0" }] }),
            peers: json!({ "peers": [
                { "link": "nm0", "public_key": "A=", "state": "connected", "allowed_addresses": ["10.9.0.7/32", "10.8.0.0/16"] },
                { "link": "wg0", "public_key": "B=", "state": "unreached", "allowed_addresses": [] },
            ]}),
        };
        let drawn = draw(&seen);
        let link = |from: &str, to: &str| {
            items(&drawn, "links").any(|link| link["from"] == from && link["to"] == to)
        };
        for (from, to) in [
            ("host", "bridge:br0"),
            ("bridge:br0", "port:sock_web-01"),
            ("port:sock_web-01", "container:web-01"),
            ("bridge:br0", "container:a-very-long-name"),
            (
                &format!("port:{long_port}"),
                "container:a-name-that-is-long",
            ),
            ("port:eth0", "uplink:eth0"),
            ("uplink:br0", "internet"),
            ("host", "mesh:nm0"),
            ("mesh:nm0", "peer:nm0:A="),
            ("host", "mesh:wg0"),
            ("mesh:wg0", "peer:wg0:B="),
        ] {
            assert!(link(from, to), "{from} → {to}: {drawn:#}");
        }
        for (id, label, state) in [
            ("host", "edge-01", "up"),
            ("mesh:nm0", "nm0", "up"),
            ("peer:nm0:A=", "10.9.0.7/32", "connected"),
            ("peer:wg0:B=", "B=", "unreached"),
        ] {
            let node = items(&drawn, "nodes")
                .find(|node| node["id"] == id)
                .unwrap();
            assert_eq!(
                (&node["label"], &node["state"]),
                (&json!(label), &json!(state))
            );
        }
        assert!(
            !items(&drawn, "nodes")
                .any(|node| node["id"] == "uplink:lo" || node["id"] == "port:br0")
        );
    }

    #[test]
    fn the_chain_is_drawn_where_all_of_it_is_there() {
        let ports: Vec<_> = CHAIN
            .iter()
            .map(|(port, _)| json!({ "name": port, "bridge": "b" }))
            .collect();
        let bridges = json!({ "bridges": [{ "name": "b" }] });
        let all = draw(&Seen {
            bridges: bridges.clone(),
            ports: json!({ "ports": ports }),
            ..Seen::default()
        });
        assert!(
            items(&all, "links").any(|link| link["to"] == "internet" && link["kind"] == "privacy")
        );
        let some = draw(&Seen {
            bridges,
            ports: json!({ "ports": ports[..2] }),
            ..Seen::default()
        });
        assert!(!items(&some, "nodes").any(|node| node["kind"] == "hop"));
    }

    #[test]
    fn a_host_that_says_nothing_is_a_host() {
        let nothing = draw(&Seen::default());
        assert_eq!(items(&nothing, "nodes").count(), 1);
        assert_eq!(nothing["nodes"][0]["label"], "This host");
    }
}
