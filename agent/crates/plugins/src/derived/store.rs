//! The mappings of a host: those that come with the agent, and those in `BASE/@plugins`.

mod vouched;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use declaration::PluginName;

use super::mapping::{FileProblems, Mapping, NATIVE};
pub(super) use vouched::read_files;

/// The file that says what a plugin is.
pub const PLUGIN_FILE: &str = "plugin.toml";
/// The file that says what its resources are.
pub const MAPPING_FILE: &str = "semantic-mapping.toml";

/// The two files of a plugin, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// `plugin.toml`.
    pub plugin: String,
    /// `semantic-mapping.toml`.
    pub mapping: String,
}

/// Where a mapping comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// It comes with the agent.
    BuiltIn,
    /// From a directory of its own.
    Directory(PathBuf),
}

/// A plugin that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// Why.
    pub what: String,
    /// What to do.
    pub fix: String,
}

/// A plugin as it was found.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name.
    pub name: PluginName,
    /// Where it comes from.
    pub origin: Origin,
    /// Its files, as far as they could be read.
    pub files: Option<Files>,
    /// What they say.
    pub mapping: Result<Arc<Mapping>, Unusable>,
}

impl Entry {
    /// The mapping if it may be used now.
    pub fn usable(&self) -> Result<Arc<Mapping>, Unusable> {
        let mapping = self.mapping.clone()?;
        match mapping.enabled {
            true => Ok(mapping),
            false => Err(Unusable {
                what: format!("the plugin {} is disabled", self.name),
                fix: format!(
                    "look at it with `op-dbus plugin show {0}`, then `op-dbus plugin enable {0}`",
                    self.name
                ),
            }),
        }
    }
}

const BUILT_IN: [(&str, &str); 3] = [
    (
        include_str!("builtin/systemd1/plugin.toml"),
        include_str!("builtin/systemd1/semantic-mapping.toml"),
    ),
    (
        include_str!("builtin/networkmanager/plugin.toml"),
        include_str!("builtin/networkmanager/semantic-mapping.toml"),
    ),
    (
        include_str!("builtin/packagekitd/plugin.toml"),
        include_str!("builtin/packagekitd/semantic-mapping.toml"),
    ),
];

/// The directory of the plugins below a base.
pub fn directory(base: &Path) -> PathBuf {
    base.join("@plugins")
}

/// The file that says that a plugin that comes with the agent is not in use. Its own files stay those of the agent's
/// version: a copy would outlive them.
fn disabled_mark(base: &Path, name: &PluginName) -> PathBuf {
    directory(base).join(format!("{name}.disabled"))
}

/// Every plugin of a host, by name. One in a directory stands in for one of the same name that comes with the agent.
pub fn load(base: &Path) -> Vec<Entry> {
    let mut entries: BTreeMap<PluginName, Entry> = BTreeMap::new();
    for (plugin, mapping) in BUILT_IN {
        let mut files = Files {
            plugin: plugin.to_owned(),
            mapping: mapping.to_owned(),
        };
        match Mapping::parse(&files.plugin, &files.mapping) {
            Ok(mut mapping) => {
                if disabled_mark(base, &mapping.name)
                    .symlink_metadata()
                    .is_ok()
                {
                    mapping.enabled = false;
                    files.plugin = with_enabled(&files.plugin, false);
                }
                let entry = Entry {
                    name: mapping.name.clone(),
                    origin: Origin::BuiltIn,
                    files: Some(files),
                    mapping: Ok(Arc::new(mapping)),
                };
                entries.insert(entry.name.clone(), entry);
            }
            // A test reads all of them.
            Err(problems) => log::error!("a plugin that comes with the agent is bad: {problems:?}"),
        }
    }
    for entry in in_directory(&directory(base), Trust::Root) {
        entries.insert(entry.name.clone(), entry);
    }
    entries.into_values().collect()
}

/// Whose files are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Root's: what they say is done.
    Root,
    /// Anybody's: they are looked at for a check, elsewhere than on the host, and nothing is done.
    Anybody,
}

/// The plugins in the directories below `directory`. Those of the agent's own plugins have no mapping.
pub fn in_directory(directory: &Path, trust: Trust) -> Vec<Entry> {
    let Ok(found) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let names = found
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok()?.parse().ok());
    let mut names: Vec<PluginName> = names.collect();
    names.retain(|name| !NATIVE.contains(&name.as_str()));
    names.sort_unstable();
    let entries = names
        .into_iter()
        .map(|name| (directory.join(name.as_str()), name));
    entries
        .filter(|(path, _)| path.join(PLUGIN_FILE).symlink_metadata().is_ok())
        .map(|(path, name)| entry(path, name, trust))
        .collect()
}

fn entry(path: PathBuf, name: PluginName, trust: Trust) -> Entry {
    let (files, mapping) = match read_files(&path, trust) {
        Ok(files) => {
            let mapping = parse(&path, &name, &files);
            (Some(files), mapping)
        }
        Err(unusable) => (None, Err(unusable)),
    };
    Entry {
        name,
        origin: Origin::Directory(path),
        files,
        mapping,
    }
}

fn parse(path: &Path, name: &PluginName, files: &Files) -> Result<Arc<Mapping>, Unusable> {
    let mapping = Mapping::parse(&files.plugin, &files.mapping).map_err(|problems| Unusable {
        what: text(path, &problems),
        fix: "mend that".to_owned(),
    })?;
    match mapping.name == *name {
        true => Ok(Arc::new(mapping)),
        false => Err(Unusable {
            what: format!(
                "{} calls itself `{}`",
                path.join(PLUGIN_FILE).display(),
                mapping.name
            ),
            fix: "give it the name of its directory".to_owned(),
        }),
    }
}

/// All problems of both files, for people.
pub fn text(path: &Path, problems: &FileProblems) -> String {
    let files = [
        (PLUGIN_FILE, &problems.plugin),
        (MAPPING_FILE, &problems.mapping),
    ];
    let texts = files.into_iter().filter_map(|(file, problems)| {
        let problems = problems.as_ref()?;
        Some(format!("{}:\n{problems}", path.join(file).display()))
    });
    texts.collect::<Vec<_>>().join("\n\n")
}

/// Why files were not written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is nowhere to put them.
    #[error("{} is not there: `op-dbus apply` makes it", .0.display())]
    NoPlace(PathBuf),
    /// There is a plugin of that name already.
    #[error("there is a plugin `{0}` already: change its files by hand, or choose another name")]
    Taken(PluginName),
    /// What would be written is no good plugin.
    #[error("{0}")]
    Bad(String),
    /// The system did not let it.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// Why not.
        source: io::Error,
    },
    /// btrfs did not let it.
    #[error("make the subvolume: {0}")]
    Btrfs(#[from] btrfs::Error),
}

/// Puts a new plugin into `BASE/@plugins`: a subvolume where that is btrfs, with `state` and `cache` for what the
/// plugin keeps. It is whole or not there.
pub fn create(base: &Path, name: &PluginName, files: &Files) -> Result<PathBuf, StoreError> {
    let parent = directory(base);
    let place = parent.join(name.as_str());
    if !parent.is_dir() {
        return Err(StoreError::NoPlace(parent));
    }
    if place.symlink_metadata().is_ok() {
        return Err(StoreError::Taken(name.clone()));
    }
    Mapping::parse(&files.plugin, &files.mapping)
        .map_err(|problems| StoreError::Bad(text(&place, &problems)))?;
    let new = parent.join(format!(".new-{name}"));
    let io = |doing: &str| {
        let doing = format!("{doing} {}", new.display());
        move |source| StoreError::Io {
            doing: doing.clone(),
            source,
        }
    };
    let is_btrfs = btrfs::is_btrfs(&parent)?;
    // What a crash may have left.
    discard(&new)?;
    match is_btrfs {
        true => btrfs::create(&new)?,
        false => fs::create_dir(&new).map_err(io("make"))?,
    }
    let fill = || {
        for below in ["state", "cache"] {
            fs::create_dir(new.join(below))?;
        }
        write(&new.join(PLUGIN_FILE), &files.plugin)?;
        write(&new.join(MAPPING_FILE), &files.mapping)?;
        fs::set_permissions(&new, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        fs::rename(&new, &place)
    };
    if let Err(source) = fill() {
        let failed = io("fill")(source);
        discard(&new)?;
        return Err(failed);
    }
    Ok(place)
}

pub(super) fn discard(path: &Path) -> Result<(), StoreError> {
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    if btrfs::is_btrfs(path)? && btrfs::is_subvolume(path)? {
        return Ok(btrfs::delete(path)?);
    }
    let doing = format!("remove {}", path.display());
    fs::remove_dir_all(path).map_err(|source| StoreError::Io { doing, source })
}

pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Writes whether a plugin is in use into its `plugin.toml`, and leaves the rest of the file as it is. For a plugin that
/// comes with the agent a file beside the others says so.
pub fn set_enabled(base: &Path, entry: &Entry, enabled: bool) -> Result<(), StoreError> {
    let path = match &entry.origin {
        Origin::BuiltIn => return mark(base, &entry.name, enabled),
        Origin::Directory(path) => path,
    };
    let Some(files) = &entry.files else {
        return Err(StoreError::Bad(format!(
            "the files of {} cannot be read",
            entry.name
        )));
    };
    let files = Files {
        plugin: with_enabled(&files.plugin, enabled),
        ..files.clone()
    };
    let parsed = Mapping::parse(&files.plugin, &files.mapping);
    if parsed.is_ok_and(|mapping| mapping.enabled != enabled) {
        return Err(StoreError::Bad(format!(
            "write `enabled = {enabled}` into the {PLUGIN_FILE} of {}",
            entry.name
        )));
    }
    let file = path.join(PLUGIN_FILE);
    let new = path.join(format!(".{PLUGIN_FILE}.new"));
    let replace = || {
        let _ = fs::remove_file(&new);
        write(&new, &files.plugin)?;
        fs::rename(&new, &file)
    };
    replace().map_err(|source| StoreError::Io {
        doing: format!("write {}", file.display()),
        source,
    })
}

fn mark(base: &Path, name: &PluginName, enabled: bool) -> Result<(), StoreError> {
    let parent = directory(base);
    if !parent.is_dir() {
        return Err(StoreError::NoPlace(parent));
    }
    let file = disabled_mark(base, name);
    let (done, already) = match enabled {
        true => (fs::remove_file(&file), io::ErrorKind::NotFound),
        false => (write(&file, ""), io::ErrorKind::AlreadyExists),
    };
    match done {
        Err(error) if error.kind() == already => Ok(()),
        done => done.map_err(|source| StoreError::Io {
            doing: format!("change {}", file.display()),
            source,
        }),
    }
}

/// The text with another value of the key `enabled`, which is one of the top table.
pub(super) fn with_enabled(text: &str, enabled: bool) -> String {
    let line = format!("enabled = {enabled}");
    let is_key = |line: &str| {
        let rest = line.trim_start().strip_prefix("enabled");
        rest.is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    if !text.lines().any(is_key) {
        return format!("{line}\n{text}");
    }
    let lines = text
        .lines()
        .map(|old| if is_key(old) { line.as_str() } else { old });
    lines.map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_with_the_agent_is_good() {
        let entries = load(Path::new("/nonexistent"));
        assert_eq!(entries.len(), BUILT_IN.len());
        for entry in entries {
            let mapping = entry.usable().unwrap();
            let writes = mapping.kinds.iter().flat_map(|(kind, known)| {
                let written = known
                    .properties
                    .iter()
                    .filter(|(_, property)| property.write.is_some());
                written.map(move |(name, _)| (kind.as_str(), name.as_str()))
            });
            for (kind, property) in writes {
                assert_eq!(mapping.refusal(kind, property), None, "{kind}.{property}");
            }
            assert_eq!(mapping.writes, mapping.name.as_str() == "networkmanager");
        }
    }

    #[test]
    fn what_comes_with_the_agent_is_switched_without_a_copy_of_it() {
        let base = tempfile::tempdir().unwrap();
        let find = || {
            let entries = load(base.path());
            let mut entries = entries.into_iter();
            entries
                .find(|entry| entry.name.as_str() == "networkmanager")
                .unwrap()
        };
        let no_place = set_enabled(base.path(), &find(), false);
        assert!(matches!(no_place, Err(StoreError::NoPlace(_))));
        fs::create_dir(directory(base.path())).unwrap();
        let original = find().files.unwrap();
        for _ in 0..2 {
            set_enabled(base.path(), &find(), false).unwrap();
            let off = find();
            assert!(off.usable().is_err() && off.origin == Origin::BuiltIn);
            let files = off.files.unwrap();
            assert_eq!(files.mapping, original.mapping);
            assert!(files.plugin.contains("enabled = false"), "{}", files.plugin);
        }
        for _ in 0..2 {
            set_enabled(base.path(), &find(), true).unwrap();
            assert!(find().usable().is_ok());
        }
        let mut left = fs::read_dir(directory(base.path())).unwrap();
        assert!(left.next().is_none());
    }

    #[test]
    fn enabling_changes_one_line() {
        let text = "# ours\nname = \"a\"\nenabled = false # not yet\n";
        assert_eq!(
            with_enabled(text, true),
            "# ours\nname = \"a\"\nenabled = true\n"
        );
        assert_eq!(
            with_enabled("name = \"a\"\n", true),
            "enabled = true\nname = \"a\"\n"
        );
    }
}
