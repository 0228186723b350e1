//! Links of a machine.

use crate::run;

/// Two links that are the two ends of one cable; both are down.
pub fn veth(name: &str, peer: &str) {
    run(
        "ip",
        &["link", "add", name, "type", "veth", "peer", "name", peer],
    );
}

/// A network card `eth0` with an address and the default route, as a host has it; its cable ends at `cable`.
pub fn plug_in() {
    veth("eth0", "cable");
    for link in ["eth0", "cable"] {
        run("ip", &["link", "set", link, "up"]);
    }
    run("ip", &["addr", "add", "192.0.2.10/24", "dev", "eth0"]);
    run("ip", &["route", "add", "default", "via", "192.0.2.1"]);
}
