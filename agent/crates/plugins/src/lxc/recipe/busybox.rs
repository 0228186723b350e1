//! The recipe `busybox`: the machine's own static busybox and the little that it needs around it.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use reconcile::PluginError;

use super::super::program;
use super::super::rootfs::RootFs;
use super::ROOTFS;

/// How often, and after what time, a busybox that does not run is tried again.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(50);

/// Besides those of the applets; `/var/run` is where older programs look for `/run`.
const DIRECTORIES: [&str; 5] = ["etc/init.d", "root", "var/log", "var/spool", "usr/share"];

const FILES: [(&str, &str); 6] = [
    (
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    ),
    ("etc/group", "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n"),
    ("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    ("etc/profile", "export PATH=/usr/sbin:/usr/bin:/sbin:/bin\n"),
    (
        "etc/inittab",
        "::sysinit:/etc/init.d/rcS\n::ctrlaltdel:/sbin/reboot\n::restart:/sbin/init\n",
    ),
    (
        "etc/init.d/rcS",
        "#!/bin/sh\n# Runs what is executable in /etc/rc.d, in the order of the names.\n\
         for script in /etc/rc.d/*; do\n    [ -x \"$script\" ] && \"$script\" start\ndone\ntrue\n",
    ),
];

pub(super) fn build(workshop: &Path, progress: &dyn Fn(&str)) -> Result<(), PluginError> {
    progress("copying busybox");
    let busybox = program::path("busybox")?;
    let doing = "make a root file system of busybox";
    let root = workshop.join(ROOTFS);
    let failed = |error: io::Error| PluginError::failed(doing, error);
    fs::create_dir(&root)
        .and_then(|()| fs::set_permissions(&root, Permissions::from_mode(0o755)))
        .and_then(|()| RootFs::open(&root)?.directory("bin"))
        .map_err(failed)?;
    let copy = root.join("bin/busybox");
    fs::copy(&busybox, &copy).map_err(failed)?;
    fs::set_permissions(&copy, Permissions::from_mode(0o755)).map_err(failed)?;
    must_be_static(&root, &busybox)?;
    let applets = program::output(program::command("busybox")?.arg("--list-full"), doing)?;
    lay_out(&root, &applets).map_err(failed)
}

/// A busybox that needs the libraries of the machine does not start in the container.
fn must_be_static(root: &Path, busybox: &Path) -> Result<(), PluginError> {
    let mut tries = 0..TRIES;
    let tried = loop {
        let mut command = program::command("chroot")?;
        command.arg(root).args(["/bin/busybox", "true"]);
        let tried = program::output(&mut command, "try busybox");
        // A process that another thread forks at this moment still holds the copy open for writing, and what is
        // written is not run (ETXTBSY, execve(2)).
        if tried.is_ok() || tries.next().is_none() {
            break tried;
        }
        std::thread::sleep(PAUSE);
    };
    tried.map(drop).map_err(|_| {
        PluginError::unavailable(
            format!("{} needs the libraries of this machine", busybox.display()),
            "install a static one (on Debian: apt install busybox-static)",
        )
    })
}

fn lay_out(root: &Path, applets: &str) -> io::Result<()> {
    let rootfs = RootFs::open(root)?;
    for directory in DIRECTORIES {
        rootfs.directory(directory)?;
    }
    for applet in applets.lines().map(str::trim) {
        let plain = !applet.is_empty() && !applet.split('/').any(|part| part == "..");
        if plain {
            // Of one that is there, such as busybox itself, nothing is replaced.
            rootfs.link("/bin/busybox", applet)?;
        }
    }
    rootfs.link("/bin/busybox", "sbin/init")?;
    rootfs.link("../run", "var/run")?;
    for (name, text) in FILES {
        rootfs.write_new(name, text)?;
    }
    fs::set_permissions(root.join("etc/init.d/rcS"), Permissions::from_mode(0o755))?;
    fs::set_permissions(root.join("root"), Permissions::from_mode(0o700))
}
