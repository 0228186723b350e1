//! The base: a directory on btrfs, or an image file that is mounted there.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use btrfs::{image, mounts};
use reconcile::{Context, Desired, Observed, Owner, PluginError, Transition};
use serde_json::{Value, json};

use super::subvolume;
use crate::mark;

const MARK: &str = "base";
/// Others pass through it on their way to sockets.
const MODE: u32 = 0o755;
const SIZE: &str = "size";
const MIB: u64 = 1 << 20;

/// Where everything lies.
#[derive(Debug)]
pub(super) struct Base {
    path: PathBuf,
    image: Option<PathBuf>,
    /// Bytes, in the units in which file systems come.
    size: Option<u64>,
}

/// A larger size can be had, a smaller one cannot.
pub(super) fn transition(before: &Value, after: &Value) -> Transition {
    match (before[SIZE].as_u64(), after[SIZE].as_u64()) {
        (Some(is), Some(wanted)) if wanted < is => Transition::Refuse(format!(
            "the file system in the image has {} MiB and does not get smaller: \
             declare at least so much, or move what is in it to a new image",
            is.div_ceil(MIB)
        )),
        (Some(_), Some(wanted)) if wanted < image::SMALLEST_GROWN => Transition::Refuse(format!(
            "btrfs does not grow to less than {0} MiB: declare at least {0} MiB",
            image::SMALLEST_GROWN / MIB
        )),
        _ => Transition::Update,
    }
}

impl Base {
    pub(super) fn new(base: &declaration::Base) -> Self {
        Self {
            path: base.path.clone(),
            image: base.image.clone(),
            size: base.size.map(|size| image::whole_sectors(size.bytes())),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Naming a directory as the base hands it over, so it needs no `adopt`.
    pub(super) fn desired(&self) -> Desired {
        Desired {
            state: self.state(self.size),
            adopt: true,
        }
    }

    fn state(&self, size: Option<u64>) -> Value {
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        json!({ "path": text(&self.path), "image": self.image.as_ref().map(text), SIZE: size })
    }

    /// The base as it is; `None` if it is to be made, an error if it cannot be made there.
    pub(super) fn observe(&self) -> Result<Option<Observed>, PluginError> {
        let found = match &self.image {
            Some(image) => self.observe_image(image)?,
            None => self.observe_directory()?,
        };
        let Some(state) = found else { return Ok(None) };
        let owner = match mark::read(&self.path).map_err(|error| self.failed("read", error))? {
            Some(_) => Owner::Ours,
            None => Owner::Foreign,
        };
        Ok(Some(Observed { state, owner }))
    }

    fn observe_directory(&self) -> Result<Option<Value>, PluginError> {
        let standing = nearest(&self.path);
        if !::btrfs::is_btrfs(standing).map_err(|error| self.failed("read", error))? {
            return Err(self.not_btrfs(standing));
        }
        if standing != self.path {
            return Ok(None);
        }
        if !self.path.is_dir() {
            return Err(PluginError::unavailable(
                format!("{} is no directory", self.path.display()),
                "move it away, or choose another base",
            ));
        }
        Ok(Some(self.state(None)))
    }

    fn observe_image(&self, image: &Path) -> Result<Option<Value>, PluginError> {
        if !self.is_mounted(image)? {
            self.check_size(image)?;
            return Ok(None);
        }
        let size = match self.size {
            Some(_) => Some(self.capacity()?),
            None => None,
        };
        Ok(Some(self.state(size)))
    }

    /// Whether the image is mounted at the base; an error if it cannot be.
    fn is_mounted(&self, image: &Path) -> Result<bool, PluginError> {
        match self.mounted()? {
            Some(there) if is_same_file(&there, image) => Ok(true),
            Some(there) => Err(PluginError::unavailable(
                format!(
                    "{} is mounted at {}, not {}",
                    there.display(),
                    self.path.display(),
                    image.display()
                ),
                "unmount it, or declare the base without an image",
            )),
            None => self.check_hides_nothing(image).map(|()| false),
        }
    }

    /// Refuses to hide files under a mount.
    fn check_hides_nothing(&self, image: &Path) -> Result<(), PluginError> {
        let hidden = match fs::read_dir(&self.path) {
            Ok(mut entries) => entries.next().is_some(),
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => return Err(self.failed("read", error)),
        };
        if !hidden {
            return Ok(());
        }
        Err(PluginError::unavailable(
            format!(
                "{} has files that mounting {} would hide",
                self.path.display(),
                image.display()
            ),
            "move them away, declare the base without an image, or choose another base",
        ))
    }

    /// Refuses an image that would have to get smaller.
    fn check_size(&self, image: &Path) -> Result<(), PluginError> {
        match (fs::metadata(image), self.size) {
            (Ok(found), Some(wanted)) if wanted < found.len() => Err(PluginError::unavailable(
                format!(
                    "{} has {} MiB and does not get smaller",
                    image.display(),
                    found.len().div_ceil(MIB)
                ),
                "declare at least so much",
            )),
            _ => Ok(()),
        }
    }

    /// Makes what is missing of the base: image, mount, size, directory, mark.
    pub(super) fn ensure(&self, context: &Context<'_>) -> Result<(), PluginError> {
        match &self.image {
            Some(image) => self.ensure_image(image, context)?,
            None => self.ensure_directory()?,
        }
        mark::write(&self.path, MARK).map_err(|error| self.failed("mark", error))
    }

    fn ensure_directory(&self) -> Result<(), PluginError> {
        if self.path.is_dir() {
            return Ok(());
        }
        make_directories(self.path.parent())
            .map_err(|error| self.failed("make directories for", error))?;
        // A subvolume, so that snapshots of the host's root leave it out.
        subvolume::make(&self.path, MODE, |_| Ok(())).map_err(|error| self.failed("create", error))
    }

    fn ensure_image(&self, file: &Path, context: &Context<'_>) -> Result<(), PluginError> {
        if let (false, Some(size)) = (file.exists(), self.size) {
            (context.progress)(&format!("making a file system in {}", file.display()));
            make_directories(file.parent())
                .map_err(|error| self.failed("make directories for", error))?;
            image::create(file, size).map_err(|error| self.failed("create", error))?;
        }
        make_directories(Some(&self.path)).map_err(|error| self.failed("create", error))?;
        image::mount(file, &self.path).map_err(|error| self.failed("mount", error))?;
        match self.size {
            Some(size) if self.capacity()? < size => {
                image::grow(&self.path, size).map_err(|error| self.failed("grow", error))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn remount(&self) -> Result<bool, PluginError> {
        let Some(image) = self.image.as_deref().filter(|image| image.exists()) else {
            return Ok(false);
        };
        if self.is_mounted(image)? {
            return Ok(false);
        }
        make_directories(Some(&self.path)).map_err(|error| self.failed("create", error))?;
        image::mount(image, &self.path).map_err(|error| self.failed("mount", error))?;
        Ok(true)
    }

    /// The image, or else the device, that is mounted at the base.
    fn mounted(&self) -> Result<Option<PathBuf>, PluginError> {
        match image::mounted(&self.path) {
            Ok(found) => Ok(found.map(|there| there.image.unwrap_or(there.device))),
            Err(::btrfs::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("read", error)),
        }
    }

    fn capacity(&self) -> Result<u64, PluginError> {
        image::capacity(&self.path).map_err(|error| self.failed("read", error))
    }

    fn not_btrfs(&self, standing: &Path) -> PluginError {
        let filesystem = mounts::holding(standing).ok().flatten().map_or_else(
            || "another file system".to_owned(),
            |mount| mount.filesystem,
        );
        PluginError::unavailable(
            format!("{} is on {filesystem}, not on btrfs", self.path.display()),
            format!(
                "declare an image for it (`base: {{ path: {0}, image: /var/lib/op-dbus.img, size: 8GiB }}`), \
                 or mount a partition there that was made with `mkfs.btrfs`, \
                 or name a directory that is on btrfs (`--base DIR`)",
                self.path.display()
            ),
        )
    }

    fn failed(
        &self,
        doing: &str,
        error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> PluginError {
        PluginError::failed(format!("{doing} base {}", self.path.display()), error)
    }
}

/// The path itself if it is there, else the nearest directory above it that is.
fn nearest(path: &Path) -> &Path {
    path.ancestors()
        .find(|ancestor| ancestor.exists())
        .unwrap_or(Path::new("/"))
}

fn make_directories(path: Option<&Path>) -> std::io::Result<()> {
    path.map_or(Ok(()), fs::create_dir_all)
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    match (fs::canonicalize(one), fs::canonicalize(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}
