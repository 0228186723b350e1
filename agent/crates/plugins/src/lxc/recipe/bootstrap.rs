//! The recipes `debian` and `ubuntu`: a minimal system from the distribution's packages.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use reconcile::PluginError;

use super::super::program;
use super::super::rootfs::RootFs;
use super::super::state::Packages;
use super::ROOTFS;

/// A distribution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Distribution {
    name: &'static str,
    /// The keys of its archive, and the package of Debian that has them.
    keys: (&'static str, &'static str),
    /// Where packages come from if nothing is declared; `None` leaves it to the tool, which also adds
    /// security updates.
    mirror: Option<&'static str>,
}

pub(super) const DEBIAN: Distribution = Distribution {
    name: "Debian",
    keys: (
        "/usr/share/keyrings/debian-archive-keyring.gpg",
        "debian-archive-keyring",
    ),
    mirror: None,
};

pub(super) const UBUNTU: Distribution = Distribution {
    name: "Ubuntu",
    keys: (
        "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
        "ubuntu-keyring",
    ),
    mirror: Some(if cfg!(any(target_arch = "x86_64", target_arch = "x86")) {
        "http://archive.ubuntu.com/ubuntu"
    } else {
        "http://ports.ubuntu.com/ubuntu-ports"
    }),
};

/// A minimal system has no init of its own.
const INIT: &str = "systemd-sysv";

pub(super) fn build(
    distribution: Distribution,
    packages: &Packages,
    workshop: &Path,
    progress: &dyn Fn(&str),
) -> Result<(), PluginError> {
    let root = workshop.join(ROOTFS);
    let doing = format!("install {} {}", distribution.name, packages.suite);
    let (keys, package) = distribution.keys;
    if !Path::new(keys).exists() {
        return Err(PluginError::unavailable(
            format!(
                "the keys of {}'s packages ({keys}) are not there",
                distribution.name
            ),
            format!("install them (on Debian: apt install {package})"),
        ));
    }
    let mut command = tool(distribution, packages, &root)?;
    command
        .env("LC_ALL", "C.UTF-8")
        .env("DEBIAN_FRONTEND", "noninteractive");
    program::follow(&mut command, &doing, |line| {
        if let Some(text) = line.strip_prefix("I: ") {
            progress(text);
        }
    })?;
    RootFs::open(&root)
        .and_then(|rootfs| make_generic(&rootfs))
        .map_err(|error| PluginError::failed(doing, error))
}

fn tool(
    distribution: Distribution,
    packages: &Packages,
    root: &Path,
) -> Result<Command, PluginError> {
    let mirror = packages.mirror.as_deref().or(distribution.mirror);
    let mut include = packages.packages.clone();
    if !include.iter().any(|package| package == INIT) {
        include.push(INIT.to_owned());
    }
    let include = format!("--include={}", include.join(","));
    let keyring = format!("--keyring={}", distribution.keys.0);
    let mmdebstrap = program::find("mmdebstrap");
    let mut command = match &mmdebstrap {
        Some(path) => {
            let mut command = Command::new(path);
            command.args(["--mode=root", "--format=directory"]);
            command
        }
        None => Command::new(debootstrap()?),
    };
    command.args(["--variant=minbase", &include, &keyring, &packages.suite]);
    command.arg(root).args(mirror);
    Ok(command)
}

fn debootstrap() -> Result<PathBuf, PluginError> {
    program::find("debootstrap").ok_or_else(|| {
        PluginError::unavailable(
            "neither mmdebstrap nor debootstrap is there",
            "install one (on Debian: apt install mmdebstrap)",
        )
    })
}

/// Removes what the tools copy from the machine, what must differ between containers, and what cannot
/// work in one.
fn make_generic(rootfs: &RootFs) -> io::Result<()> {
    // LXC sets the name; a file would override it.
    rootfs.remove("etc/hostname")?;
    // systemd makes up another for each container at its first start (machine-id(5)).
    rootfs.replace("etc/machine-id", "uninitialized\n")?;
    // Only the machine itself may mount it.
    rootfs.link("/dev/null", "etc/systemd/system/sys-kernel-debug.mount")
}
