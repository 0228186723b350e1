//! A private system bus, for peers that a test makes up.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::{Machine, has, run, skip, wait_for};

/// A `dbus-daemon` where the system bus of the test's thread, and of those started from there, is.
pub struct SystemBus(Child);

impl SystemBus {
    pub(crate) fn start(machine: &Machine) -> Option<Self> {
        if !has("dbus-daemon") {
            skip("needs dbus-daemon");
            return None;
        }
        run("mount", &["-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"]);
        fs::create_dir("/run/dbus").expect("a directory");
        let config = machine.dir().join("bus.conf");
        let text = "<busconfig><type>system</type>\
            <listen>unix:path=/run/dbus/system_bus_socket</listen>\
            <policy context=\"default\"><allow user=\"*\"/><allow own=\"*\"/>\
            <allow send_type=\"method_call\"/><allow send_destination=\"*\"/>\
            <allow receive_sender=\"*\"/></policy></busconfig>";
        fs::write(&config, text).expect("a configuration");
        let daemon = Command::new("dbus-daemon")
            .arg("--nofork")
            .arg(format!("--config-file={}", config.display()))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon");
        let bus = Self(daemon);
        wait_for("the bus", Duration::from_secs(60), || {
            std::os::unix::net::UnixStream::connect("/run/dbus/system_bus_socket").ok()
        });
        Some(bus)
    }
}

impl Drop for SystemBus {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
