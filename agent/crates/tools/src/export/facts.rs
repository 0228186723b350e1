//! What the machine is, from files of the kernel and of the operating system.

use std::fs;
use std::path::Path;

use super::Facts;

/// Where the operating system says what it is (os-release(5)).
const RELEASE: [&str; 2] = ["/etc/os-release", "/usr/lib/os-release"];
/// What the installer noted.
const DEPLOYMENT: &str = "/etc/opdbus/deployment-type";

impl Facts {
    /// What this machine is; empty where it does not say.
    pub(super) fn of_this_machine() -> Self {
        let releases = RELEASE
            .iter()
            .find_map(|path| fs::read_to_string(path).ok());
        let deployment = line(DEPLOYMENT);
        Self {
            name: line("/proc/sys/kernel/hostname"),
            system: releases.map_or_else(String::new, |text| pretty_name(&text)),
            kernel: line("/proc/sys/kernel/osrelease"),
            architecture: std::env::consts::ARCH.to_owned(),
            deployment: (!deployment.is_empty()).then_some(deployment),
        }
    }
}

/// The first line of a file.
fn line(path: impl AsRef<Path>) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_owned()
}

fn pretty_name(release: &str) -> String {
    let value = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="));
    value
        .unwrap_or_default()
        .trim_matches(['"', '\''])
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_has_the_name_that_it_gives_itself() {
        let text = "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n";
        assert_eq!(pretty_name(text), "Debian GNU/Linux 12 (bookworm)");
        assert_eq!(pretty_name("ID=x\n"), "");
    }
}
