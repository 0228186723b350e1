//! How containers reach each other: through a bridge, and through Unix sockets.

use std::time::Duration;

use lab::{Ovs, run, wait_for};

use crate::fixture::{Host, said, with};

const TWO: &str = "a: {template: busybox, memory: 64MiB, address: 10.0.0.11/24, gateway: 10.0.0.1}, \
                   b: {template: busybox, memory: 64MiB, address: 10.0.0.12/24}";

/// Not a test: what LXC calls in place of the agent.
#[test]
#[ignore = "called by LXC"]
fn agent() {
    let arguments = std::env::var("ARGUMENTS").unwrap();
    let arguments: Vec<_> = arguments.split(' ').map(str::to_owned).collect();
    plugins::lxc::container_started(&arguments).unwrap();
}

/// A bridge in user space that takes the ports of the containers in when they appear.
fn bridge(host: &Host) -> Ovs {
    let ovs = host.machine.ovs();
    ovs.vsctl(&[
        "--may-exist",
        "add-br",
        "br0",
        "--",
        "set",
        "bridge",
        "br0",
        "datapath_type=netdev",
    ]);
    for port in ["sock_a", "sock_b"] {
        // The link is not there yet, and nothing waits for it.
        ovs.vsctl(&["--no-wait", "--may-exist", "add-port", "br0", port]);
    }
    ovs
}

#[test]
fn containers_reach_each_other_through_the_bridge() {
    let Some(host) = Host::new() else { return };
    let _ovs = bridge(&host);
    host.answer_lxc();
    host.apply(&with(TWO));
    wait_for("a ping from a to b", Duration::from_secs(20), || {
        let ping = host.inside("a", &["ping", "-c", "1", "-W", "1", "10.0.0.12"]);
        ping.status.success().then_some(())
    });
    // TCP needs right checksums, which nobody else computes on such a bridge.
    let serve = "mkdir /srv && echo hello from b > /srv/page && httpd -h /srv";
    host.ask("b", &["sh", "-c", serve]);
    let page = "http://10.0.0.12/page";
    let fetch = ["timeout", "60", "wget", "-q", "-O", "-", page];
    assert_eq!(host.ask("a", &fetch).trim(), "hello from b");
    // The bridge answers for the host, and not the port too.
    let setting = run("sysctl", &["-n", "net.ipv4.conf.sock_a.arp_ignore"]);
    assert_eq!(setting.trim(), "8");
}

#[test]
fn a_link_has_its_address_its_gateway_and_its_name() {
    let Some(host) = Host::new() else { return };
    host.apply(&with(TWO));
    let link = host.ask("a", &["ip", "address", "show", "dev", "eth0"]);
    let mac = declaration::wiring::mac(&"a".parse().unwrap()).to_string();
    assert!(
        link.contains(&mac) && link.contains("inet 10.0.0.11/24 "),
        "{link}"
    );
    let routes = host.ask("a", &["ip", "route"]);
    assert!(routes.contains("default via 10.0.0.1 dev eth0"), "{routes}");
    let links = run("ip", &["-o", "link"]);
    assert!(
        links.contains(": sock_a@") && links.contains(": sock_b@"),
        "{links}"
    );
    // It goes with the container.
    host.apply(&with(&TWO.replacen(
        "{template",
        "{running: false, template",
        1,
    )));
    assert!(!run("ip", &["-o", "link"]).contains(": sock_a@"));
}

#[test]
fn containers_reach_each_other_through_sockets() {
    let Some(host) = Host::new() else { return };
    host.apply(&with(TWO));
    host.ask(
        "b",
        &[
            "sh",
            "-c",
            "ln -s /run/op-dbus/self/log /dev/log && syslogd -O /tmp/heard",
        ],
    );
    // It writes that it has started when others may write to its socket.
    wait_for("b listens", Duration::from_secs(10), || {
        let listens = host.inside("b", &["test", "-s", "/tmp/heard"]);
        listens.status.success().then_some(())
    });
    host.ask("a", &["test", "-S", "/run/op-dbus/peers/b/log"]);
    host.ask(
        "a",
        &[
            "sh",
            "-c",
            "ln -s /run/op-dbus/peers/b/log /dev/log && logger hello from a",
        ],
    );
    wait_for("b hears", Duration::from_secs(10), || {
        host.ask("b", &["cat", "/tmp/heard"])
            .contains("hello from a")
            .then_some(())
    });
    // Of others one may connect to what is there, and change nothing.
    for script in [
        "rm /run/op-dbus/peers/b/log",
        "touch /run/op-dbus/peers/b/x",
        "touch /run/op-dbus/peers/x",
    ] {
        let output = host.inside("a", &["sh", "-c", script]);
        assert!(!output.status.success(), "{script}: {}", said(&output));
    }
    host.ask(
        "a",
        &["sh", "-c", "cp /bin/busybox /run/op-dbus/self/program"],
    );
    assert!(
        !host
            .inside("a", &["/run/op-dbus/self/program", "true"])
            .status
            .success()
    );
    // A new start finds nothing of the last one.
    host.apply(&with(
        &TWO.replace("{template", "{running: false, template"),
    ));
    host.apply(&with(TWO));
    assert_eq!(host.ask("b", &["ls", "-A", "/run/op-dbus/self"]), "");
}

#[test]
fn without_a_network_there_is_none() {
    let Some(host) = Host::new() else { return };
    host.apply(&crate::fixture::with_a(""));
    let links = host.ask("a", &["ip", "-o", "link"]);
    assert_eq!(links.lines().count(), 1, "{links}");
    assert!(links.contains("lo"));
    assert!(
        !host
            .inside("a", &["test", "-e", "/run/op-dbus"])
            .status
            .success()
    );
}

#[test]
fn a_mesh_container_has_its_link_and_no_sockets() {
    let Some(host) = Host::new() else { return };
    host.apply(&with(
        "a: {template: busybox, memory: 64MiB, network: mesh}",
    ));
    assert!(run("ip", &["-o", "link"]).contains(": mesh_a@"));
    assert!(
        !host
            .inside("a", &["test", "-e", "/run/op-dbus"])
            .status
            .success()
    );
    let tun = std::path::Path::new("/dev/net/tun").exists();
    assert_eq!(
        host.inside("a", &["test", "-c", "/dev/net/tun"])
            .status
            .success(),
        tun
    );
}

#[test]
fn the_sockets_of_a_removed_container_are_removed() {
    let Some(host) = Host::new() else { return };
    host.apply(&with(TWO));
    let sockets = host.base.join("sockets");
    // Eight bytes for each entry: owner, group, mask, others, and who else may pass.
    let passes = || {
        let mut list = [0; 1024];
        let name = "system.posix_acl_access";
        let length = rustix::fs::lgetxattr(&sockets, name, &mut list[..]).unwrap();
        (length - 4) / 8 - 4
    };
    assert_eq!(passes(), 2);
    host.apply(&with(TWO.split_once(", b: ").unwrap().0));
    assert_eq!(lab::names(&sockets.join("containers")), ["a"]);
    assert_eq!(passes(), 1);
}
