//! What a package manager can do, and which one this host has.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use declaration::{PackageName, PackageProvider, PackageVersion};

use super::apt::Apt;
use super::dnf::Dnf;
use super::error::PackageError;
use super::pacman::Pacman;
use super::program;
use super::service::PackageKit;

/// A package as it is listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its version, where the listing tells.
    pub version: Option<String>,
    /// The architecture.
    pub arch: Option<String>,
    /// Where it comes from.
    pub origin: Option<String>,
    /// What it is, in a line.
    pub summary: String,
    /// Whether it is installed, where the listing tells.
    pub installed: Option<bool>,
}

/// A package in full.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// What a listing has of it.
    pub listed: Listed,
    /// What it is, at length.
    pub description: String,
    /// The page about it.
    pub url: Option<String>,
    /// Its licence.
    pub license: Option<String>,
    /// Its size in bytes.
    pub size: Option<u64>,
}

/// A package that is wanted, perhaps in one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The package.
    pub name: PackageName,
    /// This version and no other.
    pub version: Option<PackageVersion>,
}

/// A change that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Packages are to be installed, with what they need. Nothing is removed for them.
    Install(Vec<Wanted>),
    /// Packages are to go.
    Remove {
        /// These.
        names: Vec<PackageName>,
        /// And no others than these, where they depend on them.
        along: Vec<String>,
    },
    /// Packages are brought to their newest version; all if none are named. Nothing is removed for them.
    Update(Vec<PackageName>),
}

/// What happens to a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// It comes.
    Install,
    /// It gets another version.
    Update,
    /// It goes.
    Remove,
}

/// One step of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What happens.
    pub verb: Verb,
    /// To which package.
    pub name: String,
    /// The version that is there, where it is told.
    pub before: Option<String>,
    /// The version that will be there, where it is told.
    pub after: Option<String>,
}

/// Whom to tell, and whether to go on.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// Whether the result is still wanted. A change that cannot be stopped half-way goes on to its end.
    pub wanted: &'a dyn Fn() -> bool,
    /// What is being done, and how much of it is done in percent where that is known.
    pub progress: &'a dyn Fn(&str, Option<u32>),
}

impl Watch<'static> {
    /// Goes on in any case, and tells nobody.
    pub fn nobody() -> Self {
        Self {
            wanted: &|| true,
            progress: &|_, _| {},
        }
    }
}

/// A package manager.
pub trait PackageManager {
    /// What it is called.
    fn name(&self) -> &'static str;
    /// The versions of those of the packages that are installed, in one query.
    fn installed(
        &self,
        names: &[&PackageName],
        watch: &Watch<'_>,
    ) -> Result<BTreeMap<String, String>, PackageError>;
    /// All packages that are installed.
    fn list(&self, watch: &Watch<'_>) -> Result<Vec<Listed>, PackageError>;
    /// What could be updated, each with the new version; only of these packages if some are named.
    fn updates(
        &self,
        names: &[&PackageName],
        watch: &Watch<'_>,
    ) -> Result<Vec<Listed>, PackageError>;
    /// Packages whose name, or what is said of them, has the text in it.
    fn search(&self, text: &str, watch: &Watch<'_>) -> Result<Vec<Listed>, PackageError>;
    /// Everything about packages; those that are not known are left out.
    fn details(
        &self,
        names: &[&PackageName],
        watch: &Watch<'_>,
    ) -> Result<Vec<Details>, PackageError>;
    /// What a change would do, all of it.
    fn simulate(&self, request: &Request, watch: &Watch<'_>) -> Result<Vec<Step>, PackageError>;
    /// Makes a change.
    fn carry_out(&self, request: &Request, watch: &Watch<'_>) -> Result<(), PackageError>;
    /// Fetches new package lists.
    fn refresh(&self, watch: &Watch<'_>) -> Result<(), PackageError>;
}

/// The package manager that the host has: PackageKit, or the distribution's own where there is none; or this
/// very one.
pub fn find(provider: Option<PackageProvider>) -> Result<Box<dyn PackageManager>, PackageError> {
    if is_nixos() {
        return Err(PackageError::unavailable(
            "this host is NixOS, where no package is installed by command",
            "list it in the host's configuration, under `environment.systemPackages`",
        ));
    }
    if provider.is_none() {
        match PackageKit::connect() {
            Ok(Some(service)) => return Ok(Box::new(service)),
            Ok(None) => {}
            Err(error) => log::debug!("PackageKit is passed over: {error}"),
        }
    }
    let has = |wanted: PackageProvider, program: &str| {
        provider.is_none_or(|asked| asked == wanted) && program::find(program).is_some()
    };
    if has(PackageProvider::Apt, "apt-get") {
        return Ok(Box::new(Apt));
    }
    if has(PackageProvider::Dnf, "dnf") {
        return Ok(Box::new(Dnf));
    }
    if has(PackageProvider::Pacman, "pacman") {
        return Ok(Box::new(Pacman));
    }
    Err(match provider {
        Some(provider) => PackageError::unavailable(
            format!("this host does not have {provider}"),
            "leave `provider` out, and what the host has is used",
        ),
        None => PackageError::unavailable(
            "there is no package manager: neither PackageKit nor apt-get, dnf or pacman",
            "install PackageKit, or take `plugins.packagekit` out of the declaration",
        ),
    })
}

/// os-release(5), and the mark that NixOS makes.
fn is_nixos() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let says_so = |line: &str| matches!(line.trim(), "ID=nixos" | "ID=\"nixos\"" | "ID='nixos'");
    Path::new("/etc/NIXOS").exists() || release.lines().any(says_so)
}

/// Checks what a simulation of a request shows before the request is carried out.
pub(super) fn permit(request: &Request, steps: &[Step]) -> Result<(), PackageError> {
    let removed = steps.iter().filter(|step| step.verb == Verb::Remove);
    let removed: Vec<_> = removed.map(|step| step.name.clone()).collect();
    match request {
        Request::Remove { names, along } => {
            let asked: Vec<_> = names.iter().map(PackageName::to_string).collect();
            let expected = |name: &String| asked.contains(name) || along.contains(name);
            let others: Vec<_> = removed.into_iter().filter(|name| !expected(name)).collect();
            match others.is_empty() {
                true => Ok(()),
                false => Err(PackageError::TakesAlong { asked, others }),
            }
        }
        Request::Install(_) | Request::Update(_) => match removed.is_empty() {
            true => Ok(()),
            false => Err(PackageError::Displaces(removed)),
        },
    }
}
