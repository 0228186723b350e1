//! Plugins that come from elsewhere: looked at where they can do no harm, then put into their place, disabled.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use declaration::PluginName;
use rustix::fs::{CWD, RenameFlags, lgetxattr, renameat_with};

use super::mapping::{Mapping, NATIVE};
use super::store::{
    Entry, Files, Origin, PLUGIN_FILE, StoreError, Trust, directory, discard, load, read_files,
    text, with_enabled, write,
};

/// Most files and directories that a plugin may have.
const MOST_FILES: usize = 10_000;
/// Most bytes that they may have, all together.
const LARGEST: u64 = 256 << 20;
/// The extended attribute of rights that a program gets when it is started (capabilities(7)).
const CAPABILITIES: &str = "security.capability";

/// A plugin that was looked at and found good.
#[derive(Debug, Clone)]
pub struct Foreign {
    /// Its name.
    pub name: PluginName,
    /// Its files, as they will stand: disabled.
    pub files: Files,
    /// What they say.
    pub mapping: Arc<Mapping>,
    path: PathBuf,
}

/// Looks at the subvolume `path`, which nobody but root can reach: names, texts, sizes and kinds of files.
pub fn inspect(path: &Path) -> Result<Foreign, StoreError> {
    let mut walk = Walk {
        root: path,
        files: 0,
        bytes: 0,
    };
    walk.directory(path, 0)?;
    let bad = |text: String| StoreError::Bad(text);
    let files = read_files(path, Trust::Root).map_err(|unusable| {
        bad(format!(
            "{}; it has to be mended where it comes from",
            unusable.what
        ))
    })?;
    let files = Files {
        plugin: with_enabled(&files.plugin, false),
        ..files
    };
    let mapping = Mapping::parse(&files.plugin, &files.mapping)
        .map_err(|problems| bad(text(Path::new(""), &problems)))?;
    if mapping.enabled {
        return Err(bad(format!(
            "write `enabled = false` into its {PLUGIN_FILE}"
        )));
    }
    if NATIVE.contains(&mapping.name.as_str()) {
        return Err(bad(format!(
            "`{}` is the name of one of the agent's own plugins",
            mapping.name
        )));
    }
    Ok(Foreign {
        name: mapping.name.clone(),
        files,
        mapping: Arc::new(mapping),
        path: path.to_owned(),
    })
}

/// The plugin of a host that a new one of that name would stand in for.
pub fn present(base: &Path, name: &PluginName) -> Option<Entry> {
    load(base).into_iter().find(|entry| entry.name == *name)
}

/// Puts a plugin into `BASE/@plugins`, disabled. One of the same name has to be gone, unless `replace` says that it is
/// to go. It is whole or not there; so is the one before.
pub fn install(base: &Path, foreign: &Foreign, replace: bool) -> Result<PathBuf, StoreError> {
    let parent = directory(base);
    let place = parent.join(foreign.name.as_str());
    if !parent.is_dir() {
        return Err(StoreError::NoPlace(parent));
    }
    if !replace && (present(base, &foreign.name).is_some() || place.symlink_metadata().is_ok()) {
        return Err(StoreError::Taken(foreign.name.clone()));
    }
    let new = parent.join(format!(".new-{}", foreign.name));
    let io = |doing: &str| {
        let doing = format!("{doing} {}", new.display());
        move |source| StoreError::Io {
            doing: doing.clone(),
            source,
        }
    };
    // What a crash may have left: a new one, or the one before.
    discard(&new)?;
    btrfs::snapshot(&foreign.path, &new, false)?;
    let fill = || {
        let file = new.join(PLUGIN_FILE);
        fs::remove_file(&file)?;
        write(&file, &foreign.files.plugin)?;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755))
    };
    let put = || match place.symlink_metadata() {
        Ok(_) => renameat_with(CWD, &new, CWD, &place, RenameFlags::EXCHANGE),
        Err(_) => renameat_with(CWD, &new, CWD, &place, RenameFlags::NOREPLACE),
    };
    let done = fill()
        .map_err(io("fill"))
        .and_then(|()| put().map_err(|errno| io("put into place")(errno.into())));
    // What is there now is the one before, or the new one that did not get its place.
    discard(&new)?;
    done.map(|()| place)
}

/// What each write of a plugin waits for, in sentences: nothing is permitted by being imported.
pub fn writes(mapping: &Mapping) -> Vec<String> {
    let mut found = Vec::new();
    for (kind_name, kind) in &mapping.kinds {
        for (name, property) in &kind.properties {
            if property.write.is_some() {
                found.push(match mapping.refusal(kind_name, name) {
                    Some(refusal) => format!("{kind_name}.{name}: {refusal}"),
                    None => format!(
                        "{kind_name}.{name} could be written once the plugin is enabled: its mapping says that somebody \
                         reviewed that"
                    ),
                });
            }
        }
    }
    found
}

/// Whether a plugin can be exported: only one that is a subvolume of its own.
pub fn exportable(entry: &Entry) -> Result<&Path, StoreError> {
    let path = match &entry.origin {
        Origin::Directory(path) => path,
        Origin::BuiltIn => {
            return Err(StoreError::Bad(format!(
                "{} comes with the agent, and so it is on every host that has it",
                entry.name
            )));
        }
    };
    if let Err(unusable) = &entry.mapping {
        return Err(StoreError::Bad(format!(
            "{}; {}",
            unusable.what, unusable.fix
        )));
    }
    match btrfs::is_subvolume(path)? {
        true => Ok(path),
        false => Err(StoreError::Bad(format!(
            "{} is no subvolume, and only those can be sent: make one with `btrfs subvolume create`, and move the files \
             into it",
            path.display()
        ))),
    }
}

struct Walk<'a> {
    root: &'a Path,
    files: usize,
    bytes: u64,
}

impl Walk<'_> {
    fn directory(&mut self, directory: &Path, depth: usize) -> Result<(), StoreError> {
        let io = |source| StoreError::Io {
            doing: format!("look at {}", directory.display()),
            source,
        };
        if depth > 64 {
            return Err(self.bad(directory, "lies too deep"));
        }
        self.rights(directory, &directory.symlink_metadata().map_err(io)?)?;
        for entry in fs::read_dir(directory).map_err(io)? {
            let path = entry.map_err(io)?.path();
            let found = path.symlink_metadata().map_err(io)?;
            self.files += 1;
            self.bytes = self.bytes.saturating_add(found.len());
            if self.files > MOST_FILES || self.bytes > LARGEST {
                return Err(StoreError::Bad(format!(
                    "the plugin has more than {MOST_FILES} files, or more than {} MiB",
                    LARGEST >> 20
                )));
            }
            let kind = found.file_type();
            if kind.is_symlink() {
                self.link(&path)?;
            } else if kind.is_dir() && btrfs::is_subvolume(&path)? {
                return Err(self.bad(&path, "is a subvolume of its own"));
            } else if kind.is_dir() {
                self.directory(&path, depth + 1)?;
            } else if kind.is_file() {
                self.rights(&path, &found)?;
            } else {
                let what = match () {
                    () if kind.is_fifo() => "is a named pipe",
                    () if kind.is_socket() => "is a socket",
                    () => "is a device node",
                };
                return Err(self.bad(&path, what));
            }
        }
        Ok(())
    }

    /// No rights come with a file.
    fn rights(&self, path: &Path, found: &fs::Metadata) -> Result<(), StoreError> {
        if found.mode() & 0o6000 != 0 {
            return Err(self.bad(path, "is setuid or setgid"));
        }
        if lgetxattr(path, CAPABILITIES, &mut [0_u8; 64]).is_ok() {
            return Err(self.bad(path, "has capabilities"));
        }
        if found.uid() != 0 {
            return Err(self.bad(path, "does not belong to root"));
        }
        Ok(())
    }

    /// A link leads to something in the plugin. It goes up at its beginning only: further on it may stand behind
    /// another link, and `..` of that is anywhere.
    fn link(&self, path: &Path) -> Result<(), StoreError> {
        let target = fs::read_link(path).map_err(|source| StoreError::Io {
            doing: format!("look at {}", path.display()),
            source,
        })?;
        let within = path.strip_prefix(self.root).unwrap_or(path);
        let mut depth = within.components().count().saturating_sub(1);
        let mut down = false;
        for part in target.components() {
            match part {
                Component::Normal(_) => down = true,
                Component::CurDir => {}
                Component::ParentDir if depth > 0 && !down => depth -= 1,
                _ => return Err(self.bad(path, "is a symbolic link that leaves the plugin")),
            }
        }
        Ok(())
    }

    fn bad(&self, path: &Path, what: &str) -> StoreError {
        let within = path.strip_prefix(self.root).unwrap_or(path);
        StoreError::Bad(format!(
            "{} in the plugin {what}",
            match within.as_os_str().is_empty() {
                true => "the directory itself".to_owned(),
                false => format!("`{}`", within.display().to_string().escape_debug()),
            }
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn no_chain_of_links_leaves_a_plugin() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        fs::create_dir_all(at("a/b")).unwrap();
        let walk = |link: &str| {
            let walk = Walk {
                root: root.path(),
                files: 0,
                bytes: 0,
            };
            walk.link(&at(link)).is_ok()
        };
        symlink("../..", at("a/b/top")).unwrap();
        symlink("a/b/top/a", at("fine")).unwrap();
        // Three down and one up by its text, and out by way of the first link.
        symlink("a/b/top/..", at("out")).unwrap();
        symlink("../../..", at("a/b/far")).unwrap();
        assert!(walk("a/b/top") && walk("fine"));
        assert!(!walk("out") && !walk("a/b/far"));
    }
}
