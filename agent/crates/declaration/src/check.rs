//! What only several values together can get wrong.
//!
//! The checks look at a declaration of which some parts may have been unreadable: these were
//! reported already, and nothing that may only follow from them is.

mod access;
mod addresses;
mod cache;
mod chat;
mod containers;
mod flows;
mod ledger;
mod links;
mod mcp;
mod packages;
mod replication;
mod snapshots;
mod storage;
mod units;
mod web;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::Bound;

use crate::document::Declaration;
use crate::problem::{DocumentPath, Findings, Problem};
use crate::reader::{Reader, nearest};

/// Finds all contradictions in a declaration.
pub(crate) fn declaration(declaration: &Declaration, damage: &Damage) -> Findings {
    let mut check = Check {
        damage,
        findings: Findings::default(),
    };
    let plugins = &declaration.plugins;
    access::check(&declaration.access, &mut check);
    if let Some(section) = &declaration.web {
        web::check(section, &mut check);
    }
    chat::check(&declaration.chat, &mut check);
    mcp::check(&declaration.mcp, &mut check);
    ledger::check(&declaration.ledger, &mut check);
    replication::check(
        &declaration.replication,
        &plugins.btrfs.base.path,
        &mut check,
    );
    snapshots::check(declaration, &mut check);
    cache::check(&declaration.cache, &mut check);
    storage::check(&plugins.btrfs.base, &mut check);
    links::check(plugins, &mut check);
    addresses::check(plugins, &mut check);
    containers::check(plugins, &mut check);
    flows::check(plugins, &mut check);
    if let Some(section) = &plugins.packagekit {
        packages::check(section, &mut check);
    }
    if let Some(section) = &plugins.systemd {
        units::check(section, &mut check);
    }
    check.findings
}

/// The parts of a document that could not be read.
#[derive(Default)]
pub(crate) struct Damage {
    paths: BTreeSet<DocumentPath>,
    kept: BTreeMap<DocumentPath, Vec<usize>>,
}

impl Damage {
    pub(crate) fn of(reader: &Reader) -> Self {
        let reported = reader.findings.problems.iter().map(|problem| &problem.path);
        Self {
            paths: reported.chain(&reader.misspelt).cloned().collect(),
            kept: reader.kept.clone(),
        }
    }

    /// Whether the value at a path, all of it and what it is in, could be read.
    pub(crate) fn spares(&self, path: &DocumentPath) -> bool {
        if self.paths.is_empty() {
            return true;
        }
        let from_here = (Bound::Included(path), Bound::Unbounded);
        let below = self.paths.range(from_here).next();
        if below.is_some_and(|found| found.starts_with(path)) {
            return false;
        }
        let mut above = path.clone();
        while !above.steps().is_empty() {
            above.pop();
            if self.paths.contains(&above) {
                return false;
            }
        }
        true
    }
}

struct Check<'a> {
    damage: &'a Damage,
    findings: Findings,
}

impl Check<'_> {
    fn report(
        &mut self,
        path: DocumentPath,
        found: impl Into<String>,
        accepted: impl Into<String>,
        hint: impl Into<Option<String>>,
    ) {
        self.findings
            .push(Problem::new(path, found, accepted).hint(hint));
    }

    /// Whether the value at a path, all of it and what it is in, could be read.
    fn intact(&self, path: &DocumentPath) -> bool {
        self.damage.spares(path)
    }

    /// The path of an element of a list, some of whose elements may not have been readable.
    fn element(&self, list: &DocumentPath, index: usize) -> DocumentPath {
        let kept = self.damage.kept.get(list).and_then(|kept| kept.get(index));
        list.index(*kept.unwrap_or(&index))
    }
}

/// The path to a section or something in it.
pub(crate) fn path<const N: usize>(keys: [&str; N]) -> DocumentPath {
    DocumentPath::of(["plugins"].into_iter().chain(keys))
}

/// A few of the names that would have been known, for people.
fn some_of<T: Display>(what: &str, names: impl IntoIterator<Item = T>) -> String {
    const SHOWN: usize = 8;
    let names: Vec<_> = names
        .into_iter()
        .take(SHOWN + 1)
        .map(|name| format!("`{name}`"))
        .collect();
    match names.len() {
        0 => format!("{what}; none is declared"),
        1..=SHOWN => format!("{what}: {}", names.join(", ")),
        _ => format!("{what}: {}, …", names[..SHOWN].join(", ")),
    }
}

/// A guess at the name that was meant.
fn meant<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    const TRIED: usize = 1000;
    let known: Vec<_> = known.into_iter().take(TRIED).collect();
    nearest(name, &known).map(|near| format!("did you mean `{near}`?"))
}
