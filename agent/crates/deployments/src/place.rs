//! Where versions are, as anybody may look at it.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use reconcile::RunLock;

use crate::error::{Error, Result, failed};
use crate::held::Held;
use crate::manifest::{FORMAT, Kind, Manifest};
use crate::name::Name;

/// The program's path in a version.
pub const PROGRAM: &str = "bin/op-dbus";

/// What separates layers and options of an overlay mount, or would have to be written otherwise in a unit file.
const FORBIDDEN: [char; 8] = [':', ',', '\\', '\n', '"', '\'', '%', '$'];

/// A base with versions in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    base: PathBuf,
}

impl Place {
    /// A base at this absolute path, which need not be there yet.
    pub fn new(base: impl Into<PathBuf>) -> Result<Self> {
        let base = base.into();
        let plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
        let fits = base.is_absolute()
            && base.components().all(plain)
            && base.to_str().is_some_and(|text| {
                !text.contains(FORBIDDEN) && !text.contains(char::is_whitespace)
            });
        match fits {
            true => Ok(Self { base }),
            false => Err(Error::BadBase(base)),
        }
    }

    /// The base.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// The link to the version that serves.
    pub fn current(&self) -> PathBuf {
        self.base.join("current")
    }

    /// The manifest's file.
    pub fn manifest_file(&self) -> PathBuf {
        self.base.join("deployment-manifest.json")
    }

    /// The program of the version that serves.
    pub fn program(&self) -> PathBuf {
        self.current().join(PROGRAM)
    }

    /// The directory of a version.
    pub fn version(&self, name: &Name) -> PathBuf {
        self.versions().join(name.as_str())
    }

    pub(crate) fn versions(&self) -> PathBuf {
        self.base.join("versions")
    }

    pub(crate) fn mounts(&self) -> PathBuf {
        self.base.join("mounts")
    }

    /// Where a version is run from, below the base.
    pub(crate) fn way(&self, kind: Kind, name: &Name) -> PathBuf {
        let directory = match kind {
            Kind::Btrfs => "versions",
            Kind::Overlay => "mounts",
        };
        Path::new(directory).join(name.as_str())
    }

    /// How versions are kept apart here: by what file system the base is, or will be, on.
    pub fn kind(&self) -> Result<Kind> {
        let mut ancestors = self.base.ancestors();
        let there = ancestors.find(|path| path.exists());
        let there = there.unwrap_or(Path::new("/"));
        Ok(match btrfs::is_btrfs(there)? {
            true => Kind::Btrfs,
            false => Kind::Overlay,
        })
    }

    /// The manifest; that of an empty base where nothing was deployed.
    pub fn manifest(&self) -> Result<Manifest> {
        let path = self.manifest_file();
        let bad = |reason: String| Error::Manifest {
            path: path.clone(),
            reason,
        };
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Manifest::new(self.kind()?));
            }
            text => text.map_err(failed("read", &path))?,
        };
        let manifest: Manifest =
            serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
        match manifest.format {
            FORMAT => Ok(manifest),
            other => Err(bad(format!("its format is {other}, and not {FORMAT}"))),
        }
    }

    /// The version that `current` leads to.
    pub fn serving(&self) -> Result<Option<Name>> {
        let path = self.current();
        match fs::read_link(&path) {
            Ok(target) => {
                let name = target.file_name().and_then(|name| name.to_str());
                Ok(name.and_then(|name| name.parse().ok()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read the link", &path)(error)),
        }
    }

    /// Whether what `current` leads to is there: an overlay is gone after a restart of the machine.
    pub fn is_up(&self) -> bool {
        self.program().is_file()
    }

    /// Keeps others out, and makes the base if it is not there. `command` is what others are told.
    pub fn hold(&self, command: &str) -> Result<Held> {
        fs::create_dir_all(&self.base).map_err(failed("make", &self.base))?;
        let lock = RunLock::acquire(&self.base.join(".lock"), command)?;
        Held::new(self.clone(), lock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_can_be_written_into_a_unit_and_into_mount_options() {
        assert!(Place::new("/opt/op-dbus/chat").is_ok());
        for bad in [
            "opt", "/a/../b", "/a:b", "/a,b", "/a b", "/a%h", "/a\nb", "/$HOME",
        ] {
            assert!(Place::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_empty_base_has_an_empty_manifest() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path().join("not/there")).unwrap();
        assert_eq!(place.manifest().unwrap().versions, []);
        assert_eq!(place.serving().unwrap(), None);
        assert!(!place.is_up());
    }

    #[test]
    fn a_manifest_of_another_form_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path()).unwrap();
        let good = serde_json::to_string(&place.manifest().unwrap()).unwrap();
        for bad in [
            "",
            "{}",
            "[1",
            &good.replace("\"format\":1", "\"format\":2"),
        ] {
            fs::write(place.manifest_file(), bad).unwrap();
            let error = place.manifest().unwrap_err().to_string();
            assert!(error.contains("deploy anew"), "{bad}: {error}");
        }
    }
}
