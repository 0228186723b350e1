//! Good documents, made at random, with references that hold.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

/// A whole good document.
pub(crate) fn document() -> impl Strategy<Value = Value> {
    (0..4usize, 0..6usize).prop_flat_map(|(bridges, containers)| {
        let templates = template_map();
        (
            btrfs(),
            ovs(bridges),
            openflow(bridges, containers),
            (templates, container_map(bridges, containers)),
            select(vec![json!("1.0"), json!("1"), json!(1)]),
        )
            .prop_map(|(btrfs, ovs, openflow, (templates, containers), version)| {
                json!({
                    "version": version,
                    "plugins": {
                        "btrfs": btrfs,
                        "ovs": { "bridges": ovs },
                        "openflow": { "bridges": openflow },
                        "lxc": { "templates": templates, "containers": containers },
                    },
                })
            })
    })
}

fn btrfs() -> impl Strategy<Value = Value> {
    let base = select(vec![
        json!("/var/lib/op-dbus"),
        json!({ "path": "/srv/op dbus/" }),
        json!({ "path": "/srv", "image": "/images/op.img", "size": "8GiB" }),
        json!({ "image": "/images/op.img", "size": 128 }),
        json!({ "image": null, "size": null }),
    ]);
    let compression = select(vec![
        json!("none"),
        json!("lzo"),
        json!("zlib:9"),
        json!("zstd"),
        json!("zstd:15"),
        json!(null),
    ]);
    let subvolume = record(vec![
        ("compression", compression.boxed()),
        ("adopt", flag().boxed()),
    ]);
    let name = select(vec!["@cache", "@containers", "@data", "@a.b-c_d", "@9"]);
    let subvolumes = proptest::collection::btree_map(name, subvolume, 0..4);
    record(vec![
        ("base", base.boxed()),
        ("subvolumes", subvolumes.prop_map(|map| json!(map)).boxed()),
    ])
}

fn ovs(bridges: usize) -> impl Strategy<Value = Value> {
    let bridge = |index: usize| {
        let port = select(vec![
            json!({}),
            json!({ "type": "internal", "tag": 4094 }),
            json!({ "type": "veth", "peer": format!("peer{index}"), "adopt": true }),
            json!({ "type": "system", "tag": null, "peer": null }),
        ]);
        record(vec![
            (
                "datapath",
                select(vec![json!("system"), json!("netdev")]).boxed(),
            ),
            (
                "fail_mode",
                select(vec![json!("standalone"), json!("secure")]).boxed(),
            ),
            ("uplinks", Just(json!([format!("eth{index}")])).boxed()),
            (
                "addresses",
                Just(json!([
                    format!("10.{index}.0.1/16"),
                    format!("fd00:{index}::1/64")
                ]))
                .boxed(),
            ),
            ("adopt", flag().boxed()),
        ])
        .prop_flat_map(move |bridge| {
            port.clone().prop_map(move |port| {
                let mut bridge = bridge.clone();
                bridge["ports"] = json!({ format!("port{index}"): port });
                bridge
            })
        })
        .boxed()
    };
    named("br", bridges, bridge)
}

fn openflow(bridges: usize, containers: usize) -> impl Strategy<Value = Value> {
    let tables = move |index: usize| {
        let mut ports = vec![format!("port{index}"), format!("br{index}")];
        ports.extend(
            (0..containers)
                .filter(|container| Some(index) == bridge_of(*container, bridges))
                .map(|container| format!("sock_c{container}")),
        );
        let flows = proptest::collection::vec(flow(ports), 0..6).prop_map(|flows| {
            // The priority tells flows of the same match apart.
            let flows = flows.into_iter().enumerate().map(|(number, mut flow)| {
                flow["priority"] = json!(number);
                flow
            });
            flows.collect::<Value>()
        });
        record(vec![
            ("standard_tables", flag().boxed()),
            (
                "mesh",
                Just(json!({ "prefix": "10.200.0.0/16", "port": format!("port{index}") })).boxed(),
            ),
            ("flows", flows.boxed()),
        ])
        .boxed()
    };
    named("br", bridges, tables)
}

fn flow(ports: Vec<String>) -> impl Strategy<Value = Value> {
    let port = select(ports);
    let ethernet = record(vec![
        ("in_port", port.clone().prop_map(Value::from).boxed()),
        ("eth_src", Just(json!("02:aB:00:00:00:ff")).boxed()),
        ("eth_dst", Just(json!("ff:ff:ff:ff:ff:ff")).boxed()),
        ("vlan", (1..=4094u16).prop_map(Value::from).boxed()),
    ]);
    let rest = select(vec![
        json!({}),
        json!({ "eth_type": 0x88cc }),
        json!({ "eth_type": "arp", "arp_tpa": "10.0.0.1" }),
        json!({ "ip_src": "10.0.0.0/8", "ip_dst": "10.0.0.1" }),
        json!({ "ip_dst": "::/0", "ip_proto": "icmpv6" }),
        json!({ "eth_type": "ip", "ip_proto": 6, "tcp_src": 0, "tcp_dst": 65535 }),
        json!({ "ip_src": "fd00::1/128", "ip_proto": "udp", "udp_src": 1, "udp_dst": 2 }),
    ]);
    let action = prop_oneof![
        select(vec![
            json!("normal"),
            json!("local"),
            json!("flood"),
            json!("pop_vlan")
        ]),
        port.prop_map(|port| json!({ "output": port })),
        Just(json!({ "set_eth_dst": "02:00:00:00:00:01" })),
        Just(json!({ "push_vlan": 7 })),
    ];
    let actions = prop_oneof![
        Just(json!(["drop"])),
        (proptest::collection::vec(action, 0..4), 101..=254u8).prop_map(|(mut actions, table)| {
            actions.push(json!({ "goto": table }));
            actions.into()
        }),
    ];
    (ethernet, rest, actions, 0..=100u8).prop_map(|(mut matches, rest, actions, table)| {
        let matches_too = matches.as_object_mut().unwrap();
        matches_too.extend(rest.as_object().unwrap().clone());
        json!({ "table": table, "match": matches, "actions": actions })
    })
}

fn template_map() -> impl Strategy<Value = Value> {
    let recipe = select(vec![
        json!({ "recipe": "busybox" }),
        json!({ "recipe": "debian", "suite": "trixie", "packages": ["g++", "a2"] }),
        json!({ "recipe": "ubuntu", "mirror": "http://mirror.example/ubuntu", "adopt": true }),
        json!({ "recipe": "tarball", "path": "/t.tar", "sha256": "Ab".repeat(32) }),
    ]);
    recipe.prop_map(|recipe| json!({ "base": recipe }))
}

fn bridge_of(container: usize, bridges: usize) -> Option<usize> {
    (bridges > 0).then(|| container % bridges)
}

fn container_map(bridges: usize, containers: usize) -> impl Strategy<Value = Value> {
    let container = move |index: usize| {
        let after: Vec<_> = (0..index).map(|other| format!("c{other}")).collect();
        let size = select(vec![
            json!(4),
            json!("2048"),
            json!("1 TiB"),
            json!("512M"),
            json!("8388608KiB"),
        ]);
        record(vec![
            ("running", flag().boxed()),
            ("cores", (1..=8192u32).prop_map(Value::from).boxed()),
            ("memory", size.clone().boxed()),
            ("swap", size.boxed()),
            ("unprivileged", flag().boxed()),
            ("autostart", flag().boxed()),
            ("adopt", flag().boxed()),
            (
                "after",
                subsequence(after.clone(), 0..=after.len())
                    .prop_map(Value::from)
                    .boxed(),
            ),
        ])
        .prop_map(move |mut container| {
            container["template"] = json!("base");
            match bridge_of(index, bridges) {
                None => container["network"] = json!("none"),
                Some(bridge) => {
                    container["network"] = json!("socket");
                    container["bridge"] = json!(format!("br{bridge}"));
                    container["address"] = json!(format!("10.{bridge}.7.{index}/16"));
                    container["gateway"] = json!(format!("10.{bridge}.0.1"));
                }
            }
            container
        })
        .boxed()
    };
    named("c", containers, container)
}

/// A map with the keys `NAME0`, `NAME1` and so on.
fn named(
    name: &'static str,
    count: usize,
    value: impl Fn(usize) -> BoxedStrategy<Value>,
) -> impl Strategy<Value = Value> {
    let values: Vec<_> = (0..count).map(value).collect();
    values.prop_map(move |values| {
        let entries = values.into_iter().enumerate();
        entries
            .map(|(index, value)| (format!("{name}{index}"), value))
            .collect::<Map<_, _>>()
            .into()
    })
}

/// A map with some of the keys.
fn record(
    fields: Vec<(&'static str, BoxedStrategy<Value>)>,
) -> impl Strategy<Value = Value> + Clone {
    let fields: Vec<_> = fields
        .into_iter()
        .map(|(key, value)| {
            proptest::option::of(value)
                .prop_map(move |value| Some((key.to_owned(), value?)))
                .boxed()
        })
        .collect();
    fields.prop_map(|fields| fields.into_iter().flatten().collect::<Map<_, _>>().into())
}

fn flag() -> impl Strategy<Value = Value> {
    any::<bool>().prop_map(Value::from)
}
