//! The directories in which containers keep the Unix sockets that they offer each other.
//!
//! Containers see each other's files there under the same ids, so root of a container could leave a
//! program there that belongs to root of the machine and runs as such. Therefore nobody else on the
//! machine gets through `sockets`: its group does, and by an access control list root of each container,
//! for LXC looks the directories up as that.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use declaration::ContainerName;
use reconcile::PluginError;

use super::acl::AccessList;
use super::layout::Layout;
use crate::mark;

/// The group that may use the machine's sockets.
const GROUP: &str = "opdbus";
const MARK: &str = "sockets";

/// One change of the access control list at a time.
static ACCESS: Mutex<()> = Mutex::new(());

/// The sockets of all containers of a base.
#[derive(Debug)]
pub(super) struct Sockets {
    root: PathBuf,
}

impl Sockets {
    pub(super) fn new(layout: &Layout) -> Self {
        Self {
            root: layout.sockets(),
        }
    }

    fn directory(&self, name: &ContainerName) -> PathBuf {
        self.root.join("containers").join(name.as_str())
    }

    /// Makes the directories of a container ready for its start, without the sockets of the last one.
    pub(super) fn prepare(
        &self,
        name: &ContainerName,
        first_id: Option<u32>,
    ) -> Result<(), PluginError> {
        let directory = self.directory(name);
        let doing = || format!("make {}", directory.display());
        self.make_root()
            .and_then(|()| make(&self.root.join("containers"), 0o711))
            .and_then(|_| self.make_own(&directory))
            .and_then(|()| first_id.map_or(Ok(()), |id| self.admit(id, true)))
            .map_err(|error| PluginError::failed(doing(), error))
    }

    fn make_root(&self) -> io::Result<()> {
        if make(&self.root, 0o750)?
            && let Some(group) = fs::read_to_string("/etc/group")
                .ok()
                .and_then(|text| group_id(&text))
        {
            chown(&self.root, Some(0), Some(group))?;
        }
        Ok(())
    }

    fn make_own(&self, directory: &Path) -> io::Result<()> {
        if directory.symlink_metadata().is_ok() {
            if mark::read(directory)?.as_deref() != Some(MARK) {
                let text = "it is there and not ours; move it away";
                return Err(io::Error::new(ErrorKind::AlreadyExists, text));
            }
            return empty(directory);
        }
        // Marked before it has its name: whoever finds it after a crash knows whose it is.
        let nameless = directory.with_extension("new");
        if !make(&nameless, 0o755)? {
            // Only what a crash left is empty.
            fs::remove_dir(&nameless)?;
            make(&nameless, 0o755)?;
        }
        mark::write(&nameless, MARK)?;
        fs::rename(&nameless, directory)
    }

    fn admit(&self, id: u32, admit: bool) -> io::Result<()> {
        let _alone = ACCESS.lock().unwrap_or_else(PoisonError::into_inner);
        let mut list = AccessList::read(&self.root)?;
        let changed = match admit {
            true => list.let_pass(id),
            false => list.forget(id),
        };
        if changed {
            list.write(&self.root)?;
        }
        Ok(())
    }

    /// Removes the directory of a container and its way there; both may be gone.
    pub(super) fn remove(
        &self,
        name: &ContainerName,
        first_id: Option<u32>,
    ) -> Result<(), PluginError> {
        let directory = self.directory(name);
        let remove = || {
            match mark::read(&directory) {
                Ok(Some(text)) if text == MARK => fs::remove_dir_all(&directory)?,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            match first_id {
                Some(id) if self.root.exists() => self.admit(id, false),
                _ => Ok(()),
            }
        };
        remove()
            .map_err(|error| PluginError::failed(format!("remove {}", directory.display()), error))
    }
}

/// Makes a directory with just these permissions; `false` if it is there.
fn make(path: &Path, mode: u32) -> io::Result<bool> {
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => {
            // The umask may have taken some away.
            fs::set_permissions(path, Permissions::from_mode(mode))?;
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

fn empty(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path())?,
            false => fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

/// The number of the group, from the text of group(5).
fn group_id(text: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == GROUP).then(|| fields.nth(1)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_by_its_name() {
        assert_eq!(group_id("root:x:0:\nopdbus:x:990:ana\n"), Some(990));
        assert_eq!(group_id("opdbus2:x:990:\nopdbus:x:many:\n"), None);
    }

    #[test]
    fn what_is_there_and_not_ours_is_left() {
        let base = tempfile::tempdir().unwrap();
        let sockets = Sockets::new(&Layout::new(base.path()));
        let name = "a".parse().unwrap();
        let own = sockets.directory(&name);
        fs::create_dir_all(&own).unwrap();
        fs::write(own.join("precious"), "").unwrap();
        assert!(sockets.prepare(&name, None).is_err());
        sockets.remove(&name, None).unwrap();
        assert!(own.join("precious").exists());
    }

    #[test]
    fn what_a_crash_left_half_made_is_made_again() {
        let base = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let sockets = Sockets::new(&Layout::new(base.path()));
        let name = "a".parse().unwrap();
        let left = sockets.directory(&name).with_extension("new");
        fs::create_dir_all(&left).unwrap();
        fs::write(left.join("precious"), "").unwrap();
        assert!(sockets.prepare(&name, None).is_err());
        fs::remove_file(left.join("precious")).unwrap();
        sockets.prepare(&name, None).unwrap();
        assert!(!left.exists());
        sockets.prepare(&name, None).unwrap();
    }

    #[test]
    fn a_start_finds_no_sockets_of_the_last_one() {
        let base = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let sockets = Sockets::new(&Layout::new(base.path()));
        let name = "a".parse().unwrap();
        sockets.prepare(&name, None).unwrap();
        let own = sockets.directory(&name);
        fs::create_dir(own.join("deep")).unwrap();
        fs::write(own.join("deep/old"), "").unwrap();
        sockets.prepare(&name, None).unwrap();
        assert_eq!(fs::read_dir(&own).unwrap().count(), 0);
        sockets.remove(&name, None).unwrap();
        sockets.remove(&name, None).unwrap();
        assert!(!own.exists());
    }
}
