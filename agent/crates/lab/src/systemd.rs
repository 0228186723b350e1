//! A real systemd with a real system bus, in a container over the machine's own files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::{Machine, has, output, run, skip, text, wait_for};

/// A container whose root file system is the machine's with a layer over it, and whose `/run` is the test's.
///
/// What speaks to the system bus from the test's thread, or one started from there, speaks to this systemd.
pub struct Systemd {
    lxc: Child,
    dir: PathBuf,
}

const NAME: &str = "systemd";

impl Systemd {
    pub(crate) fn start(machine: &Machine) -> Option<Self> {
        for program in ["lxc-start", "/lib/systemd/systemd", "dbus-daemon"] {
            if !has(program) && !Path::new(program).is_file() {
                skip(&format!("needs {program}"));
                return None;
            }
        }
        let dir = machine.dir().join("systemd");
        fs::create_dir(&dir).expect("a directory");
        run("mount", &["-t", "tmpfs", "tmpfs", text(&dir)]);
        run("mount", &["-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"]);
        let root = dir.join("root");
        for name in ["root", "upper", "work"] {
            fs::create_dir(dir.join(name)).expect("a directory");
        }
        let layers = format!("lowerdir=/,upperdir={0}/upper,workdir={0}/work", text(&dir));
        run(
            "mount",
            &["-t", "overlay", "overlay", "-o", &layers, text(&root)],
        );
        run("mount", &["-t", "tmpfs", "tmpfs", text(&root.join("tmp"))]);
        // Nothing is started but what the bus and the journal need.
        let units = root.join("etc/systemd/system");
        let system = root.join("lib/systemd");
        let _ = fs::remove_dir_all(&units);
        let _ = fs::remove_dir_all(system.join("system-generators"));
        for entry in fs::read_dir(system.join("system"))
            .expect("units")
            .flatten()
        {
            if entry.path().extension().is_some_and(|end| end == "wants") {
                fs::remove_dir_all(entry.path()).expect("units that are started with others");
            }
        }
        fs::create_dir_all(&units).expect("a directory");
        // Where the test's journalctl finds it.
        fs::write(
            root.join("etc/systemd/journald.conf"),
            "[Journal]\nStorage=volatile\n",
        )
        .expect("a configuration of the journal");
        let target = "[Unit]\nRequires=dbus.socket\nWants=systemd-journald.socket\n\
                      After=dbus.socket systemd-journald.socket\n";
        fs::write(units.join("lab.target"), target).expect("a target");
        // There is one clock, and the first who tells the kernel a time zone turns it (settimeofday(2)).
        let config = format!(
            "lxc.uts.name = lab\n\
             lxc.rootfs.path = dir:{root}\n\
             lxc.init.cmd = /lib/systemd/systemd --unit=lab.target --show-status=no\n\
             lxc.net.0.type = empty\n\
             lxc.mount.auto = proc:mixed sys:mixed cgroup:rw:force\n\
             lxc.mount.entry = /run run none rbind,create=dir 0 0\n\
             lxc.cap.drop = sys_time sys_module sys_boot\n\
             lxc.autodev = 1\n\
             lxc.pty.max = 64\n\
             lxc.console.path = none\n\
             lxc.apparmor.profile = unconfined\n",
            root = text(&root)
        );
        fs::write(dir.join("config"), config).expect("a configuration");
        let (config, log) = (dir.join("config"), dir.join("log"));
        let lxc = Command::new("lxc-start")
            .args(["-F", "-n", NAME, "-P", text(&dir), "-f", text(&config)])
            .args(["-l", "INFO", "-o", text(&log)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("lxc-start");
        let container = Self { lxc, dir };
        wait_for("systemd", Duration::from_secs(60), || {
            let answer = output(
                "busctl",
                &[
                    "call",
                    "org.freedesktop.systemd1",
                    "/org/freedesktop/systemd1",
                    "org.freedesktop.DBus.Peer",
                    "Ping",
                ],
            );
            answer.status.success().then_some(())
        });
        Some(container)
    }

    /// Its root file system.
    pub fn root(&self) -> PathBuf {
        self.dir.join("root")
    }

    /// Writes a unit, in the place of the administrator's.
    pub fn unit(&self, name: &str, text: &str) {
        fs::write(self.root().join("etc/systemd/system").join(name), text).expect("a unit");
        self.systemctl(&["daemon-reload"]);
    }

    /// Asks this systemd by its own program; what it said, however it ended.
    pub fn systemctl(&self, arguments: &[&str]) -> String {
        // Over the bus: the private socket does not take in callers from outside of the container.
        let output = Command::new("systemctl")
            .args(arguments)
            .env("SYSTEMCTL_FORCE_BUS", "1")
            .output()
            .expect("systemctl");
        let said = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&said).trim().to_owned()
    }

    /// Runs a program inside of the container, however it ends.
    pub fn inside(&self, argv: &[&str]) -> std::process::Output {
        let mut arguments = vec!["-P", text(&self.dir), "-n", NAME, "--clear-env", "--"];
        arguments.extend(argv);
        output("lxc-attach", &arguments)
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        let dir = text(&self.dir);
        let _ = Command::new("lxc-stop")
            .args(["-k", "-n", NAME, "-P", dir])
            .output();
        let _ = self.lxc.kill();
        let _ = self.lxc.wait();
        let root = self.root();
        for mount in [&root.join("tmp"), &root, &self.dir] {
            let _ = Command::new("umount").arg("-l").arg(mount).output();
        }
    }
}
