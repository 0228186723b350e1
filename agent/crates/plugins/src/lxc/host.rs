//! What of the machine decides how a container's configuration is written.

use std::fs;
use std::path::Path;

use super::program;

/// Where the kernel tells of the machine.
const SYS: &str = "/sys";

/// The machine's control groups and security modules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HostFacts {
    pub(super) cgroups: Cgroups,
    pub(super) apparmor: AppArmor,
}

/// Whether AppArmor confines programs, so that LXC has to be told how a container is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AppArmor {
    /// The kernel does not ask it.
    Off,
    /// LXC makes a profile for each container.
    Profiles,
    /// The kernel asks it, but the program that loads profiles is not there.
    Unloadable,
}

/// Where limits are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cgroups {
    /// Version 2 alone.
    Unified,
    /// Version 1, also beside version 2, with those controllers that are there.
    Legacy {
        cpu: bool,
        memory: bool,
        /// Swap can be limited together with memory.
        swap: bool,
        devices: bool,
    },
}

impl Cgroups {
    /// Those of this machine.
    pub(super) fn detect() -> Self {
        Self::read(Path::new(SYS))
    }

    fn read(sys: &Path) -> Self {
        let cgroup = sys.join("fs/cgroup");
        let there = |name: &str| cgroup.join(name).exists();
        if there("cgroup.controllers") {
            return Self::Unified;
        }
        Self::Legacy {
            cpu: there("cpu/cpu.cfs_quota_us"),
            memory: there("memory/memory.limit_in_bytes"),
            swap: there("memory/memory.memsw.limit_in_bytes"),
            devices: there("devices/devices.allow"),
        }
    }

    /// What LXC's keys for this version begin with.
    pub(super) const fn prefix(self) -> &'static str {
        match self {
            Self::Unified => "cgroup2",
            Self::Legacy { .. } => "cgroup",
        }
    }
}

impl HostFacts {
    /// Reads them from `/sys`.
    pub(super) fn detect() -> Self {
        let facts = Self::read(Path::new(SYS), program::find("apparmor_parser").is_some());
        if facts.apparmor == AppArmor::Unloadable {
            log::warn!(
                "AppArmor does not confine containers, since apparmor_parser is not there; install the \
                 package apparmor"
            );
        }
        facts
    }

    fn read(sys: &Path, has_parser: bool) -> Self {
        let apparmor = fs::read_to_string(sys.join("module/apparmor/parameters/enabled"));
        Self {
            cgroups: Cgroups::read(sys),
            apparmor: match apparmor.is_ok_and(|text| text.starts_with('Y')) {
                true if has_parser => AppArmor::Profiles,
                true => AppArmor::Unloadable,
                false => AppArmor::Off,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let sys = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = sys.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        sys
    }

    #[test]
    fn both_versions_of_control_groups_are_told_apart() {
        let unified = tree(&[("fs/cgroup/cgroup.controllers", "cpu memory\n")]);
        assert_eq!(
            HostFacts::read(unified.path(), true).cgroups,
            Cgroups::Unified
        );
        let legacy = tree(&[
            ("fs/cgroup/unified/cgroup.controllers", ""),
            ("fs/cgroup/memory/memory.limit_in_bytes", "1"),
            ("fs/cgroup/cpu/cpu.cfs_quota_us", "-1"),
        ]);
        let expected = Cgroups::Legacy {
            cpu: true,
            memory: true,
            swap: false,
            devices: false,
        };
        assert_eq!(HostFacts::read(legacy.path(), true).cgroups, expected);
    }

    #[test]
    fn apparmor_counts_when_it_is_enabled_and_can_be_told() {
        let name = "module/apparmor/parameters/enabled";
        let found = |text: &str, parser| HostFacts::read(tree(&[(name, text)]).path(), parser);
        assert_eq!(found("Y\n", true).apparmor, AppArmor::Profiles);
        assert_eq!(found("Y\n", false).apparmor, AppArmor::Unloadable);
        assert_eq!(found("N\n", true).apparmor, AppArmor::Off);
        let without = HostFacts::read(tree(&[]).path(), true);
        assert_eq!(without.apparmor, AppArmor::Off);
    }
}
