//! What was declared before each run and after it, so that a run can be rolled back.
//!
//! The ledger has what a run did to resources; what people had written down stands in files under `@state`:
//! `declared.json` for what was last applied as a whole, `runs/RUN.json` for each run of the last few hundred.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use declaration::{Container, ContainerName, ContainersFile, Declaration, Format};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::host::{Host, write_whole};
use super::paths::Paths;
use super::site::Site;
use crate::error::ToolError;

/// How many runs are remembered.
const KEPT: usize = 200;

/// Containers that were made by command, by name.
pub(crate) type ByCommand = BTreeMap<ContainerName, Container>;

/// What people had asked for at one time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Declared {
    /// The declaration as it was written; none where it had no part in the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    /// The containers that were made by command, as the file of these has them.
    containers: Value,
}

impl Declared {
    pub(crate) fn new(text: Option<String>, containers: &ByCommand) -> Self {
        Self {
            text,
            containers: json!(ContainersFile::new(containers.clone())),
        }
    }

    /// The containers that were made by command.
    pub(crate) fn containers(&self) -> Result<ByCommand, ToolError> {
        Ok(ContainersFile::parse(&self.containers.to_string(), Format::Json)?.containers)
    }
}

/// What was asked for around one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// Before it; without a text where no declaration had been applied as a whole yet.
    pub(crate) before: Declared,
    /// When it began.
    pub(crate) after: Declared,
}

impl Asked {
    /// What is known of a run.
    pub(crate) fn read(paths: &Paths, run: &str) -> Option<Self> {
        let text = fs::read(file(paths, run)?).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Remembers a run, if there is a place for it yet, and forgets the oldest ones; whether it is remembered.
    pub(crate) fn keep(&self, paths: &Paths, run: &str) -> bool {
        let directory = paths.runs();
        let state = directory.parent().is_some_and(Path::is_dir);
        let Some(path) = file(paths, run).filter(|_| state) else {
            return false;
        };
        let kept = || -> Result<(), ToolError> {
            let made = fs::create_dir_all(&directory);
            made.map_err(|error| ToolError::failed("make the place for runs", error))?;
            write_whole(&path, &text(self)?)
        };
        // Without it a rollback knows the resources alone; that is no reason to leave the host as it is.
        if let Err(error) = kept() {
            log::warn!("what was declared before run {run} is not kept: {error}");
        }
        forget_oldest(&directory);
        true
    }
}

/// What was last applied as a whole.
pub(crate) fn standing(paths: &Paths) -> Option<Declared> {
    serde_json::from_slice(&fs::read(paths.declared()).ok()?).ok()
}

/// Notes that the host follows this now.
pub(crate) fn stands(paths: &Paths, declared: &Declared) {
    if standing(paths).as_ref() == Some(declared) {
        return;
    }
    let written = text(declared).and_then(|text| write_whole(&paths.declared(), &text));
    if let Err(error) = written {
        log::warn!("what is declared now is not kept: {error}");
    }
}

/// The declaration of a host as it was written, with its remarks where it is the site's own.
pub(crate) fn written(site: &Site, host: &Host) -> String {
    let own = site.declaration().is_ok_and(|own| *own == *host.written());
    own.then(|| site.text())
        .flatten()
        .unwrap_or_else(|| serde_json::to_string_pretty(host.written()).unwrap_or_default())
}

/// Notes that a site's host is as declared.
pub fn converged(site: &Site, host: &Host) {
    let text = written(site, host);
    stands(&host.paths, &Declared::new(Some(text), &host.by_command));
}

/// Reads a declaration that was kept.
pub(crate) fn parse(text: &str, base: Option<&Path>) -> Result<Declaration, ToolError> {
    let mapped = plugins::derived::Mapped {
        base: base.map(Path::to_owned),
        ..Default::default()
    };
    let mut declaration = Declaration::parse_with(text, Format::Yaml, &mapped)?;
    if let Some(base) = base {
        declaration.plugins.btrfs.base.path = base.to_owned();
    }
    Ok(declaration)
}

fn text(value: &impl Serialize) -> Result<Vec<u8>, ToolError> {
    serde_json::to_vec(value).map_err(|error| ToolError::failed("write what is declared", error))
}

/// Where a run's file is; none for what is no run's id.
fn file(paths: &Paths, run: &str) -> Option<PathBuf> {
    is_run(run).then(|| paths.runs().join(format!("{run}.json")))
}

/// Whether a text has the form of a run's id, `20260131-120000-0a1b2c`.
pub(crate) fn is_run(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    let of = |part: &str, length: usize, hex: bool| {
        let fits = |byte: u8| byte.is_ascii_digit() || (hex && byte.is_ascii_hexdigit());
        part.len() == length && part.bytes().all(fits)
    };
    matches!(parts[..], [day, time, more] if of(day, 8, false) && of(time, 6, false) && of(more, 6, true))
}

/// A run's id begins with its time.
fn forget_oldest(directory: &Path) {
    let Ok(list) = fs::read_dir(directory) else {
        return;
    };
    let mut names: Vec<_> = list.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    let over = names.len().saturating_sub(KEPT);
    for name in &names[..over] {
        let _ = fs::remove_file(directory.join(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(dir: &Path) -> Paths {
        fs::create_dir(dir.join("@state")).unwrap();
        Paths {
            base: dir.to_owned(),
        }
    }

    fn asked(text: &str) -> Asked {
        let declared = |text: &str| Declared::new(Some(text.to_owned()), &BTreeMap::new());
        Asked {
            before: declared("before"),
            after: declared(text),
        }
    }

    #[test]
    fn a_run_is_remembered_and_the_oldest_are_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let paths = paths(dir.path());
        let id = |n: usize| format!("20260131-120000-{n:06x}");
        for n in 0..KEPT + 3 {
            assert!(asked(&n.to_string()).keep(&paths, &id(n)));
        }
        assert_eq!(Asked::read(&paths, &id(2)), None);
        assert_eq!(Asked::read(&paths, &id(3)), Some(asked("3")));
        assert_eq!(fs::read_dir(paths.runs()).unwrap().count(), KEPT);
    }

    #[test]
    fn only_the_id_of_a_run_names_a_file() {
        for text in [
            "",
            "../../etc/passwd",
            "20260131-120000-0a1b2",
            "17",
            "20260131-120000-0a1b2c/",
        ] {
            assert!(!is_run(text), "{text}");
        }
        assert!(is_run("20260131-120000-0a1b2c"));
    }
}
