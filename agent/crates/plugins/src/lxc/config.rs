//! LXC's configuration file of a container: written from its state, and read back.
//!
//! The first line holds the state and a hash of the other lines. So a file that somebody has changed is
//! told apart from one that another version of this program wrote.

use std::fmt::Write as _;
use std::path::Path;

use declaration::{ContainerName, Network, wiring};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::console;
use super::host::{AppArmor, Cgroups, HostFacts};
use super::ids;
use super::layout::Layout;
use super::state::{Configuration, ContainerState};

/// What the first line begins with.
const HEADER: &str = "# op-dbus ";
/// The container's end of its link.
pub(super) const LINK: &str = "eth0";
/// The name of LXC's log within a container's directory.
pub(super) const LOG: &str = "lxc.log";
/// In which a container may use its share of the processors, in microseconds; the kernel's own default.
const CPU_PERIOD: u64 = 100_000;

/// What besides its state decides a container's configuration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rendering<'a> {
    pub(super) name: &'a ContainerName,
    pub(super) layout: &'a Layout,
    pub(super) facts: HostFacts,
    /// The program that LXC calls when the container starts.
    pub(super) agent: Option<&'a Path>,
    /// The socket of the switch's database.
    pub(super) switch: Option<&'a Path>,
    /// The first of its user ids, if it is unprivileged.
    pub(super) first_id: Option<u32>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    sha256: String,
    state: ContainerState,
}

/// The whole file for a state.
pub(super) fn render(state: &ContainerState, with: &Rendering<'_>) -> String {
    let body = body(state, with);
    let header = Header {
        sha256: hash(&body),
        // Whether it runs is a matter of the system and not of the file.
        state: ContainerState {
            running: false,
            ..state.clone()
        },
    };
    let header = serde_json::to_string(&header).unwrap_or_default();
    format!("{HEADER}{header}\n{body}")
}

/// The state that a file was written from, and whether it is still as it should be.
pub(super) fn read(text: &str, with: &Rendering<'_>) -> (Option<ContainerState>, Configuration) {
    let Some((header, body)) = split(text) else {
        return (None, Configuration::Edited);
    };
    let configuration = if hash(body) != header.sha256 {
        Configuration::Edited
    } else if render(&header.state, with) == text {
        Configuration::AsRendered
    } else {
        Configuration::Outdated
    };
    (Some(header.state), configuration)
}

/// The state that a file was written from, whatever has become of the rest of it.
pub(super) fn state_in(text: &str) -> Option<ContainerState> {
    split(text).map(|(header, _)| header.state)
}

fn split(text: &str) -> Option<(Header, &str)> {
    let (header, body) = text.strip_prefix(HEADER)?.split_once('\n')?;
    Some((serde_json::from_str(header).ok()?, body))
}

fn hash(body: &str) -> String {
    let digest = Sha256::digest(body);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Lines of `key = value`.
struct Lines(String);

impl Lines {
    fn set(&mut self, key: &str, value: impl std::fmt::Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "lxc.{key} = {value}");
    }

    fn mount(&mut self, source: &str, target: &str, kind: &str, options: &str) {
        self.set(
            "mount.entry",
            format!("{source} {target} {kind} {options} 0 0"),
        );
    }
}

fn body(state: &ContainerState, with: &Rendering<'_>) -> String {
    let mut lines = Lines("# Written by op-dbus, which undoes what is changed here.\n".to_owned());
    identity(&mut lines, with);
    system(&mut lines, with);
    devices(&mut lines, state, with);
    network(&mut lines, state, with);
    for (file, value) in limits(state, with.facts.cgroups) {
        lines.set(&format!("{}.{file}", with.facts.cgroups.prefix()), value);
    }
    lines.set("start.auto", u8::from(state.autostart));
    lines.0
}

fn identity(lines: &mut Lines, with: &Rendering<'_>) {
    let directory = with.layout.container(with.name);
    lines.set("uts.name", with.name);
    lines.set(
        "rootfs.path",
        format!("dir:{}", directory.join("rootfs").display()),
    );
    if let Some(first) = with.first_id {
        lines.set("rootfs.options", "idmap=container");
        lines.set("idmap", format!("u 0 {first} {}", ids::COUNT));
        lines.set("idmap", format!("g 0 {first} {}", ids::COUNT));
    }
    lines.set("log.file", directory.join(LOG).display());
    lines.set("log.level", "ERROR");
    lines.set("console.logfile", console::file(&directory).display());
    lines.set("console.size", console::SIZE);
    lines.set("console.rotate", 1);
}

fn system(lines: &mut Lines, with: &Rendering<'_>) {
    lines.set("mount.auto", "proc:mixed sys:mixed cgroup:mixed");
    lines.set("tty.max", 4);
    lines.set("pty.max", 1024);
    if with.first_id.is_none() {
        // Root of the container is root of the machine: what would reach beyond the container.
        lines.set(
            "cap.drop",
            "mac_admin mac_override sys_module sys_rawio sys_time",
        );
    }
    match with.facts.apparmor {
        AppArmor::Off => {}
        AppArmor::Profiles => {
            lines.set("apparmor.profile", "generated");
            // systemd in a container mounts for its services.
            lines.set("apparmor.allow_nesting", 1);
        }
        AppArmor::Unloadable => lines.set("apparmor.profile", "unconfined"),
    }
    // Here and not by the container's init, which would cover what is mounted below.
    lines.mount(
        "tmpfs",
        "run",
        "tmpfs",
        "rw,nosuid,nodev,mode=755,create=dir",
    );
}

/// Devices that every container may use; numbers from the kernel's admin-guide/devices.txt: null, zero,
/// full, random, urandom, tty, console, ptmx, and the pseudo-terminals.
const DEVICES: [&str; 9] = [
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    "c 5:0 rwm",
    "c 5:1 rwm",
    "c 5:2 rwm",
    "c 136:* rwm",
];
const TUN: &str = "c 10:200 rwm";

fn devices(lines: &mut Lines, state: &ContainerState, with: &Rendering<'_>) {
    let mesh = state.network == Network::Mesh;
    let cgroups = with.facts.cgroups;
    if !matches!(cgroups, Cgroups::Legacy { devices: false, .. }) {
        let prefix = format!("{}.devices", cgroups.prefix());
        lines.set(&format!("{prefix}.deny"), "a");
        let tun = mesh.then_some(TUN);
        // Nodes of any kind may be made; that lets nobody open them.
        for device in ["c *:* m", "b *:* m"].into_iter().chain(DEVICES).chain(tun) {
            lines.set(&format!("{prefix}.allow"), device);
        }
    }
    if mesh {
        lines.mount(
            "/dev/net/tun",
            "dev/net/tun",
            "none",
            "bind,create=file,optional",
        );
    }
}

fn network(lines: &mut Lines, state: &ContainerState, with: &Rendering<'_>) {
    let Some(port) = with.name.port(state.network) else {
        lines.set("net.0.type", "empty");
        lines.set("net.0.flags", "up");
        return;
    };
    lines.set("net.0.type", "veth");
    // No `link`: the switch takes the port in when it appears.
    lines.set("net.0.veth.pair", &port);
    lines.set("net.0.name", LINK);
    lines.set("net.0.hwaddr", wiring::mac(with.name));
    lines.set("net.0.flags", "up");
    if let Some(address) = state.address {
        let family = if address.addr().is_ipv4() {
            "ipv4"
        } else {
            "ipv6"
        };
        lines.set(&format!("net.0.{family}.address"), address);
        if let Some(gateway) = state.gateway {
            lines.set(&format!("net.0.{family}.gateway"), gateway);
        }
    }
    if let Some(agent) = with.agent {
        let checksum = match (state.software_checksum, with.switch) {
            (true, Some(switch)) => format!(" {LINK} {}", switch.display()),
            (true, None) => format!(" {LINK}"),
            (false, _) => String::new(),
        };
        lines.set("hook.version", 1);
        lines.set(
            "hook.start-host",
            format!("{} container-started {port}{checksum}", agent.display()),
        );
    }
    if state.network == Network::Socket {
        sockets(lines, with);
    }
}

fn sockets(lines: &mut Lines, with: &Rendering<'_>) {
    let all = with.layout.sockets().join("containers");
    let own = all.join(with.name.as_str());
    // The ids of all containers are the same there, so that root of one may connect to a socket of
    // root of another.
    let idmap = if with.first_id.is_some() {
        ",idmap=container"
    } else {
        ""
    };
    let options = format!("bind,create=dir,nosuid,nodev,noexec{idmap}");
    lines.mount(&fstab(&own), "run/op-dbus/self", "none", &options);
    lines.mount(
        &fstab(&all),
        "run/op-dbus/peers",
        "none",
        &format!("ro,{options}"),
    );
}

/// A path in the form of fstab(5).
fn fstab(path: &Path) -> String {
    let mut text = String::new();
    for c in path.to_string_lossy().chars() {
        match c {
            ' ' => text.push_str("\\040"),
            '\\' => text.push_str("\\134"),
            c => text.push(c),
        }
    }
    text
}

/// What the control groups are told: files and what is written to them, in this order.
pub(super) fn limits(state: &ContainerState, cgroups: Cgroups) -> Vec<(&'static str, String)> {
    let quota = u64::from(state.cores) * CPU_PERIOD;
    match cgroups {
        Cgroups::Unified => vec![
            ("cpu.max", format!("{quota} {CPU_PERIOD}")),
            ("memory.max", state.memory.to_string()),
            ("memory.swap.max", state.swap.to_string()),
        ],
        Cgroups::Legacy {
            cpu, memory, swap, ..
        } => {
            // The last one counts memory and swap together.
            let both = state.memory.saturating_add(state.swap).min(i64::MAX as u64);
            let all = [
                (cpu, "cpu.cfs_period_us", CPU_PERIOD),
                (cpu, "cpu.cfs_quota_us", quota),
                (memory, "memory.limit_in_bytes", state.memory),
                (memory && swap, "memory.memsw.limit_in_bytes", both),
            ];
            let there = all.into_iter().filter(|(there, ..)| *there);
            there
                .map(|(_, file, value)| (file, value.to_string()))
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::state::tests::container;
    use super::*;

    const FACTS: HostFacts = HostFacts {
        cgroups: Cgroups::Unified,
        apparmor: AppArmor::Profiles,
    };

    struct Case {
        name: ContainerName,
        layout: Layout,
    }

    fn case() -> Case {
        Case {
            name: "a".parse().unwrap(),
            layout: Layout::new(Path::new("/srv/op dbus")),
        }
    }

    impl Case {
        fn with(&self) -> Rendering<'_> {
            Rendering {
                name: &self.name,
                layout: &self.layout,
                facts: FACTS,
                agent: Some(Path::new("/usr/bin/op-dbus")),
                switch: Some(Path::new("/run/openvswitch/db.sock")),
                first_id: Some(0x7000_0000),
            }
        }
    }

    #[test]
    fn what_was_written_is_read_as_rendered() {
        let case = case();
        let state = container("address: 10.0.0.2/24, gateway: 10.0.0.1, running: false");
        let text = render(&state, &case.with());
        assert_eq!(
            read(&text, &case.with()),
            (Some(state), Configuration::AsRendered)
        );
        assert!(text.contains("\nlxc.net.0.ipv4.address = 10.0.0.2/24\n"));
        assert!(text.contains("\nlxc.rootfs.path = dir:/srv/op dbus/@containers/a/rootfs\n"));
        assert!(text.contains(" /srv/op\\040dbus/sockets/containers/a run/op-dbus/self none "));
        assert!(
            text.contains(
                "\nlxc.hook.start-host = /usr/bin/op-dbus container-started sock_a eth0 /run/openvswitch/db.sock\n"
            )
        );
    }

    #[test]
    fn a_changed_line_is_an_edit_and_another_program_is_not() {
        let case = case();
        let text = render(&container("cores: 3"), &case.with());
        let edited = text.replace("300000", "900000");
        assert_ne!(edited, text);
        assert_eq!(read(&edited, &case.with()).1, Configuration::Edited);
        assert_eq!(
            read("lxc.uts.name = a\n", &case.with()),
            (None, Configuration::Edited)
        );
        let moved = Rendering {
            agent: Some(Path::new("/usr/local/bin/op-dbus")),
            ..case.with()
        };
        assert_eq!(read(&text, &moved).1, Configuration::Outdated);
        assert_eq!(read(&text, &moved).0.unwrap().cores, 3);
    }

    #[test]
    fn each_kind_of_network_gets_what_it_needs() {
        let case = case();
        let text = |network: &str| render(&container(&format!("network: {network}")), &case.with());
        assert!(text("socket").contains("veth.pair = sock_a\n"));
        assert!(text("socket").contains(" run/op-dbus/peers none ro,bind,"));
        assert!(!text("socket").contains("/dev/net/tun"));
        assert!(text("mesh").contains("veth.pair = mesh_a\n"));
        assert!(text("mesh").contains("devices.allow = c 10:200 rwm\n"));
        assert!(!text("mesh").contains("run/op-dbus"));
        assert!(text("none").contains("net.0.type = empty\n"));
        assert!(!text("none").contains("veth"));
    }

    #[test]
    fn limits_are_set_where_the_machine_has_them() {
        let case = case();
        let state = container("cores: 2, memory: 1GiB, swap: 1GiB");
        let unified = render(&state, &case.with());
        assert!(unified.contains("cgroup2.cpu.max = 200000 100000\n"));
        assert!(unified.contains("cgroup2.memory.swap.max = 1073741824\n"));
        let legacy = |swap| Rendering {
            facts: HostFacts {
                cgroups: Cgroups::Legacy {
                    cpu: true,
                    memory: true,
                    swap,
                    devices: false,
                },
                apparmor: AppArmor::Off,
            },
            ..case.with()
        };
        let text = render(&state, &legacy(true));
        assert!(text.contains("cgroup.memory.memsw.limit_in_bytes = 2147483648\n"));
        assert!(
            !text.contains("cgroup2") && !text.contains("devices") && !text.contains("apparmor")
        );
        assert!(!render(&state, &legacy(false)).contains("memsw"));
    }

    #[test]
    fn a_privileged_container_keeps_the_ids_and_loses_capabilities() {
        let case = case();
        let with = Rendering {
            first_id: None,
            ..case.with()
        };
        let text = render(&container("unprivileged: false"), &with);
        assert!(text.contains("lxc.cap.drop = ") && !text.contains("idmap"));
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in "(# op-dbus )?(\\{\"sha256\":)?.{0,60}\n?.{0,60}") {
            read(&text, &case().with());
        }

        #[test]
        fn any_change_of_a_byte_is_seen(place in 0.0..1.0f64, byte in 32u8..127) {
            let case = case();
            let text = render(&container("cores: 3"), &case.with());
            let mut bytes = text.clone().into_bytes();
            let place = (place * bytes.len() as f64) as usize;
            prop_assume!(bytes[place] != byte);
            bytes[place] = byte;
            let changed = String::from_utf8(bytes).unwrap();
            let before = read(&text, &case.with());
            prop_assert_ne!(read(&changed, &case.with()), before);
        }
    }
}
