//! Peers of real links, with `wg show` as the witness.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, SystemTime};

use lab::{ENDS, Machine, run, skip, wait_for};
use wireguard::{Device, links};

const SOON: Duration = Duration::from_secs(60);

/// The device of that name.
fn device(name: &str) -> Device {
    let all = links().unwrap();
    let found = all.into_iter().find(|link| link.name == name);
    found.unwrap().device.unwrap()
}

/// What a device says in the form of `wg show LINK dump`, without the line of the link itself.
fn dump(device: &Device) -> Vec<Vec<String>> {
    let line = |peer: &wireguard::Peer| {
        let at = peer.last_handshake.map_or(Duration::ZERO, |at| {
            at.duration_since(SystemTime::UNIX_EPOCH).unwrap()
        });
        let mut allowed: Vec<_> = peer.allowed.iter().map(ToString::to_string).collect();
        allowed.sort();
        vec![
            peer.key.to_string(),
            peer.endpoint.unwrap().to_string(),
            allowed.join(","),
            at.as_secs().to_string(),
            peer.rx_bytes.to_string(),
            peer.tx_bytes.to_string(),
            peer.keepalive
                .map_or("off".to_owned(), |seconds| seconds.to_string()),
        ]
    };
    device.peers.iter().map(line).collect()
}

/// The same by `wg`, less the shared secret, which is not told here.
fn shown(link: &str) -> Vec<Vec<String>> {
    let text = run("wg", &["show", link, "dump"]);
    let line = |line: &str| {
        let mut fields: Vec<_> = line.split('\t').map(str::to_owned).collect();
        fields.remove(1);
        let mut allowed: Vec<_> = fields[2].split(',').collect();
        allowed.sort_unstable();
        fields[2] = allowed.join(",");
        fields
    };
    text.lines().skip(1).map(line).collect()
}

/// Between two looks of which `wg` says the same, so must this.
fn agree(link: &str) {
    wait_for("a quiet moment", SOON, || {
        let (before, told, after) = (shown(link), device(link), shown(link));
        (before == after).then(|| assert_eq!(dump(&told), before))
    });
}

#[test]
fn peers_in_user_space_are_those_that_wg_shows() {
    let Some(machine) = Machine::new("needs root for links") else {
        return;
    };
    let Some(mut mesh) = machine.mesh() else {
        return;
    };
    let (name, port) = ENDS[0];
    agree(name);
    let quiet = device(name);
    assert_eq!(quiet.port, Some(port.parse().unwrap()));
    assert_eq!(quiet.peers[0].last_handshake, None);
    assert_eq!(quiet.peers[0].key.to_string(), mesh.key(1));
    assert_eq!(quiet.peers[0].allowed.len(), 2);

    mesh.speak();
    wait_for("a handshake", SOON, || device(name).peers[0].last_handshake);
    agree(name);
    agree(ENDS[1].0);

    // With its program the link goes, whatever is left of the socket.
    mesh.kill(1);
    wait_for("the link's end", SOON, || {
        let left = links().unwrap();
        (left.len() == 1 && left[0].name == name).then_some(())
    });
}

#[test]
fn peers_of_the_kernel_are_those_that_wg_shows() {
    let Some(machine) = Machine::new("needs root for links") else {
        return;
    };
    let made = lab::output("ip", &["link", "add", "wg0", "type", "wireguard"]);
    if !made.status.success() || !lab::has("wg") {
        skip("the kernel has no WireGuard, or wg is not installed");
        return;
    }
    let file = machine.dir().join("wg0.key");
    std::fs::write(&file, run("wg", &["genkey"])).unwrap();
    let file = lab::text(&file);
    run(
        "wg",
        &["set", "wg0", "listen-port", "51820", "private-key", file],
    );
    // More than one message has room for, and a peer that goes on in the next one.
    for peer in 0..40_u16 {
        let secret = run("wg", &["genkey"]);
        let mut child = std::process::Command::new("wg");
        let key = lab::feed(child.arg("pubkey"), secret.as_bytes()).stdout;
        let key = String::from_utf8(key).unwrap();
        let endpoint = format!("192.0.2.{peer}:51820");
        let all: Vec<_> = (0..50).map(|n| format!("10.{peer}.{n}.0/24")).collect();
        let allowed = all.join(",");
        let one = ["set", "wg0", "peer", key.trim(), "endpoint", &endpoint];
        let two = ["allowed-ips", &allowed, "persistent-keepalive", "25"];
        run("wg", &[one.as_slice(), &two].concat());
    }
    agree("wg0");
    assert_eq!(device("wg0").peers.len(), 40);
}
