//! `deployment-manifest.json`: what there is, since when, by whom.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::name::Name;

/// The form of the file that this program writes and reads.
pub(crate) const FORMAT: u32 = 1;

/// How versions are kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Each is a read-only subvolume.
    Btrfs,
    /// Each is the lower layer of a read-only overlay mount.
    Overlay,
}

/// A version that was deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// What it is called here.
    pub name: Name,
    /// What it says of itself.
    pub version: String,
    /// The SHA-256 of the program, in hexadecimal.
    pub sha256: String,
    /// Bytes of the program.
    pub size: u64,
    /// The SHA-256 of each file, by its path in the version.
    pub files: BTreeMap<String, String>,
    /// When it was deployed last.
    #[serde(with = "time")]
    pub deployed_at: Timestamp,
    /// By whom.
    pub deployed_by: String,
    /// The file that it was copied from.
    pub source: String,
}

/// A switch that has begun and not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// What served before, if anything did.
    pub from: Option<Name>,
    /// What is tried.
    pub to: Name,
    /// Since when.
    #[serde(with = "time")]
    pub begun_at: Timestamp,
}

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form of this file.
    pub format: u32,
    /// How versions are kept apart.
    pub store: Kind,
    /// The version that serves.
    pub current: Option<Name>,
    /// The one before, to which a rollback returns.
    pub previous: Option<Name>,
    /// A switch that has begun and not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
    /// All that are kept, the one that was deployed last at the end.
    pub versions: Vec<Version>,
}

impl Manifest {
    /// Of a base where nothing was deployed.
    pub(crate) fn new(store: Kind) -> Self {
        Self {
            format: FORMAT,
            store,
            current: None,
            previous: None,
            trial: None,
            versions: Vec::new(),
        }
    }

    /// A version by its name.
    pub fn version(&self, name: &Name) -> Option<&Version> {
        self.versions.iter().find(|version| version.name == *name)
    }

    /// What serves once an interrupted switch is settled.
    ///
    /// It goes back, and only the first one, which has nothing to go back to, goes on.
    pub fn settled(&self) -> Option<&Name> {
        match &self.trial {
            Some(trial) => Some(trial.from.as_ref().unwrap_or(&trial.to)),
            None => self.current.as_ref(),
        }
    }

    /// The version that was deployed before this one.
    pub fn before(&self, name: &Name) -> Option<&Name> {
        let at = self.versions.iter().position(|one| one.name == *name)?;
        let before = at.checked_sub(1)?;
        self.versions.get(before).map(|version| &version.name)
    }

    /// Which versions go if `keep` are kept: the oldest, and neither the one that serves nor the one before.
    pub fn surplus(&self, keep: usize) -> Vec<Name> {
        let needed = |name: &Name| {
            self.current.as_ref() == Some(name) || self.previous.as_ref() == Some(name)
        };
        let names = self.versions.iter().map(|version| &version.name);
        let mut more = self.versions.len().saturating_sub(keep);
        names
            .filter(|name| {
                let goes = more > 0 && !needed(name);
                more -= usize::from(goes);
                goes
            })
            .cloned()
            .collect()
    }

    /// Makes a version the one that serves; nothing where there is none.
    pub(crate) fn serve(&mut self, name: Option<Name>) {
        self.previous = name.as_ref().and_then(|name| self.before(name).cloned());
        self.current = name;
        self.trial = None;
    }
}

/// Times as RFC 3339 writes them.
mod time {
    use jiff::Timestamp;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(time)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(names: &[&str]) -> Manifest {
        let mut manifest = Manifest::new(Kind::Btrfs);
        manifest.versions = names
            .iter()
            .map(|name| Version {
                name: name.parse().unwrap(),
                version: "1".to_owned(),
                sha256: String::new(),
                size: 0,
                files: BTreeMap::new(),
                deployed_at: Timestamp::UNIX_EPOCH,
                deployed_by: "root".to_owned(),
                source: String::new(),
            })
            .collect();
        manifest
    }

    const A: &str = "1-aaaaaaaaaaaa";
    const B: &str = "1-bbbbbbbbbbbb";
    const C: &str = "1-cccccccccccc";

    #[test]
    fn the_one_before_is_the_one_that_was_deployed_before() {
        let mut manifest = with(&[A, B, C]);
        manifest.serve(Some(C.parse().unwrap()));
        assert_eq!(manifest.previous, Some(B.parse().unwrap()));
        manifest.serve(Some(B.parse().unwrap()));
        assert_eq!(manifest.previous, Some(A.parse().unwrap()));
        manifest.serve(Some(A.parse().unwrap()));
        assert_eq!(manifest.previous, None);
    }

    #[test]
    fn what_serves_and_the_one_before_are_never_too_much() {
        let mut manifest = with(&[A, B, C]);
        manifest.serve(Some(C.parse().unwrap()));
        assert_eq!(manifest.surplus(3), []);
        assert_eq!(manifest.surplus(0), [A.parse().unwrap()]);
        manifest.serve(Some(B.parse().unwrap()));
        assert_eq!(manifest.surplus(1), [C.parse().unwrap()]);
    }

    #[test]
    fn an_interrupted_switch_goes_back_where_there_is_something_to_go_back_to() {
        let mut manifest = with(&[A, B]);
        let trial = |from: Option<&str>, to: &str| Trial {
            from: from.map(|name| name.parse().unwrap()),
            to: to.parse().unwrap(),
            begun_at: Timestamp::UNIX_EPOCH,
        };
        manifest.trial = Some(trial(Some(A), B));
        assert_eq!(manifest.settled().unwrap().as_str(), A);
        manifest.trial = Some(trial(None, B));
        assert_eq!(manifest.settled().unwrap().as_str(), B);
    }
}
