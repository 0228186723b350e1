//! The section `packagekit`: software packages of the host.

use std::collections::BTreeMap;

use crate::define::{record, words};
use crate::names::{PackageName, PackageVersion};

record! {
    /// Packages that are kept installed or away. Others are left alone, and so is one that is taken out of here.
    pub struct Packagekit: Default {
        /// Packages by name.
        packages: BTreeMap<PackageName, Package> = BTreeMap::new(),
    }
}

record! {
    /// What is kept of one package.
    pub struct Package: Default {
        /// Whether it is to be there.
        ensure: Ensure = Ensure::Installed,
        /// This very version, as the package manager writes it; an earlier or later one is replaced.
        version: Option<PackageVersion> = None,
        /// The package manager that is used. Without it that is PackageKit, or what the host has where
        /// there is none.
        provider: Option<PackageProvider> = None,
    }
}

words! {
    /// Whether a package is to be there.
    pub enum Ensure {
        /// It is installed, in whatever version.
        Installed = "installed",
        /// It is not installed. Its configuration files stay.
        Removed = "removed",
        /// It is installed in the newest version that the package lists of the host know.
        Latest = "latest",
    }
}

words! {
    /// A package manager.
    pub enum PackageProvider {
        /// Debian's and Ubuntu's.
        Apt = "apt",
        /// Fedora's and its relatives'.
        Dnf = "dnf",
        /// Arch Linux's.
        Pacman = "pacman",
    }
}

#[cfg(test)]
mod tests {
    use crate::{Declaration, PackageName, PackageVersion};

    fn said(packages: &str) -> String {
        let text = format!("version: 1\nplugins: {{packagekit: {{packages: {{{packages}}}}}}}");
        match Declaration::from_yaml(&text) {
            Ok(_) => "good".to_owned(),
            Err(problems) => problems.to_string(),
        }
    }

    #[test]
    fn names_cannot_be_taken_for_options_paths_or_ids() {
        for name in [
            "nginx",
            "g++",
            "libstdc++6",
            "python3.11",
            "NetworkManager",
            "7zip",
            "a_b",
        ] {
            assert!(name.parse::<PackageName>().is_ok(), "{name}");
        }
        for name in [
            "", "-y", "--", "a b", "a;b", "a=1", "a/b", "./a.deb", "a:i386", "a*", "a..b", "a\n",
        ] {
            assert!(name.parse::<PackageName>().is_err(), "{name:?}");
        }
        for version in ["1", "1:2.3-4+deb12u1~bpo1", "2.0^git1-3.fc40"] {
            assert!(version.parse::<PackageVersion>().is_ok(), "{version}");
        }
        for version in ["", "-1", "1 2", "1;2", "1/2", "$(id)"] {
            assert!(version.parse::<PackageVersion>().is_err(), "{version:?}");
        }
    }

    #[test]
    fn a_version_goes_with_installed_alone() {
        assert_eq!(said("nginx: {}"), "good");
        assert_eq!(said("nginx: {version: 1.2-3, provider: apt}"), "good");
        for ensure in ["removed", "latest"] {
            let text = said(&format!("nginx: {{ensure: {ensure}, version: 1.2-3}}"));
            assert!(
                text.contains("`version` only with `ensure: installed`"),
                "{text}"
            );
        }
    }
}
