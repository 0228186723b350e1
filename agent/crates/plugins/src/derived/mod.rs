//! Plugins made from D-Bus services: a mapping says which of a service's objects are resources, and which of their
//! properties a declaration may set.
//!
//! A mapping is two files, `plugin.toml` and `semantic-mapping.toml` ([`mod@format`]). Some come with the agent, others
//! are in `BASE/@plugins/NAME/` ([`store`]). [`DerivedPlugin`] is the plugin of the engine that follows one.

mod checker;
mod digest;
pub mod foreign;
pub mod format;
pub mod generate;
mod mapping;
mod path;
mod plugin;
mod read;
mod section;
mod service;
pub mod store;

use std::path::{Path, PathBuf};

use dbus::Bus;
use declaration::{Declaration, DocumentPath, PluginName, Problem, Sections};
use serde_json::Value;

pub use digest::digest;
pub use mapping::{Call, FileProblems, Kind, List, Mapping, NATIVE, Property, Write};
pub use plugin::DerivedPlugin;
pub use section::{Section, check};
use service::Service;
pub use service::ServiceError;
use store::{Entry, Origin, Trust};

/// What answers for the sections of a declaration that are none of the agent's own.
#[derive(Debug, Default)]
pub struct Mapped {
    /// Another base directory than the declaration says.
    pub base: Option<PathBuf>,
    /// Another directory than `BASE/@plugins`, for a check on a machine that is not the host.
    pub directory: Option<PathBuf>,
    /// Take every section of a plugin that there is, whatever is wrong with it: for a look at the rest.
    pub lenient: bool,
}

impl Mapped {
    fn entries(&self, base: &Path) -> Vec<Entry> {
        let mut entries = store::load(self.base.as_deref().unwrap_or(base));
        if let Some(directory) = &self.directory {
            entries.retain(|entry| entry.origin == Origin::BuiltIn);
            let given = store::in_directory(directory, Trust::Anybody);
            entries.retain(|entry| !given.iter().any(|other| other.name == entry.name));
            entries.extend(given);
        }
        entries
    }
}

impl Sections for Mapped {
    fn names(&self, base: &Path) -> Vec<PluginName> {
        self.entries(base)
            .into_iter()
            .map(|entry| entry.name)
            .collect()
    }

    fn check(&self, base: &Path, name: &PluginName, section: &Value) -> Vec<Problem> {
        if self.lenient {
            return Vec::new();
        }
        let entries = self.entries(base);
        let Some(entry) = entries.iter().find(|entry| entry.name == *name) else {
            return Vec::new();
        };
        match entry.usable() {
            Ok(mapping) => section::check(&mapping, section).1,
            Err(unusable) => vec![
                Problem::new(
                    DocumentPath::default(),
                    unusable.what,
                    "the section of a plugin that is in use",
                )
                .hint(unusable.fix),
            ],
        }
    }
}

/// The plugin of every mapping; those that the declaration says nothing of want nothing, but can still undo what an
/// earlier run did.
pub(crate) fn all(declaration: &Declaration) -> Vec<DerivedPlugin> {
    let entries = store::load(&declaration.plugins.btrfs.base.path);
    let known = entries.iter().map(|entry| of_entry(entry, declaration));
    let gone = declaration
        .derived
        .keys()
        .filter(|name| !entries.iter().any(|entry| entry.name == **name));
    let gone = gone.map(|name| {
        let unusable = store::Unusable {
            what: format!("no mapping answers for the section `{name}` any more"),
            fix: "bring its files back, or take the section out of the declaration".to_owned(),
        };
        DerivedPlugin::new(name.as_str(), Err(unusable), Section::new())
    });
    known.chain(gone).collect()
}

fn of_entry(entry: &Entry, declaration: &Declaration) -> DerivedPlugin {
    let name = entry.name.as_str();
    let Some(written) = declaration.derived.get(&entry.name) else {
        return DerivedPlugin::new(name, entry.mapping.clone(), Section::new());
    };
    match entry.usable() {
        Ok(mapping) => {
            let (section, problems) = section::check(&mapping, written);
            match problems.first() {
                None => DerivedPlugin::new(name, Ok(mapping), section),
                // The mapping changed since the declaration was read.
                Some(problem) => {
                    let unusable = store::Unusable {
                        what: format!(
                            "the section `{name}` does not fit its mapping any more:\n{problem}"
                        ),
                        fix: "`op-dbus check` says all that is wrong".to_owned(),
                    };
                    DerivedPlugin::new(name, Err(unusable), Section::new())
                }
            }
        }
        Err(unusable) => DerivedPlugin::new(name, Err(unusable), Section::new()),
    }
}

/// The plugins for a look: those in use whose service is on the bus, those of the declaration, those in directories,
/// and the one that was asked for by its name. A disabled one is not looked through.
pub fn views(declaration: &Declaration, asked: Option<&str>) -> Vec<DerivedPlugin> {
    let entries = store::load(&declaration.plugins.btrfs.base.path);
    let names = match asked
        .is_some_and(|asked| !entries.iter().any(|entry| entry.name.as_str() == asked))
    {
        // Something else was asked for.
        true => return Vec::new(),
        false => names_on_bus(),
    };
    let is_there = |entry: &Entry| {
        entry
            .mapping
            .as_ref()
            .is_ok_and(|mapping| names.iter().any(|name| mapping.answers_for(name)))
    };
    let shown = |entry: &&Entry| {
        let enabled = entry
            .mapping
            .as_ref()
            .map_or(true, |mapping| mapping.enabled);
        let own = entry.origin != Origin::BuiltIn || declaration.derived.contains_key(&entry.name);
        match asked {
            Some(asked) => entry.name.as_str() == asked,
            None => enabled && (own || is_there(entry)),
        }
    };
    let views = entries.iter().filter(shown).map(|entry| {
        let written = declaration.derived.get(&entry.name);
        let section = match (entry.usable(), written) {
            (Ok(mapping), Some(written)) => section::check(&mapping, written).0,
            _ => Section::new(),
        };
        DerivedPlugin::new(entry.name.as_str(), entry.usable(), section).view()
    });
    views.collect()
}

/// The digests of a mapping's interfaces as its service has them now, by interface.
pub fn digests(
    mapping: &Mapping,
) -> Result<std::collections::BTreeMap<String, String>, ServiceError> {
    Service::find(mapping)?.digests()
}

/// The names on the bus now; none where there is no bus.
pub fn names_on_bus() -> Vec<String> {
    Bus::system()
        .and_then(|bus| service::names_on(&bus))
        .unwrap_or_default()
}
