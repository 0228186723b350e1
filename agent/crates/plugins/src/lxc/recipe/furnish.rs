//! What every template gets, whatever it was made from: the units for both kinds of network, and what a
//! program in it needs to find the others.

use std::io;

use super::super::rootfs::RootFs;

const SOCKET_UNIT: &str = "\
[Unit]
Description=Sockets shared with the other containers of this machine
Documentation=file:/etc/op-dbus/client.json
ConditionPathIsMountPoint=/run/op-dbus/self
DefaultDependencies=no
After=local-fs.target
Before=sysinit.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
# After a restart within the container nothing listens any more at what is left.
ExecStart=/usr/bin/find /run/op-dbus/self -mindepth 1 -delete

[Install]
WantedBy=sysinit.target
";

const ENROL_UNIT: &str = "\
[Unit]
Description=Join the mesh
Documentation=https://docs.netmaker.io/
ConditionPathExists=/etc/netmaker/join-key
ConditionPathExists=!/etc/netmaker/joined
After=network.target

[Service]
Type=oneshot
RemainAfterExit=yes
# Waiting for the network would hold up every container, also without a key.
Restart=on-failure
RestartSec=15
# netclient takes the key in no other way; it is gone from the list of processes once it has joined.
ExecStart=/bin/sh -c 'exec netclient join -t \"$$(cat /etc/netmaker/join-key)\"'
ExecStartPost=/bin/touch /etc/netmaker/joined

[Install]
WantedBy=multi-user.target
";

const CLIENT: &str = "\
{
  \"self\": \"/run/op-dbus/self\",
  \"peers\": \"/run/op-dbus/peers\"
}
";

/// Each with the target that wants it.
const UNITS: [(&str, &str, &str); 2] = [
    ("socket-network.service", "sysinit.target", SOCKET_UNIT),
    ("netmaker-enroll.service", "multi-user.target", ENROL_UNIT),
];

/// Adds it; what is there already stays.
pub(super) fn furnish(rootfs: &RootFs) -> io::Result<()> {
    for (name, target, text) in UNITS {
        rootfs.write_new(&format!("etc/systemd/system/{name}"), text)?;
        let wanted = format!("etc/systemd/system/{target}.wants/{name}");
        rootfs.link(&format!("../{name}"), &wanted)?;
    }
    rootfs.write_new("etc/op-dbus/client.json", CLIENT)?;
    for directory in ["dev", "proc", "run", "sys", "tmp"] {
        rootfs.directory(directory)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn units_are_added_and_none_is_replaced() {
        let root = tempfile::tempdir().unwrap();
        let rootfs = RootFs::open(root.path()).unwrap();
        let units = root.path().join("etc/systemd/system");
        fs::create_dir_all(&units).unwrap();
        fs::write(units.join("socket-network.service"), "mine").unwrap();
        furnish(&rootfs).unwrap();
        furnish(&rootfs).unwrap();
        let read = |name: &str| fs::read_to_string(units.join(name)).unwrap();
        assert_eq!(read("socket-network.service"), "mine");
        assert_eq!(
            read("multi-user.target.wants/netmaker-enroll.service"),
            ENROL_UNIT
        );
        let client = fs::read(root.path().join("etc/op-dbus/client.json")).unwrap();
        let client: serde_json::Value = serde_json::from_slice(&client).unwrap();
        assert_eq!(client["self"], "/run/op-dbus/self");
    }

    #[test]
    fn systemd_accepts_the_units() {
        if !lab::has("systemd-analyze") {
            return lab::skip("needs systemd-analyze");
        }
        let directory = tempfile::tempdir().unwrap();
        for (name, _, text) in UNITS {
            let path = directory.path().join(name);
            fs::write(&path, text).unwrap();
            let verdict = lab::output("systemd-analyze", &["verify", path.to_str().unwrap()]);
            let text = String::from_utf8_lossy(&verdict.stderr).into_owned();
            let about_it: Vec<_> = text.lines().filter(|line| line.contains(name)).collect();
            assert_eq!(about_it, [""; 0], "{text}");
        }
    }
}
