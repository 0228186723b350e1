//! One subvolume below the base: what it is, and each way of changing it.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use declaration::{Compression, SubvolumeName};
use reconcile::{Observed, Owner, PluginError, Transition};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::{Value, json};

use super::beside;
use crate::mark;

const COMPRESSION: &str = "compression";
/// Key of the state of something that is no subvolume; never desired.
const KIND: &str = "kind";

/// Containers start from below it with user ids of their own, which must get through by name.
const CONTAINERS: &str = "@containers";
/// Where others than root must pass, and cannot list.
const PASSABLE: u32 = 0o711;
/// Ledger, state, snapshots, root file systems with set-uid programs: nobody else's.
const PRIVATE: u32 = 0o700;

/// The state of a subvolume.
pub(super) fn state(compression: Option<&str>) -> Value {
    json!({ COMPRESSION: compression })
}

/// Whether what is there can become as declared.
pub(super) fn transition(name: &str, before: &Value) -> Transition {
    match before.get(KIND).and_then(Value::as_str) {
        None => Transition::Update,
        Some(kind) => Transition::Refuse(format!(
            "{name} is a {kind}, and only a subvolume can be taken over: \
             move it away, apply, and copy into the new subvolume what it should have"
        )),
    }
}

/// Where a subvolume is or should be.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    name: String,
}

impl Place {
    pub(super) fn new(base: &Path, name: &SubvolumeName) -> Self {
        Self {
            path: base.join(name.as_str()),
            name: name.to_string(),
        }
    }

    /// The place of a subvolume that may be called otherwise for the time being.
    pub(super) fn at(path: &Path, name: &str) -> Self {
        Self {
            path: path.to_owned(),
            name: name.to_owned(),
        }
    }

    pub(super) fn observe(&self) -> Result<Option<Observed>, PluginError> {
        match self.look() {
            Ok(found) => Ok(found),
            // Gone since it was listed.
            Err(error) if !self.exists() => {
                log::debug!("{}: {error}", self.path.display());
                Ok(None)
            }
            Err(error) => Err(self.failed("read", error)),
        }
    }

    fn look(&self) -> Result<Option<Observed>, ::btrfs::Error> {
        let kind = match fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Ok(found) if found.is_symlink() => "symbolic link",
            Ok(found) if !found.is_dir() => "file",
            _ if ::btrfs::is_subvolume(&self.path)? => {
                let compression = ::btrfs::compression(&self.path)?.map(normalise);
                return Ok(Some(Observed {
                    state: state(compression.as_deref()),
                    owner: self.owner()?,
                }));
            }
            _ => "directory",
        };
        Ok(Some(Observed {
            state: json!({ KIND: kind }),
            owner: Owner::Foreign,
        }))
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> Result<bool, PluginError> {
        let mut entries = fs::read_dir(&self.path).map_err(|error| self.failed("read", error))?;
        Ok(entries.next().is_none())
    }

    /// Makes it under another name and gives it its own when it is whole.
    pub(super) fn create(&self, state: &Value) -> Result<(), PluginError> {
        if self.exists() {
            self.must_be_ours("create")?;
            return self.set(state);
        }
        let mode = match self.name.as_str() {
            CONTAINERS => PASSABLE,
            _ => PRIVATE,
        };
        make(&self.path, mode, |unfinished| {
            ::btrfs::set_compression(unfinished, compression(state))?;
            self.sign(unfinished)
        })
        .map_err(|error| self.failed("create", error))
    }

    /// Takes back a create: deletes it with what has come into it, if it was ever made.
    pub(super) fn withdraw(&self) -> Result<(), PluginError> {
        drop_leftover(&unfinished(&self.path))
            .and_then(|()| match self.is_ours()? {
                true => ::btrfs::delete_recursive(&self.path),
                false => Ok(()),
            })
            .map_err(|error| self.failed("take back", error))
    }

    pub(super) fn update(&self, state: &Value, adopts: bool) -> Result<(), PluginError> {
        if adopts {
            self.sign(&self.path)
                .map_err(|error| self.failed("take over", error))?;
        }
        self.must_be_ours("update")?;
        self.set(state)
    }

    /// Takes back an update, whether or not it was made.
    pub(super) fn revert(&self, state: &Value, adopted: bool) -> Result<(), PluginError> {
        if !self.ours("take back the update of")? {
            return Ok(());
        }
        self.set(state)?;
        if adopted {
            mark::remove(&self.path).map_err(|error| self.failed("give back", error))?;
        }
        Ok(())
    }

    /// Takes it away, and keeps it for [`Self::restore`] until [`Self::drop_kept`].
    pub(super) fn discard(&self, run: &str, may_destroy: bool) -> Result<(), PluginError> {
        if !self.exists() {
            return Ok(());
        }
        self.must_be_ours("delete")?;
        if !may_destroy && !self.is_empty()? {
            return Err(PluginError::unavailable(
                format!("{} was empty and is not any more", self.name),
                "plan again",
            ));
        }
        rename(&self.path, &self.kept(run)).map_err(|error| self.failed("delete", error))
    }

    /// Takes back a delete, whether or not it was made.
    pub(super) fn restore(&self, run: &str) -> Result<(), PluginError> {
        let kept = self.kept(run);
        if kept.symlink_metadata().is_ok() {
            return rename(&kept, &self.path).map_err(|error| self.failed("restore", error));
        }
        self.must_be_ours("restore")
    }

    /// Deletes what [`Self::discard`] kept.
    pub(super) fn drop_kept(&self, run: &str) -> Result<(), PluginError> {
        let kept = self.kept(run);
        if kept.symlink_metadata().is_err() {
            return Ok(());
        }
        ::btrfs::delete_recursive(&kept)
            // After this a power cut does not bring it back, when nobody would look for it any more.
            .and_then(|()| ::btrfs::sync(kept.parent().unwrap_or(&self.path)))
            .map_err(|error| self.failed("delete", error))
    }

    fn set(&self, state: &Value) -> Result<(), PluginError> {
        ::btrfs::set_compression(&self.path, compression(state))
            .map_err(|error| self.failed("set the compression of", error))
    }

    fn exists(&self) -> bool {
        self.path.symlink_metadata().is_ok()
    }

    fn kept(&self, run: &str) -> PathBuf {
        beside(&self.path, &format!(".trash-{run}-"))
    }

    /// The mark of the subvolume at `path`. It binds name and UUID: neither a snapshot nor a received
    /// copy nor one that was renamed by hand is ours, though all of them carry the attribute.
    fn seal(&self, path: &Path) -> Result<Option<String>, ::btrfs::Error> {
        let uuid = ::btrfs::info(path)?.uuid;
        Ok(uuid.map(|uuid| format!("{} {uuid}", self.name)))
    }

    pub(super) fn sign(&self, path: &Path) -> Result<(), ::btrfs::Error> {
        match self.seal(path)? {
            Some(seal) => {
                mark::write(path, &seal).map_err(|error| ::btrfs::Error::new("mark", path, error))
            }
            None => Err(::btrfs::Error::NotSubvolume {
                path: path.to_owned(),
            }),
        }
    }

    fn owner(&self) -> Result<Owner, ::btrfs::Error> {
        let found = mark::read(&self.path)
            .map_err(|error| ::btrfs::Error::new("read the mark of", &self.path, error))?;
        // Most that are not ours carry nothing, and then the seal need not be asked for.
        if found.is_some() && found == self.seal(&self.path)? {
            Ok(Owner::Ours)
        } else {
            Ok(Owner::Foreign)
        }
    }

    pub(super) fn is_ours(&self) -> Result<bool, ::btrfs::Error> {
        Ok(self.exists() && ::btrfs::is_subvolume(&self.path)? && self.owner()? == Owner::Ours)
    }

    fn ours(&self, doing: &str) -> Result<bool, PluginError> {
        self.is_ours().map_err(|error| self.failed(doing, error))
    }

    fn must_be_ours(&self, doing: &str) -> Result<(), PluginError> {
        if self.ours(doing)? {
            return Ok(());
        }
        let what = if self.exists() {
            "it is there and not ours"
        } else {
            "it is not there any more"
        };
        Err(PluginError::unavailable(
            format!("cannot {doing} subvolume {}: {what}", self.name),
            "plan again to see what has changed",
        ))
    }

    fn failed(
        &self,
        doing: &str,
        error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> PluginError {
        PluginError::failed(format!("{doing} subvolume {}", self.name), error)
    }
}

/// Makes a subvolume under another name, has it finished, and gives it its own name: a crash leaves
/// nothing half made there, and what it leaves elsewhere is removed by the next call.
pub(super) fn make(
    path: &Path,
    mode: u32,
    finish: impl FnOnce(&Path) -> Result<(), ::btrfs::Error>,
) -> Result<(), ::btrfs::Error> {
    let unfinished = unfinished(path);
    drop_leftover(&unfinished)?;
    let made = ::btrfs::create(&unfinished).and_then(|()| {
        fs::set_permissions(&unfinished, Permissions::from_mode(mode))
            .map_err(|error| ::btrfs::Error::new("set the permissions of", &unfinished, error))?;
        finish(&unfinished)?;
        rename(&unfinished, path)
    });
    if made.is_err() && drop_leftover(&unfinished).is_err() {
        log::warn!("{} is left behind", unfinished.display());
    }
    made
}

fn unfinished(path: &Path) -> PathBuf {
    beside(path, ".new-")
}

fn drop_leftover(unfinished: &Path) -> Result<(), ::btrfs::Error> {
    match ::btrfs::delete_recursive(unfinished) {
        Err(::btrfs::Error::NotFound { .. }) => Ok(()),
        done => done,
    }
}

/// Renames; fails if the new name is taken.
fn rename(from: &Path, to: &Path) -> Result<(), ::btrfs::Error> {
    renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)
        .map_err(|errno| ::btrfs::Error::new("rename to", to, errno))
}

fn compression(state: &Value) -> Option<&str> {
    state.get(COMPRESSION)?.as_str()
}

/// The property in the declaration's words; the kernel also takes `no` for `none`.
fn normalise(property: String) -> String {
    match property.as_str() {
        "no" => Compression::None.to_string(),
        text => text
            .parse::<Compression>()
            .map_or(property, |known| known.to_string()),
    }
}
