//! A throw-away machine for system tests: the real kernel, in namespaces of its own.
//!
//! Only tests use it. A test that asks for a [`Machine`] moves its thread, and every process it
//! starts from there, into a network and a mount namespace: links, bridges, mounts and abstract
//! sockets that it leaves behind vanish with it. Panics are the right answer to a broken lab.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod bus;
mod files;
mod mesh;
mod network;
mod ovs;
mod process;
mod systemd;
mod tls;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

pub use bus::SystemBus;
pub use files::{names, subvolume_show, text};
pub use mesh::{ENDS, Mesh};
pub use network::{plug_in, veth};
pub use ovs::Ovs;
pub use process::{Kept, feed, has, output, run};
pub use systemd::Systemd;
pub use tls::self_signed;

/// Says that the running test cannot run here, and why: on standard output, and in the file named
/// by `OP_DBUS_SKIPPED` for the summary of the whole run.
pub fn skip(reason: &str) {
    let test = std::thread::current()
        .name()
        .unwrap_or("unnamed test")
        .to_owned();
    println!("SKIPPED {test}: {reason}");
    if let Some(path) = std::env::var_os("OP_DBUS_SKIPPED") {
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .expect("open the list of skipped tests");
        writeln!(file, "{test}: {reason}").expect("note the skipped test");
    }
}

/// Waits until `condition` gives a value, at most `limit`; panics with `what` after that.
pub fn wait_for<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Writes to a file until the disk is full, to the last byte.
pub fn fill(ballast: &Path) {
    let mut file = std::fs::File::create(ballast).expect("a file to fill the disk with");
    for size in [64 << 10, 256, 1] {
        // What is only in memory may find no room later.
        while file
            .write_all(&vec![0x42; size])
            .and_then(|()| file.sync_data())
            .is_ok()
        {}
    }
}

/// Namespaces and a directory of one test.
pub struct Machine {
    // Before `dir`, so that what is mounted below it goes first.
    mounts: std::sync::Mutex<Vec<PathBuf>>,
    dir: tempfile::TempDir,
}

impl Machine {
    /// Moves the calling thread into namespaces of its own, or says that the test is skipped
    /// because it `needs` root.
    pub fn new(needs: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            skip(needs);
            return None;
        }
        #[allow(unsafe_code)]
        // SAFETY: unsharing mounts and network shares no memory or descriptors unsafely.
        unsafe { unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::NEWNET) }
            .expect("own namespaces");
        mount_change(
            "/",
            MountPropagationFlags::REC | MountPropagationFlags::PRIVATE,
        )
        .expect("private mounts");
        run("ip", &["link", "set", "lo", "up"]);
        let dir = tempfile::Builder::new()
            .prefix("op-dbus-lab-")
            .tempdir()
            .expect("a directory");
        // Containers run under other uids and must get through to their root file systems.
        run("chmod", &["0755", text(dir.path())]);
        Some(Self {
            mounts: std::sync::Mutex::default(),
            dir,
        })
    }

    /// The test's own directory; it goes with the machine.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A btrfs file system of `mib` MiB (at least 128), mounted at `dir()/btrfs`, or `btrfs-2` and so on.
    pub fn btrfs(&self, mib: u64) -> PathBuf {
        let mut mounts = self.mounts.lock().expect("not poisoned");
        let name = match mounts.len() {
            0 => "btrfs".to_owned(),
            n => format!("btrfs-{}", n + 1),
        };
        let image = self.dir().join(format!("{name}.img"));
        let file = std::fs::File::create(&image).expect("image");
        file.set_len(mib << 20).expect("image size");
        run("mkfs.btrfs", &["-q", "-f", text(&image)]);
        let target = self.dir().join(name);
        std::fs::create_dir(&target).expect("mount point");
        run("mount", &["-o", "loop", text(&image), text(&target)]);
        mounts.push(target.clone());
        target
    }

    /// A file system in memory, of a `size` as tmpfs(5) writes it (`8m`), mounted at `dir()/tmpfs`.
    pub fn tmpfs(&self, size: &str) -> PathBuf {
        let target = self.dir().join("tmpfs");
        std::fs::create_dir(&target).expect("mount point");
        let size = format!("size={size}");
        run(
            "mount",
            &["-t", "tmpfs", "-o", &size, "tmpfs", text(&target)],
        );
        let mut mounts = self.mounts.lock().expect("not poisoned");
        mounts.push(target.clone());
        target
    }

    /// A private `ovsdb-server` and `ovs-vswitchd` (userspace datapath), running.
    pub fn ovs(&self) -> Ovs {
        Ovs::start(self.dir().join("ovs"))
    }

    /// A WireGuard mesh of two; `None`, and the test counts as skipped, where there is nothing to make it with.
    pub fn mesh(&self) -> Option<Mesh> {
        Mesh::start(self.dir())
    }

    /// A system bus with nobody on it; `None`, and the test counts as skipped, where there is none to start.
    pub fn system_bus(&self) -> Option<SystemBus> {
        SystemBus::start(self)
    }

    /// A systemd of its own, with its bus as the system bus; `None`, and the test counts as skipped, where that
    /// cannot be.
    pub fn systemd(&self) -> Option<Systemd> {
        Systemd::start(self)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for target in self.mounts.lock().expect("not poisoned").iter().rev() {
            // The loop device clears itself once nothing uses it.
            let _ = Command::new("umount").arg("-l").arg(target).status();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lab_has_btrfs_and_a_switch() {
        let Some(machine) = Machine::new("needs root") else {
            return;
        };
        let btrfs = machine.btrfs(128);
        assert_eq!(
            run("stat", &["-f", "-c", "%T", text(&btrfs)]).trim(),
            "btrfs"
        );
        let mut ovs = machine.ovs();
        ovs.vsctl(&[
            "add-br",
            "br0",
            "--",
            "set",
            "bridge",
            "br0",
            "datapath_type=netdev",
        ]);
        assert!(ovs.ofctl(&["dump-flows", "br0"]).contains("NORMAL"));
        ovs.kill_switch();
        ovs.start_switch();
        // It answers before it has its bridges again.
        wait_for("the bridge", Duration::from_secs(60), || {
            let link = output("ip", &["link", "show", "br0"]);
            link.status.success().then_some(())
        });
    }
}
