//! What runs on the machine: operating system, kernel, packages, generation, programs of ours.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use schemars::JsonSchema;
use secret_names::may_be_secret;
use serde::Serialize;

use super::look::{Look, Unknown, assignment};

/// The software of a machine.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Software {
    /// The operating system (os-release(5)).
    pub operating_system: OperatingSystem,
    /// The kernel.
    pub kernel: Kernel,
    /// How many packages each package manager has, by its own files.
    pub packages: Vec<Packages>,
    /// The system that runs, on NixOS.
    pub nixos: Option<NixOs>,
    /// Programs that the agent works with; those that are missing have no path.
    pub programs: Vec<Program>,
    /// What could not be found out.
    pub unknown: Vec<Unknown>,
}

/// An operating system.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OperatingSystem {
    /// Its name for programs.
    pub id: Option<String>,
    /// Its name and version for people.
    pub name: Option<String>,
    /// Its version for programs.
    pub version: Option<String>,
}

/// A kernel.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Kernel {
    /// Its release, as `uname -r` says it.
    pub release: Option<String>,
    /// Its build, as `uname -v` says it.
    pub version: Option<String>,
    /// What it was started with. Values that may be secrets are `***`.
    pub command_line: Option<String>,
    /// How many modules are loaded.
    pub modules: Option<usize>,
    /// What it is tainted by, as a sum of bits (Documentation/admin-guide/tainted-kernels.rst); 0 if by nothing.
    pub tainted: Option<u64>,
}

/// Packages of one manager.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Packages {
    /// The manager: `dpkg`, `pacman` or `apk`.
    pub manager: &'static str,
    /// How many are installed.
    pub installed: usize,
}

/// What runs on NixOS.
#[derive(Debug, Serialize, JsonSchema)]
pub struct NixOs {
    /// The version.
    pub version: Option<String>,
    /// The store path of the system that runs.
    pub current_system: Option<String>,
    /// The store path of the system that was started.
    pub booted_system: Option<String>,
    /// The number of the generation that the next start takes.
    pub generation: Option<u64>,
    /// Whether the kernel that runs is that of the current system.
    pub kernel_is_current: Option<bool>,
}

/// A program.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// Where it is.
    pub path: Option<String>,
    /// Its version, where its path in the Nix store or a file says so.
    pub version: Option<String>,
}

const PROGRAMS: [&str; 12] = [
    "btrfs",
    "busctl",
    "dbus-daemon",
    "debootstrap",
    "lxc-start",
    "mmdebstrap",
    "netclient",
    "ovs-vswitchd",
    "ovsdb-server",
    "pkcon",
    "systemctl",
    "wg",
];

/// Looks at the software of the machine whose files are below `root`: `/` for this one.
pub fn software(root: &Path) -> Software {
    let mut look = Look::at(root);
    let release = look.text("/etc/os-release");
    let release = release.or_else(|| look.text("/usr/lib/os-release"));
    let release = release.unwrap_or_default();
    let field = |key| assignment(&release, key).map(str::to_owned);
    Software {
        operating_system: OperatingSystem {
            id: field("ID"),
            name: field("PRETTY_NAME").or_else(|| field("NAME")),
            version: field("VERSION_ID"),
        },
        kernel: kernel(&mut look),
        packages: packages(&mut look),
        nixos: nixos(&mut look),
        programs: PROGRAMS.map(|name| program(&mut look, name)).into(),
        unknown: look.unknown(),
    }
}

fn kernel(look: &mut Look) -> Kernel {
    let modules = look.text("/proc/modules");
    Kernel {
        release: look.line("/proc/sys/kernel/osrelease"),
        version: look.line("/proc/sys/kernel/version"),
        command_line: look.line("/proc/cmdline").map(|line| masked(&line)),
        modules: modules.map(|text| text.lines().count()),
        tainted: look.number("/proc/sys/kernel/tainted"),
    }
}

/// A kernel command line without what may be secret: the values of keys that sound so, and passwords in addresses.
fn masked(line: &str) -> String {
    let word = |word: &str| match word.split_once('=') {
        Some((key, _)) if may_be_secret(key) => format!("{key}=***"),
        // iSCSI and the like: `netroot=iscsi:user:password@host`.
        Some((key, value)) if value.contains('@') => format!("{key}=***"),
        _ => word.to_owned(),
    };
    let words: Vec<_> = line.split_whitespace().map(word).collect();
    words.join(" ")
}

fn packages(look: &mut Look) -> Vec<Packages> {
    let mut found = Vec::new();
    let mut add = |manager, installed: Option<usize>| {
        found.extend(installed.map(|installed| Packages { manager, installed }));
    };
    let dpkg = look.path("/var/lib/dpkg/status").exists();
    let status = dpkg.then(|| fs::read_to_string(look.path("/var/lib/dpkg/status")));
    let count = |text: &str, line: &str| text.lines().filter(|found| *found == line).count();
    match status {
        Some(Ok(text)) => add("dpkg", Some(count(&text, "Status: install ok installed"))),
        Some(Err(error)) => look.miss("/var/lib/dpkg/status", error),
        None => {}
    }
    let pacman = look.names("/var/lib/pacman/local");
    let pacman = pacman
        .iter()
        .filter(|name| *name != "ALPM_DB_VERSION")
        .count();
    add("pacman", (pacman > 0).then_some(pacman));
    let apk = look.text("/lib/apk/db/installed");
    let apk = apk.map(|text| text.lines().filter(|line| line.starts_with("P:")).count());
    add("apk", apk);
    found
}

fn nixos(look: &mut Look) -> Option<NixOs> {
    let full = |path: &str| {
        let target = fs::read_link(look.path(path)).ok()?;
        Some(target.to_str()?.to_owned())
    };
    let current_system = full("/run/current-system");
    current_system.as_ref()?;
    let booted_system = full("/run/booted-system");
    let (now, booted) = (
        full("/run/current-system/kernel"),
        full("/run/booted-system/kernel"),
    );
    let generation = full("/nix/var/nix/profiles/system").and_then(|link| {
        let number = link.strip_prefix("system-")?.strip_suffix("-link")?;
        number.parse().ok()
    });
    Some(NixOs {
        version: look.line("/run/current-system/nixos-version"),
        current_system,
        booted_system,
        generation,
        kernel_is_current: now.zip(booted).map(|(now, booted)| now == booted),
    })
}

const DIRECTORIES: [&str; 6] = [
    "/run/current-system/sw/bin",
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
];

fn program(look: &mut Look, name: &'static str) -> Program {
    let places = DIRECTORIES.iter().map(|dir| format!("{dir}/{name}"));
    let path = places.into_iter().find(|path| look.path(path).is_file());
    let real = path
        .as_ref()
        .and_then(|path| fs::canonicalize(look.path(path)).ok());
    let store = real.as_ref().and_then(|path| store_version(path.to_str()?));
    let version = store.or_else(|| installed_version(look, path.as_deref()?));
    Program {
        name,
        path,
        version,
    }
}

/// `7.0.1` in `/nix/store/HASH-openvswitch-7.0.1/bin/ovs-vswitchd`.
fn store_version(path: &str) -> Option<String> {
    let name = path.strip_prefix("/nix/store/")?.split('/').next()?;
    let mut parts = name.split('-').skip(1);
    let version = parts.find(|part| part.starts_with(|first: char| first.is_ascii_digit()))?;
    Some(version.to_owned())
}

/// The version of the package of dpkg whose list of files has the program.
fn installed_version(look: &mut Look, path: &str) -> Option<String> {
    const PACKAGES: [(&str, &str); 10] = [
        ("btrfs", "btrfs-progs"),
        ("busctl", "systemd"),
        ("systemctl", "systemd"),
        ("dbus-daemon", "dbus-daemon"),
        ("debootstrap", "debootstrap"),
        ("lxc-start", "lxc"),
        ("mmdebstrap", "mmdebstrap"),
        ("ovs-vswitchd", "openvswitch-switch"),
        ("ovsdb-server", "openvswitch-switch"),
        ("wg", "wireguard-tools"),
    ];
    let name = Path::new(path).file_name()?.to_str()?;
    let (_, package) = PACKAGES.iter().find(|(program, _)| *program == name)?;
    let status = fs::read_to_string(look.path("/var/lib/dpkg/status")).ok()?;
    let versions: BTreeMap<_, _> = status
        .split("\n\n")
        .filter(|entry| entry.contains("\nStatus: install ok installed"))
        .filter_map(|entry| {
            let field = |key: &str| entry.lines().find_map(|line| line.strip_prefix(key));
            Some((field("Package: ")?, field("Version: ")?))
        })
        .collect();
    versions.get(package).map(|version| (*version).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_the_command_line_are_masked() {
        let line = "quiet root=/dev/sda1 rd.luks.key=abc my.PASSWORD=x netroot=iscsi:me:pw@10.0.0.1::3260 ip=dhcp";
        let shown = masked(line);
        assert_eq!(
            shown,
            "quiet root=/dev/sda1 rd.luks.key=*** my.PASSWORD=*** netroot=*** ip=dhcp"
        );
    }

    #[test]
    fn versions_come_from_the_store() {
        let version = |path| store_version(path).unwrap_or_default();
        assert_eq!(version("/nix/store/abc-openvswitch-3.4.1/bin/ovs"), "3.4.1");
        assert_eq!(version("/nix/store/abc-wireguard-tools-1.0/bin/wg"), "1.0");
        assert_eq!(version("/usr/bin/wg"), "");
    }

    #[test]
    fn a_machine_made_of_files_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("etc/os-release", "ID=debian\nPRETTY_NAME=\"Debian 13\"\n");
        write("usr/bin/wg", "");
        write(
            "var/lib/dpkg/status",
            "Package: wireguard-tools\nStatus: install ok installed\nVersion: 1.0-2\n\n\
             Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n",
        );
        let software = software(dir.path());
        assert_eq!(software.operating_system.name.as_deref(), Some("Debian 13"));
        assert_eq!(software.packages[0].installed, 1);
        let wg = software
            .programs
            .iter()
            .find(|program| program.name == "wg")
            .unwrap();
        assert_eq!(wg.version.as_deref(), Some("1.0-2"));
        assert!(software.nixos.is_none() && software.unknown.is_empty());
    }
}
